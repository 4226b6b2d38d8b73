"""Mail that people look at before it is sent: what waits, what a decision does, and what outdates it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings

from cases import changes, drafts, services, work
from cases.errors import CaseError, DraftChanged, DraftNotFound, DraftNotPending, DraftRefused
from cases.factories import AttachmentFactory, CaseFactory, InputRequestFactory
from cases.models import Case, Draft, Message, MessageStatus, Purpose, Status
from cases.resources import NOTHING_SCHEDULED, CaseResource
from cases.testing import run_due
from cases.tests.engine import in_threads
from outreach import sandbox
from outreach.agents import registry
from outreach.agents.base import CaseView, Decision
from outreach.agents.base import Draft as Words
from outreach.agents.form import FormAgent
from outreach.factories import FORM, Played

pytestmark = pytest.mark.django_db
COMPLETE = "Invoice number: INV-7\nTotal: 1250.50"
ANN = {"actor": "staff ann"}


def begin(review_mode: str = "all", **fields: Any) -> Played:
    return Played.begin(**{"review_mode": review_mode, "result_schema": FORM, **fields})


def draft_of(played: Played) -> Draft:
    """The draft that waits; fails where none does."""
    draft = drafts.waiting(played.reload())
    assert draft is not None
    return draft


def approve(played: Played, draft: Draft | None = None) -> None:
    draft = draft or draft_of(played)
    drafts.approve(played.case.pk, draft.pk, hash=draft.hash, **ANN)
    run_due()


def reject(played: Played, reason: str) -> None:
    drafts.reject(played.case.pk, draft_of(played).pk, reason=reason, **ANN)
    run_due()


def schedule(played: Played) -> int:
    return int(CaseResource(played.reload(), context={"including": set()}).data["nextActionAt"])


class Obedient(FormAgent):
    """Writes the last reason it was given into its mail, as a model might heed it."""

    name = "obedient"

    def draft_outreach(self, case: CaseView, faults: tuple[str, ...] = ()) -> Words:
        reasons = [rejection.reason for rejection in case.rejections]
        return Words(f"Hello, draft {len(reasons)}. {' '.join(reasons)}", "Invoice")


@pytest.fixture
def obedient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "current", lambda seconds: Obedient())


# --- What waits ---


def test_a_case_without_review_sends_at_once() -> None:
    played = begin("none")
    assert (len(played.mails), Draft.objects.count()) == (1, 0)


@pytest.mark.parametrize("mode", ["first", "all"])
def test_the_first_mail_waits_and_nothing_is_sent(mode: str) -> None:
    played = begin(mode)
    case, draft = played.reload(), draft_of(played)
    assert (case.status, case.attempt_count, case.due_at) == (Status.CREATED, 0, None)
    assert (draft.purpose, draft.to_address, draft.status) == (Purpose.OUTREACH, "ann@supplier.example", "DRAFT")
    assert "Invoice number:" in draft.text
    assert played.timeline == ["draft.written", "case.draft_ready"]
    assert (played.mails, schedule(played)) == ([], NOTHING_SCHEDULED)
    played.wait(1000)
    assert (played.mails, draft_of(played).pk) == ([], draft.pk)


def test_an_approved_draft_is_sent_once_as_it_was() -> None:
    played = begin()
    draft = draft_of(played)
    approve(played)
    [mail] = played.mails
    assert (mail["text"].strip(), mail["messageId"]) == (draft.text.strip(), draft.message_id)
    case = played.reload()
    assert (case.status, case.attempt_count) == (Status.RUNNING, 1)
    assert schedule(played) < NOTHING_SCHEDULED
    approved = case.events.get(type="draft.approved")
    assert (approved.actor, approved.data["hash"]) == ("staff ann", draft.hash)
    assert case.messages.get().decided_by == "staff ann"
    with pytest.raises(DraftNotPending):
        approve(played, draft)
    assert len(played.mails) == 1


def test_first_reviews_the_first_mail_only() -> None:
    played = begin("first")
    approve(played)
    played.wait(73)
    assert [message.purpose for message in played.sent] == [Purpose.OUTREACH, Purpose.FOLLOW_UP]


def test_a_follow_up_waits_and_time_sends_no_other() -> None:
    played = begin()
    approve(played)
    played.wait(73)
    draft = draft_of(played)
    assert (draft.purpose, len(played.mails), schedule(played)) == (Purpose.FOLLOW_UP, 1, NOTHING_SCHEDULED)
    played.wait(1000)
    assert (draft_of(played).pk, played.reload().follow_up_count) == (draft.pk, 0)
    approve(played)
    assert (len(played.mails), played.reload().follow_up_count) == (2, 1)


def test_a_reply_waits_and_goes_out_in_the_thread() -> None:
    played = begin()
    approve(played)
    played.reply("Invoice number: INV-7")
    draft = draft_of(played)
    assert (draft.purpose, len(played.mails)) == (Purpose.REPLY, 1)
    approve(played)
    assert played.mails[-1]["text"].strip() == draft.text.strip()
    played.reply("Total: 1250.50")
    assert played.reload().status == Status.COMPLETED


def test_thanks_at_the_end_wait_and_then_complete_the_case(settings: Settings) -> None:
    settings.OFFLOAD_CLOSING_MAIL = True
    played = begin()
    approve(played)
    played.reply(COMPLETE)
    assert played.reload().status == Status.RUNNING
    approve(played)
    case = played.reload()
    assert (case.status, case.result, len(played.mails)) == (
        Status.COMPLETED,
        {"invoiceNumber": "INV-7", "total": 1250.5},
        2,
    )


def test_rejected_thanks_complete_the_case_without_them(settings: Settings) -> None:
    settings.OFFLOAD_CLOSING_MAIL = True
    played = begin()
    approve(played)
    played.reply(COMPLETE)
    reject(played, "No thanks.")
    assert (played.reload().status, len(played.mails)) == (Status.COMPLETED, 1)


def test_a_persons_own_words_need_no_review() -> None:
    played = begin()
    draft = draft_of(played)
    services.reply_to_counterparty(played.case.pk, text="Please call me.", **ANN)
    run_due()
    assert [mail["text"].strip() for mail in played.mails] == ["Please call me."]
    draft.refresh_from_db()
    assert draft.status == MessageStatus.DROPPED
    assert "draft.superseded" in played.timeline


def test_a_draft_that_gives_something_away_is_shown_to_nobody() -> None:
    case = CaseFactory(review_mode="all", status=Status.INPUT_NEEDED, attempt_count=0, metadata={"s": "canary-4711"})
    question = InputRequestFactory(case=case)
    services.provide_input(case_id=case.pk, input_request_id=question.pk, provided_context="It is canary-4711.")
    run_due()
    played = Played(case)
    assert played.question.reason == "Guard: a mail must not give away metadata, keys, or other cases."
    assert (Draft.objects.count(), played.mails) == (0, [])


# --- What outdates a draft ---


def test_a_reply_outdates_the_draft_and_both_are_judged_together() -> None:
    played = begin()
    approve(played)
    played.reply("Invoice number: INV-7")
    outdated = draft_of(played)
    played.reply("Total: 1250.50")
    case = played.reload()
    assert (case.status, case.result) == (Status.COMPLETED, {"invoiceNumber": "INV-7", "total": 1250.5})
    with pytest.raises(DraftNotPending):
        drafts.approve(case.pk, outdated.pk, hash=outdated.hash, **ANN)
    assert (len(played.mails), played.timeline.count("draft.superseded")) == (1, 1)


def test_a_draft_can_not_be_decided_on_once_its_case_has_changed_though_no_worker_has_run() -> None:
    played = begin()
    approve(played)
    played.wait(73)
    draft = draft_of(played)
    with work.transaction():
        case = Case.objects.locked(played.case.pk)
        case.touch()
        case.save()
    decisions: tuple[Callable[[], Case], ...] = (
        lambda: drafts.approve(draft.case_id, draft.pk, hash=draft.hash, **ANN),
        lambda: drafts.edit(draft.case_id, draft.pk, hash=draft.hash, body="Hello", **ANN),
        lambda: drafts.reject(draft.case_id, draft.pk, reason="No.", **ANN),
    )
    for decide in decisions:
        with pytest.raises(DraftNotPending):
            decide()
    draft.refresh_from_db()
    assert (draft.status, draft.decided_by, draft.rejection) == ("DRAFT", "", "")
    assert drafts.waiting(played.reload()) is None


def test_an_absence_note_outdates_a_follow_up_and_moves_it() -> None:
    played = begin()
    approve(played)
    played.wait(73)
    draft = draft_of(played)
    played.take(
        b"From: ann@supplier.example\r\nTo: %s\r\nSubject: Out of office\r\nAuto-Submitted: auto-replied\r\n"
        b"Message-ID: <note@supplier.example>\r\n\r\nI am away." % played.reload().our_address.encode()
    )
    assert (drafts.waiting(played.reload()), len(played.mails)) == (None, 1)
    draft.refresh_from_db()
    assert draft.status == MessageStatus.DROPPED
    assert schedule(played) < NOTHING_SCHEDULED
    played.wait(73)
    assert draft_of(played).purpose == Purpose.FOLLOW_UP


def test_an_answer_outdates_the_draft() -> None:
    played = begin()
    approve(played)
    played.reply("Which year?")
    question = played.question
    played.reply("Invoice number: INV-7")
    draft = draft_of(played)
    services.provide_input(case_id=played.case.pk, input_request_id=question.pk, provided_context="2026", **ANN)
    run_due()
    draft.refresh_from_db()
    assert (draft.status, len(played.mails)) == (MessageStatus.DROPPED, 1)
    assert "2026" in draft_of(played).text


def test_a_case_that_ends_takes_its_draft_along() -> None:
    played = begin()
    draft = draft_of(played)
    services.cancel_case(played.case.pk, **ANN)
    with pytest.raises(DraftNotPending):
        drafts.approve(draft.case_id, draft.pk, hash=draft.hash, **ANN)
    run_due()
    draft.refresh_from_db()
    assert (draft.status, played.mails) == (MessageStatus.DROPPED, [])


def test_a_pause_outdates_the_draft_and_it_is_written_anew_when_the_case_goes_on() -> None:
    played = begin()
    draft = draft_of(played)
    changes.pause_case(played.case.pk, **ANN)
    run_due()
    assert drafts.waiting(played.reload()) is None
    with pytest.raises(DraftNotPending):
        drafts.approve(draft.case_id, draft.pk, hash=draft.hash, **ANN)
    changes.resume_case(played.case.pk, **ANN)
    run_due()
    assert (draft_of(played).pk != draft.pk, draft_of(played).text, played.mails) == (True, draft.text, [])


def test_a_deadline_ends_a_case_although_its_draft_waits() -> None:
    played = begin(deadline_at=work.now() + timedelta(hours=10))
    assert draft_of(played).case.due_at == played.case.deadline_at
    played.wait(11)
    assert (played.reload().result_status, played.mails) == ("deadline_passed", [])


def test_waiting_by_a_persons_decision_keeps_what_the_draft_answered_dealt_with() -> None:
    played = begin()
    approve(played)
    played.reply("Invoice number: INV-7")
    draft = draft_of(played)
    services.wait_until(played.case.pk, work.now() + timedelta(days=1), **ANN)
    assert not played.case.messages.unread().exists()
    draft.refresh_from_db()
    assert draft.status == MessageStatus.DROPPED


def test_an_approved_draft_is_dropped_if_a_reply_comes_before_the_send() -> None:
    played = begin()
    approve(played)
    played.reply("Invoice number: INV-7")
    draft = draft_of(played)
    drafts.approve(played.case.pk, draft.pk, hash=draft.hash, **ANN)
    sandbox.reply(played.case, text="Total: 1250.50")
    run_due("payload")  # before a worker has looked at the case
    run_due()
    draft.refresh_from_db()
    assert (draft.status, len(played.mails), played.reload().status) == ("DROPPED", 1, Status.COMPLETED)


# --- Changing and rejecting ---


def test_changed_words_wait_under_another_hash_and_are_sent() -> None:
    played = begin()
    draft = draft_of(played)
    drafts.edit(draft.case_id, draft.pk, hash=draft.hash, subject="Your invoice", body="Please send it.", **ANN)
    run_due()
    changed = draft_of(played)
    assert (changed.pk, changed.edited_by, played.mails) == (draft.pk, "staff ann", [])
    assert changed.hash != draft.hash
    with pytest.raises(DraftChanged):
        drafts.approve(draft.case_id, draft.pk, hash=draft.hash, **ANN)
    approve(played)
    [mail] = played.mails
    assert (mail["subject"], mail["text"].strip()) == ("Your invoice", "Please send it.")
    edited = played.case.events.get(type="draft.edited")
    assert (edited.actor, edited.data["before"]) == ("staff ann", f"{draft.subject}\n\n{draft.text}")


def test_changed_words_are_looked_through_too() -> None:
    played = begin(metadata={"secret": "canary-4711"})
    draft = draft_of(played)
    with pytest.raises(DraftRefused) as refused:
        drafts.edit(draft.case_id, draft.pk, hash=draft.hash, body="It is canary-4711.", **ANN)
    assert refused.value.details == [{"path": "body", "message": "Contains the value of metadata.secret."}]
    assert draft_of(played).text == draft.text


@pytest.mark.parametrize("field", ["to_address", "subject", "text"])
def test_the_hash_is_of_all_that_is_approved(field: str) -> None:
    draft = draft_of(begin())
    before = draft.hash
    Message.objects.filter(pk=draft.pk).update(**{field: "another"})
    assert Draft.objects.get(pk=draft.pk).hash != before


def test_the_hash_is_of_the_attachments_too() -> None:
    draft = draft_of(begin())
    before = draft.hash
    AttachmentFactory(message=Message.objects.get(pk=draft.pk))
    assert Draft.objects.get(pk=draft.pk).hash != before


def test_a_rejected_draft_is_written_anew_with_the_reason(obedient: None) -> None:
    played = begin()
    first = draft_of(played)
    reject(played, "Name the month.")
    second = draft_of(played)
    assert (second.pk != first.pk, second.text) == (True, "Hello, draft 1. Name the month.")
    first.refresh_from_db()
    assert (first.status, first.decided_by, first.rejection) == ("DROPPED", "staff ann", "Name the month.")
    approve(played)
    assert [mail["text"].strip() for mail in played.mails] == ["Hello, draft 1. Name the month."]
    assert drafts.rejected(played.case) == []  # what has been heeded is over


def test_after_three_rejections_a_person_says_what_to_write(obedient: None) -> None:
    played = begin()
    for reason in ("One.", "Two.", "Three."):
        reject(played, reason)
    assert (played.reload().status, drafts.waiting(played.case), played.mails) == (Status.INPUT_NEEDED, None, [])
    assert "- One.\n- Two.\n- Three.\n" in played.question.question
    services.provide_input(case_id=played.case.pk, input_request_id=played.question.pk, provided_context="Go.", **ANN)
    run_due()
    assert draft_of(played).text == "Hello, draft 0. "


def test_an_agent_that_writes_the_same_again_asks_a_person() -> None:
    played = begin()
    reject(played, "Name the month.")
    assert "Name the month." in played.question.question
    services.provide_input(
        case_id=played.case.pk, input_request_id=played.question.pk, provided_context="It is about March.", **ANN
    )
    run_due()
    assert ("It is about March." in draft_of(played).text, played.mails) == (True, [])


def test_a_rejected_reply_opens_again_what_it_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    played = begin()
    approve(played)
    played.reply("Invoice number: INV-7")
    seen: list[CaseView] = []
    evaluate = FormAgent.evaluate

    def looking(agent: FormAgent, case: CaseView, faults: tuple[str, ...] = ()) -> Any:
        seen.append(case)
        return evaluate(agent, case, faults)

    monkeypatch.setattr(FormAgent, "evaluate", looking)
    reject(played, "Too long.")
    [view] = seen
    assert [(rejection.reason, bool(rejection.body)) for rejection in view.rejections] == [("Too long.", True)]
    assert [mail.unread for mail in view.from_counterparty] == [True]
    assert played.reload().events.filter(type="verdict", data__decision=Decision.REPLY).count() == 2


def test_a_message_that_was_never_a_draft_is_none() -> None:
    played = begin("none")
    with pytest.raises(DraftNotFound):
        drafts.approve(played.case.pk, played.sent[0].pk, hash="", **ANN)


# --- At the same moment ---


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_of_many_decisions_at_once_exactly_one_wins() -> None:
    played = begin()
    draft = draft_of(played)
    acts: tuple[Callable[[str], Case], ...] = (
        lambda actor: drafts.approve(draft.case_id, draft.pk, hash=draft.hash, actor=actor),
        lambda actor: drafts.reject(draft.case_id, draft.pk, reason="No.", actor=actor),
    )

    def decide(number: int) -> str:
        try:
            acts[number % 2](f"staff {number}")
        except CaseError as error:
            return error.code
        return f"staff {number}"

    outcomes = in_threads(20, decide)
    [winner] = [outcome for outcome in outcomes if outcome != "DRAFT_NOT_PENDING"]
    draft.refresh_from_db()
    assert draft.decided_by == winner
    decided = played.case.events.filter(type__in=("draft.approved", "draft.rejected"))
    assert [event.actor for event in decided] == [winner]
    run_due()
    assert len(played.mails) == (0 if draft.rejection else 1)
