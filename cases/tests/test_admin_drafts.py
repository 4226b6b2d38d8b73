"""The list of drafts, and the page on which one is approved, changed or rejected."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client as Browser
from django.urls import reverse

from cases import claims, correspondence, drafts, services, work
from cases.admin import difference
from cases.events import record
from cases.factories import AttachmentFactory, CaseFactory, MessageFactory
from cases.models import Case, Draft, Message, MessageStatus, Purpose
from cases.tests.staff import HOSTILE, assert_harmless, staff, staff_user, told

LIST = "/admin/cases/draft/"


@pytest.fixture
def clerk(db: None) -> Browser:
    return staff("view_case", "change_case")


def waiting_draft(*, hours: int = 0, text: str = "Please send it.", **fields: Any) -> Draft:
    """One that has waited for so long."""
    case = CaseFactory(review_mode="all", **fields)
    with work.transaction():
        locked = Case.objects.locked(case.pk)
        faults = ["It promised a date."]
        record(locked, "draft.judged", agent="openai", judged=True, allowed=True, rewritten=True, faults=faults)
        message = correspondence.queue(locked, purpose=Purpose.OUTREACH, subject="Invoice", text=text, is_draft=True)
    written_at = work.now() - timedelta(hours=hours)
    Message.objects.filter(pk=message.pk).update(drafted_at=written_at)
    case.events.update(at=written_at)
    draft: Draft = Draft.objects.get(pk=message.pk)
    return draft


def page_of(draft: Draft) -> str:
    return reverse("admin:cases_draft_change", args=[draft.pk])


def decide(browser: Browser, draft: Draft, how: str, **fields: Any) -> Any:
    return browser.post(f"{page_of(draft).removesuffix('change/')}{how}/", {"hash": draft.hash, **fields})


def test_drafts_that_wait_are_listed_the_longest_waiting_one_first(clerk: Browser) -> None:
    newer, older, cancelled, moved_on = (waiting_draft(hours=hours) for hours in (1, 5, 9, 8))
    services.cancel_case(cancelled.case_id, actor="staff ann")
    Case.objects.filter(pk=moved_on.case_id).update(version=99)
    assert list(clerk.get(LIST).context["cl"].result_list) == [older, newer]
    assert list(clerk.get(LIST, {"state": "settled"}).context["cl"].result_list) == [cancelled, moved_on]
    assert len(clerk.get(LIST, {"state": "all"}).context["cl"].result_list) == 4
    assert "2</strong> drafts to approve" in clerk.get("/admin/").content.decode()


def test_the_page_has_all_that_a_decision_needs(clerk: Browser) -> None:
    draft = waiting_draft(hours=2, goal={"objective": "Get the total."})
    AttachmentFactory(message=Message.objects.get(pk=draft.pk), name="order.pdf")
    MessageFactory(case=draft.case, direction="IN", text="What do you want?")
    html = clerk.get(page_of(draft)).content.decode()
    for shown in (
        "Bob Buyer",
        draft.from_address,
        "ann@supplier.example",
        "Invoice",
        "Please send it.",
        "order.pdf",
        "It promised a date.",
        "written anew and judged: it may be sent",
        "What do you want?",
        "Get the total.",
        "waits for approval",
        f'name="hash" value="{draft.hash}"',
    ):
        assert shown in html, shown
    assert (
        "A draft has waited 2" in clerk.get(reverse("admin:cases_case_change", args=[draft.case_id])).content.decode()
    )


def test_approving_queues_the_mail_and_shows_the_next_draft(clerk: Browser) -> None:
    draft, other = waiting_draft(hours=2), waiting_draft(hours=1)
    response = decide(clerk, draft, "approve")
    assert (response.status_code, response.headers["location"]) == (302, page_of(other))
    draft.refresh_from_db()
    assert (draft.status, draft.decided_by) == (MessageStatus.QUEUED, "staff ann0")
    assert (LogEntry.objects.get().object_id, str(LogEntry.objects.get().change_message)) == (str(draft.pk), "Approve")
    other.refresh_from_db()
    assert other.claimed_by == User.objects.get(username="ann0")
    assert decide(clerk, other, "approve").headers["location"] == f"{LIST}done/"


def test_changed_words_are_saved_and_the_draft_goes_on_waiting(clerk: Browser) -> None:
    draft = waiting_draft()
    response = decide(clerk, draft, "edit", subject="Your invoice", body=" Send it.\r\nThanks. ")
    assert response.headers["location"] == page_of(draft)
    changed = Draft.objects.get(pk=draft.pk)
    assert (changed.subject, changed.text, changed.edited_by) == ("Your invoice", "Send it.\nThanks.", "staff ann0")
    assert (changed.status, changed.decided_by) == (MessageStatus.DRAFT, "")
    page = clerk.get(page_of(draft)).content.decode()
    assert "Changed by staff ann0" in page
    case = clerk.get(reverse("admin:cases_case_change", args=[draft.case_id])).content.decode()
    assert "The draft was changed; before, it read" in case
    assert "Please send it." in case


def test_rejecting_needs_a_reason(clerk: Browser) -> None:
    draft = waiting_draft()
    assert "This field is required." in decide(clerk, draft, "reject").content.decode()
    draft.refresh_from_db()
    assert draft.status == MessageStatus.DRAFT
    assert decide(clerk, draft, "reject", reason="Name the month.").status_code == 302
    draft.refresh_from_db()
    assert (draft.status, draft.rejection, draft.decided_by) == (MessageStatus.DROPPED, "Name the month.", "staff ann0")


def test_who_comes_second_is_told_who_was_first_and_keeps_what_was_typed(clerk: Browser) -> None:
    draft = waiting_draft()
    drafts.approve(draft.case_id, draft.pk, hash=draft.hash, actor="staff zoe")
    response = decide(clerk, draft, "edit", subject="Mine", body="My own words.")
    assert told(response) == ["Nothing was done. Someone was faster: zoe has approved this draft."]
    assert "My own words." in response.content.decode()
    rejected = waiting_draft()
    drafts.reject(rejected.case_id, rejected.pk, reason="No.", actor="client key")
    response = decide(clerk, rejected, "approve")
    assert told(response) == ["Nothing was done. Someone was faster: client key has rejected this draft."]
    assert not LogEntry.objects.exists()


def test_an_approval_of_what_has_changed_meanwhile_does_nothing(clerk: Browser) -> None:
    draft = waiting_draft()
    drafts.edit(draft.case_id, draft.pk, hash=draft.hash, body="Other words.", actor="staff zoe")
    response = decide(clerk, draft, "approve")
    [warning] = told(response)
    assert "zoe has changed the draft since you opened the page" in warning
    changed = Draft.objects.get(pk=draft.pk)
    assert changed.status == MessageStatus.DRAFT
    assert f'name="hash" value="{changed.hash}"' in response.content.decode()


def test_a_draft_that_its_case_has_moved_on_without_is_not_approved(clerk: Browser) -> None:
    draft = waiting_draft()
    Case.objects.filter(pk=draft.case_id).update(version=99)
    assert told(decide(clerk, draft, "approve")) == ["Nothing was done. The case has moved on without this draft."]
    html = clerk.get(page_of(draft)).content.decode()
    assert "Approve and send" not in html


def test_only_those_who_may_act_decide(db: None) -> None:
    draft = waiting_draft()
    viewer, stranger = staff("view_case"), staff()
    assert "Approve and send" not in viewer.get(page_of(draft)).content.decode()
    assert stranger.get(page_of(draft)).status_code == 403
    for browser in (viewer, stranger):
        for how in ("approve", "edit", "reject"):
            assert decide(browser, draft, how, reason="No.", subject="a", body="b").status_code == 403
    assert is_untouched(draft)


def is_untouched(draft: Draft) -> bool:
    draft.refresh_from_db()
    return (draft.status, draft.text) == (MessageStatus.DRAFT, "Please send it.")


def test_a_get_decides_nothing(clerk: Browser) -> None:
    draft = waiting_draft()
    for how in ("approve", "edit", "reject"):
        assert clerk.get(f"{page_of(draft).removesuffix('change/')}{how}/").status_code == 405
    assert is_untouched(draft)


def test_hostile_words_are_only_shown(clerk: Browser) -> None:
    draft = waiting_draft(
        text=HOSTILE, sender_persona={"name": HOSTILE}, counterparty={"address": "a@b.c", "name": HOSTILE}
    )
    assert_harmless(clerk.get(page_of(draft)).content.decode())
    assert_harmless(decide(clerk, draft, "edit", subject=HOSTILE, body="").content.decode())


def test_what_a_colleague_has_taken_is_not_decided_unless_it_is_taken_over(clerk: Browser) -> None:
    draft = waiting_draft()
    claims.claim(draft, staff_user("zoe", "change_case"))
    assert "Approve and send" not in clerk.get(page_of(draft)).content.decode()
    assert told(decide(clerk, draft, "approve"))[0].startswith("Nothing was done. zoe has taken it since")
    assert is_untouched(draft)
    decide(clerk, draft, "take_over")
    assert decide(clerk, draft, "approve").status_code == 302
    assert "draft.taken_over" in [event.type for event in draft.case.events.all()]


def test_drafts_wait_in_a_queue_and_are_handed_over(clerk: Browser) -> None:
    newer, older = waiting_draft(hours=1), waiting_draft(hours=5)
    zoe = staff_user("zoe", "change_case")
    queue = clerk.get(f"{LIST}queue/")
    assert list(queue.context["rows"]) == [older, newer]
    assert clerk.post(f"{LIST}next/").headers["location"] == page_of(older)
    handed = decide(clerk, older, "hand_over", colleague=zoe.pk, note="Yours.")
    assert handed.headers["location"] == page_of(newer)
    older.refresh_from_db()
    assert (older.assigned_to, older.status) == (zoe, MessageStatus.DRAFT)
    assert Draft.objects.waiting().count() == 2


def test_the_page_shows_what_was_changed_and_what_must_not_leave(clerk: Browser) -> None:
    draft = waiting_draft(text="Please send it soon.", metadata={"ledger": "secret-ledger-4711"})
    decide(clerk, draft, "edit", subject="Invoice", body="Please send it today.")
    changed = Draft.objects.get(pk=draft.pk)
    decide(clerk, changed, "edit", subject="Invoice", body="Please send it today, Ann.")
    html = clerk.get(page_of(draft)).content.decode()
    assert "<del>soon.</del><ins>today, Ann.</ins>" in html  # against the agent's words, not the last ones
    assert "must not" not in html
    Message.objects.filter(pk=draft.pk).update(text="See secret-ledger-4711.")
    html = clerk.get(page_of(draft)).content.decode()
    assert "This mail would be kept from leaving" in html
    assert "the value of metadata.ledger" in html


def test_a_difference_has_all_of_both_texts() -> None:
    before, after = "Dear Ann,\n\nplease send it.\n", "Dear Zoe,\n\nplease send it soon.\nBob"
    pieces = difference.between(before, after)
    assert "".join(piece.text for piece in pieces if piece.kind != "added") == before
    assert "".join(piece.text for piece in pieces if piece.kind != "taken") == after
    assert [(piece.kind, piece.text) for piece in pieces if piece.kind != "kept"][:2] == [
        ("taken", "Ann,"),
        ("added", "Zoe,"),
    ]
    assert difference.between("same", "same") == [difference.Piece("kept", "same")]
    long = "word " * 5000
    assert [piece.kind for piece in difference.between(long, f"{long}\nmore")] == ["taken", "added"]
