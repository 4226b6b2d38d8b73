"""A case that is paused, changed or too late, step by step: what goes out, and what does not."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from cases import changes, correspondence, pump, services, transitions, work
from cases.factories import CaseFactory, MessageFactory, reschedule
from cases.models import Case, MessageStatus, Purpose, ResultStatus, Status
from cases.testing import run_due
from outreach import sandbox
from outreach.agents import registry
from outreach.agents.base import CaseView, Decision, Verdict
from outreach.agents.form import FormAgent
from outreach.agents.prompting import data_of
from outreach.factories import FORM, Played
from outreach.situation import Situation

pytestmark = [pytest.mark.engine, pytest.mark.django_db]
HOUR = timedelta(hours=1)
STAFF = "staff ann"
COMPLETE = "Invoice number: INV-7\nTotal: 1250.50"


class Waiting(FormAgent):
    """Says that there is nothing to do yet; `meanwhile` happens while it thinks."""

    def __init__(self, meanwhile: Callable[[], Any] = lambda: None) -> None:
        self.meanwhile = meanwhile
        self.asked = 0

    def evaluate(self, case: CaseView, faults: tuple[str, ...] = ()) -> Verdict:
        self.asked += 1
        self.meanwhile()
        return Verdict(Decision.WAIT, reason="Not yet.")


def think_with(monkeypatch: pytest.MonkeyPatch, agent: FormAgent) -> None:
    monkeypatch.setattr(registry, "current", lambda seconds: agent)


# --- Paused ---


def test_a_paused_case_sends_nothing_and_keeps_what_comes() -> None:
    played = Played.begin(result_schema=FORM)
    changes.pause_case(played.case.pk, actor=STAFF)
    played.reply(COMPLETE)
    played.wait(hours=500)
    case = played.reload()
    assert (case.status, case.attempt_count, len(played.mails)) == (Status.RUNNING, 1, 1)
    assert case.messages.unread().count() == 1
    changes.resume_case(case.pk, actor=STAFF)
    run_due()
    case = played.reload()
    assert (case.status, case.result) == (Status.COMPLETED, {"invoiceNumber": "INV-7", "total": 1250.5})
    assert len(played.mails) == 1  # the reply has decided, no follow-up was sent


def test_a_new_case_that_is_paused_writes_its_first_mail_when_it_is_resumed() -> None:
    case = CaseFactory()
    changes.pause_case(case.pk, actor=STAFF)
    run_due()
    assert (Case.objects.get().status, case.messages.count()) == (Status.CREATED, 0)
    changes.resume_case(case.pk, actor=STAFF)
    run_due()
    assert (Case.objects.get().status, case.messages.count()) == (Status.RUNNING, 1)


def test_what_is_decided_while_the_case_is_paused_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played.begin(result_schema=FORM)
    agent = Waiting(lambda: changes.pause_case(played.case.pk, actor=STAFF))
    think_with(monkeypatch, agent)
    sandbox.reply(played.case, text="Soon.")
    run_due()
    case = played.reload()
    assert (agent.asked, case.due_at, case.messages.unread().count()) == (1, None, 1)
    assert "verdict" not in played.timeline


def test_a_queued_mail_stays_behind_and_a_persons_own_goes_out_afterwards() -> None:
    case = Played.begin().reload()
    services.reply_to_counterparty(case.pk, text="Hello.", actor=STAFF)
    changes.pause_case(case.pk, actor=STAFF)
    run_due()
    assert case.messages.get(text="Hello.").status == MessageStatus.QUEUED
    changes.resume_case(case.pk, actor=STAFF)
    run_due()
    assert case.messages.get(text="Hello.").status == MessageStatus.SENT


def test_a_step_that_has_read_the_case_before_it_was_paused_sends_nothing() -> None:
    case = CaseFactory()
    MessageFactory(case=case, status=MessageStatus.QUEUED)
    [held] = work.claim("case", 1)
    changes.pause_case(case.pk, actor=STAFF)
    pump.run_step(held)
    assert case.messages.get().send_started_at is None


def test_a_mail_whose_send_has_begun_is_brought_to_its_end() -> None:
    case = CaseFactory(status=Status.RUNNING)
    mail = MessageFactory(case=case, status=MessageStatus.QUEUED, send_started_at=work.now())
    changes.pause_case(case.pk, actor=STAFF)
    run_due()
    mail.refresh_from_db()
    case = Case.objects.get()
    assert (mail.status, case.attempt_count, case.due_at) == (MessageStatus.SENT, 2, None)
    assert case.paused_at is not None


def test_a_bounce_ends_a_paused_case() -> None:
    case = CaseFactory(status=Status.RUNNING)
    changes.pause_case(case.pk, actor=STAFF)
    with work.transaction():
        locked = Case.objects.locked(case.pk)
        correspondence.record_delivery_failure(locked, result_status=ResultStatus.BOUNCED, reason="No such user.")
    assert Case.objects.get().result_status == ResultStatus.BOUNCED


# --- Changed ---


def test_what_is_decided_on_how_the_case_stood_before_a_change_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played.begin(result_schema=FORM)
    happens = iter([lambda: changes.change_case(played.case.pk, {"constraints": ["No."]}, actor=STAFF)])
    agent = Waiting(lambda: next(happens, lambda: None)())
    think_with(monkeypatch, agent)
    played.reply("Soon.")
    assert agent.asked == 2
    assert played.timeline.count("verdict") == 1


# --- Too late ---


def deadline(case: Case, **ahead: float) -> None:
    changes.change_case(case.pk, {"deadline_at": work.now() + timedelta(**ahead)}, actor=STAFF)


def test_past_its_deadline_a_case_fails_and_sends_nothing_more() -> None:
    played = Played.begin(follow_up_delay_hours=5)
    deadline(played.case, hours=8)
    played.wait(hours=6)
    case = played.reload()
    assert (case.follow_up_count, case.next_action_at) == (1, case.deadline_at)  # 5 h more would be too late
    played.wait(hours=1)
    assert played.reload().status == Status.RUNNING
    played.wait(hours=1.1)
    case = played.reload()
    assert (case.status, case.result_status) == (Status.FAILED, ResultStatus.DEADLINE_PASSED)
    assert case.failure_reason == "The deadline passed before the goal was reached."
    assert (len(played.mails), case.due_at) == (2, None)


def test_a_reply_that_is_unread_at_the_deadline_is_looked_at_first() -> None:
    played = Played.begin(result_schema=FORM)
    deadline(played.case, hours=8)
    sandbox.reply(played.case, text=COMPLETE)
    Case.objects.update(deadline_at=work.now() - HOUR)
    run_due()
    assert played.reload().status == Status.COMPLETED


def test_a_reply_that_does_not_reach_the_goal_is_not_answered_any_more() -> None:
    played = Played.begin(result_schema=FORM)
    sandbox.reply(played.case, text="Total: 5")
    Case.objects.update(deadline_at=work.now() - HOUR)
    run_due()
    case = played.reload()
    assert (case.result_status, len(played.mails)) == (ResultStatus.DEADLINE_PASSED, 1)
    assert case.messages.unread().count() == 0


def test_a_reply_that_has_not_settled_holds_the_deadline_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Case, "settle", HOUR)
    played = Played.begin(result_schema=FORM)
    sandbox.reply(played.case, text="Total: 5")
    run_due("payload")
    Case.objects.update(deadline_at=work.now() - HOUR)
    reschedule(played.case)
    run_due()
    case = played.reload()
    assert (case.status, case.due_at) == (Status.RUNNING, case.messages.unread().get().created_at + HOUR)


@pytest.mark.parametrize("operational", [True, False])
def test_an_open_question_does_not_hold_the_deadline_up(operational: bool) -> None:
    played = Played.begin()
    with work.transaction():
        locked = Case.objects.locked(played.case.pk)
        transitions.ask(locked, question="Which one?", reason="", is_operational=operational)
    deadline(played.case, hours=8)
    played.wait(hours=9)
    assert played.reload().result_status == ResultStatus.DEADLINE_PASSED


def test_a_deadline_that_passes_in_a_pause_counts_when_the_case_is_resumed() -> None:
    played = Played.begin()
    deadline(played.case, hours=8)
    changes.pause_case(played.case.pk, actor=STAFF)
    played.wait(hours=9)
    assert played.reload().status == Status.RUNNING
    changes.resume_case(played.case.pk, actor=STAFF)
    run_due()
    assert played.reload().result_status == ResultStatus.DEADLINE_PASSED
    assert len(played.mails) == 1


def test_a_mail_that_is_still_queued_at_the_deadline_is_not_sent() -> None:
    case = CaseFactory(status=Status.RUNNING, deadline_at=work.now() - HOUR)
    mail = MessageFactory(case=case, status=MessageStatus.QUEUED)
    run_due()
    mail.refresh_from_db()
    assert (mail.status, Case.objects.get().result_status) == (MessageStatus.DROPPED, ResultStatus.DEADLINE_PASSED)


@pytest.mark.parametrize("is_draft", [False, True])
def test_a_goal_that_was_reached_stays_reached_though_its_thanks_are_too_late(is_draft: bool) -> None:
    case = CaseFactory(status=Status.RUNNING, deadline_at=work.now() - HOUR)
    end = {"result": {"total": 3}, "sources": [], "reason": "All is there."}
    with work.transaction():
        locked = Case.objects.locked(case.pk)
        purpose = Purpose.REPLY
        correspondence.queue(locked, purpose=purpose, subject="s", text="Thanks.", completion=end, is_draft=is_draft)
    run_due()
    case.refresh_from_db()
    assert (case.status, case.result_status, case.result) == (Status.COMPLETED, "goal_achieved", {"total": 3})
    assert case.sandbox_mails.count() == 0
    assert case.messages.get().status == MessageStatus.DROPPED


def test_the_counterparty_is_told_of_the_deadline() -> None:
    at = work.now().replace(year=2031, month=1, day=5, hour=11, minute=30)
    counterparty = {"address": "ann@supplier.example", "name": "Ann", "timezone": "Europe/Zurich"}
    played = Played.begin(deadline_at=at, counterparty=counterparty)
    played.wait(hours=73)
    assert "We need your answer by 5 January 2031, 12:30 (Europe/Zurich)." in played.mails[0]["text"]
    assert "We need your answer by 2 January 2031, 11:30 (Europe/Zurich)." in played.mails[1]["text"]


def test_an_agent_is_told_of_the_deadline() -> None:
    case = CaseFactory(deadline_at=work.now() + HOUR)
    assert case.deadline_at is not None
    client = data_of("outreach", Situation.of(case).view(), 1000)["client"]
    assert client["deadline"] == case.deadline_at.isoformat()
    without = data_of("outreach", Situation.of(CaseFactory()).view(), 1000)["client"]
    assert "deadline" not in without
