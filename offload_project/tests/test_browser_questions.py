"""The queue of questions and drafts in a real browser: decided by clicking, by keyboard alone, and by two at once."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from cases import correspondence, work
from cases.events import record
from cases.factories import CaseFactory, InputRequestFactory
from cases.models import Case, Draft, InputRequest, MessageStatus, Purpose, RequestStatus, Status
from offload_project.tests.browser import log_in, new_context, picture
from offload_project.tests.test_browser import question_with_a_history

pytestmark = pytest.mark.long

QUEUE = "/admin/cases/inputrequest/queue/"
SCHEMA = {
    "type": "object",
    "required": ["invoiceNumber", "total", "lines"],
    "properties": {
        "invoiceNumber": {"type": "string", "title": "Invoice number", "description": "As printed on the invoice."},
        "total": {"type": "number", "minimum": 0},
        "dueOn": {"type": "string", "format": "date"},
        "paid": {"type": "boolean"},
        "state": {"enum": ["open", "closed"]},
        "address": {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}},
        "tags": {"type": "array", "items": {"type": "string"}},
        "lines": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "price": {"type": "number"}},
            },
        },
        "extra": {"oneOf": [{"type": "string"}, {"type": "object"}]},
    },
}


def old_question() -> InputRequest:
    """The one that has waited longest, with all that an agent can bring along."""
    question = question_with_a_history()
    theirs = question.case.messages.get(direction="IN")
    Case.objects.filter(pk=question.case_id).update(result_schema=SCHEMA)
    question.requested_at = timezone.now() - timedelta(hours=5)
    question.proposal = {
        "reply": "Dear Ann,\n\nis the express delivery included in the total?\n\nBob Buyer",
        "values": {"total": 120},
        "sources": [{"path": "/total", "source_id": str(theirs.pk), "quote": "May we add 20 EUR"}],
    }
    question.save()
    return question


def asked(text: str, hours: int) -> InputRequest:
    question: InputRequest = InputRequestFactory(question=text, requested_at=timezone.now() - timedelta(hours=hours))
    return question


def waiting_draft() -> Draft:
    case = CaseFactory(review_mode="all", metadata={"ledger": "secret-ledger-4711"})
    with work.transaction():
        locked = Case.objects.locked(case.pk)
        record(locked, "draft.judged", agent="openai", judged=True, allowed=True, rewritten=False, faults=[])
        text = "Dear Ann,\n\nplease send us the invoice of March soon.\n\nBob"
        message = correspondence.queue(
            locked, purpose=Purpose.OUTREACH, subject="Invoice of March", text=text, is_draft=True
        )
    draft: Draft = Draft.objects.get(pk=message.pk)
    return draft


def test_the_oldest_question_is_answered_and_the_next_one_comes(page: Page) -> None:
    oldest, newer = old_question(), asked("Is Zoe still the right person?", 1)
    log_in(page, QUEUE)
    rows = page.locator("a[data-row]")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("Ann Supplier asks")
    picture(page, "queue")
    page.get_by_role("button", name="Next question").click()
    expect(page.get_by_text("You have taken this question")).to_be_visible()
    expect(page.get_by_text("Never promise a date of payment.")).to_be_visible()
    picture(page, "queue-question")
    page.get_by_label("Answer", exact=True).fill("Yes, 20 EUR are fine.")
    page.locator("#choose-answer").get_by_role("button", name="Answer", exact=True).click()
    expect(page.get_by_text("The answer is stored.")).to_be_visible()
    expect(page.get_by_text("Is Zoe still the right person?").first).to_be_visible()
    oldest.refresh_from_db()
    newer.refresh_from_db()
    assert (oldest.status, oldest.provided_context) == (RequestStatus.RESOLVED, "Yes, 20 EUR are fine.")
    assert (newer.is_pending, newer.claimed_by) == (True, User.objects.get(username="ann"))
    page.get_by_label("Answer", exact=True).fill("Yes.")
    page.locator("#choose-answer").get_by_role("button", name="Answer", exact=True).click()
    expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()
    picture(page, "queue-done")


def test_a_case_is_completed_with_the_form_of_its_schema(page: Page) -> None:
    question = old_question()
    log_in(page, f"/admin/cases/inputrequest/{question.pk}/change/")
    page.get_by_text("Complete with a result", exact=True).click()
    expect(page.get_by_label("Total")).to_have_value("120")  # as found, with its source
    expect(page.locator("#result-1-quotes")).to_contain_text("May we add 20 EUR")
    page.get_by_label("Total").fill("-5")
    page.get_by_label("Due on").fill("2027-01-31")
    page.get_by_label("Paid").select_option("no")
    page.get_by_label("Tags").fill("express\nmarch")
    page.get_by_role("button", name="Add to Lines").click()
    expect(page.get_by_label("Name", exact=False).first).to_be_focused()
    page.get_by_label("Name").fill("Express delivery")
    page.get_by_label("Price").fill("20")
    page.get_by_role("button", name="Complete with this result").last.click()
    expect(page.get_by_text("2 fields to put right")).to_be_visible()
    expect(page.locator("#result-0-errors")).to_have_text("This field is required.")
    expect(page.locator("#result-1-errors")).to_have_text("-5 is less than the minimum of 0")
    picture(page, "queue-wrong-result")
    question.refresh_from_db()
    assert question.is_pending
    page.get_by_label("Invoice number").fill("INV-7")
    page.get_by_label("Total").fill("140")
    page.get_by_label("Total").press("Enter")  # sends the form, and adds no row
    expect(page.get_by_text("Nothing is done yet. This ends the case:")).to_be_visible()
    picture(page, "question-asks-once-more")
    page.get_by_role("button", name="Yes: complete with this result").click()
    expect(page.get_by_text("The case is completed.")).to_be_visible()
    case = Case.objects.get(pk=question.case_id)
    assert case.status == Status.COMPLETED
    assert case.result == {
        "invoiceNumber": "INV-7",
        "total": 140,
        "dueOn": "2027-01-31",
        "paid": False,
        "tags": ["express", "march"],
        "lines": [{"name": "Express delivery", "price": 20}],
    }


def test_a_reply_is_seen_as_it_leaves_before_it_is_sent(page: Page) -> None:
    question = old_question()
    log_in(page, f"/admin/cases/inputrequest/{question.pk}/change/")
    page.get_by_text("Write to the counterparty", exact=True).click()
    text = page.get_by_label("Text", exact=True)
    expect(text).to_have_value("Dear Ann,\n\nis the express delivery included in the total?\n\nBob Buyer")
    text.fill("Dear Ann,\n\n20 EUR are fine.\n\nBob Buyer")
    page.get_by_role("button", name="Preview the mail").click()
    preview = page.locator(".mail-preview")
    expect(preview).to_contain_text("Ann Supplier <ann@supplier.example>")
    expect(preview).to_contain_text("Re: Invoice of March")
    expect(preview).to_contain_text("20 EUR are fine.")
    picture(page, "queue-preview")
    assert not question.case.messages.filter(status=MessageStatus.QUEUED).exists()
    page.get_by_role("button", name="Send this mail").click()
    expect(page.get_by_text("The text will be sent as the next mail.")).to_be_visible()
    assert question.case.messages.get(status=MessageStatus.QUEUED).text == "Dear Ann,\n\n20 EUR are fine.\n\nBob Buyer"


def test_a_draft_is_changed_and_approved(page: Page) -> None:
    draft = waiting_draft()
    log_in(page, "/admin/cases/draft/queue/")
    page.get_by_role("button", name="Next draft").click()
    page.get_by_text("Change the words", exact=True).click()
    page.get_by_label("Text", exact=True).fill("Our ledger is secret-ledger-4711.")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Contains the value of metadata.ledger.")).to_be_visible()
    page.get_by_label("Text", exact=True).fill("Dear Ann,\n\nplease send us the invoice of March today.\n\nBob")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".changes del")).to_have_text("soon.")
    expect(page.locator(".changes ins")).to_have_text("today.")
    expect(page.get_by_text("Changed by staff ann")).to_be_visible()
    picture(page, "queue-draft")
    page.get_by_role("button", name="Approve and send").click()
    expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()
    draft.refresh_from_db()
    assert (draft.status, draft.decided_by, draft.edited_by) == (MessageStatus.QUEUED, "staff ann", "staff ann")


def test_two_people_at_one_question(
    page: Page,
    chromium: Browser,
    live_server: LiveServer,
) -> None:
    question = old_question()
    User.objects.create_superuser("zoe", password="not a secret")
    path = f"/admin/cases/inputrequest/{question.pk}/change/"
    complaints: list[str] = []
    context = new_context(chromium, live_server.url, complaints)
    hers = context.new_page()
    try:
        log_in(page, path)
        log_in(hers, path, "zoe")
        hers.get_by_role("button", name="Take it").click()
        expect(hers.get_by_text("You have taken this question")).to_be_visible()
        page.get_by_label("Answer", exact=True).fill("Mine.")
        expect(page.get_by_text("It was not taken. zoe has taken it")).to_be_visible()  # and the page has grown
        page.locator("#choose-answer").get_by_role("button", name="Answer", exact=True).click()
        expect(page.get_by_text("Your answer was not stored. zoe has taken it")).to_be_visible()
        expect(page.get_by_label("Answer", exact=True)).to_have_value("Mine.")
        picture(page, "queue-taken")
        hers.get_by_label("Answer", exact=True).fill("Hers.")
        hers.locator("#choose-answer").get_by_role("button", name="Answer", exact=True).click()
        expect(hers.get_by_role("heading", name="Nothing waits for you")).to_be_visible()
        page.locator("#choose-answer").get_by_role("button", name="Answer", exact=True).click()
        expect(page.get_by_text("Someone was faster: zoe has answered this question.").first).to_be_visible()
        expect(page.get_by_text("Mine.", exact=True)).to_be_visible()
    finally:
        context.close()
    assert complaints == []
    question.refresh_from_db()
    assert (question.provided_context, question.answered_by) == ("Hers.", "staff zoe")


def test_whoever_begins_to_type_has_taken_it(page: Page) -> None:
    question = old_question()
    log_in(page, f"/admin/cases/inputrequest/{question.pk}/change/")
    expect(page.get_by_text("Nobody has taken this question.")).to_be_visible()
    page.get_by_label("Answer", exact=True).press_sequentially("Yes")
    expect(page.get_by_text("You have taken this question")).to_be_visible()
    expect(page.get_by_label("Answer", exact=True)).to_be_focused()
    question.refresh_from_db()
    assert question.claimed_by == User.objects.get(username="ann")


def test_the_queue_renews_itself(page: Page) -> None:
    asked("Is Zoe still the right person?", 1)
    log_in(page, QUEUE)
    expect(page.locator("a[data-row]")).to_have_count(1)
    page.wait_for_load_state()
    page.keyboard.press("j")
    expect(page.locator("a[data-row]").first).to_be_focused()
    asked("May we pay?", 2)
    expect(page.locator("a[data-row]")).to_have_count(2, timeout=20_000)
    expect(page.get_by_role("link", name="Is Zoe still the right person?")).to_be_focused()


def test_the_keyboard_alone_suffices(page: Page) -> None:
    oldest, middle, newest = asked("May we pay?", 3), asked("Is Zoe the right person?", 2), asked("How many?", 1)
    log_in(page, QUEUE)
    page.wait_for_load_state()
    keys = page.keyboard
    keys.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    picture(page, "queue-keys")
    keys.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    rows = page.locator("a[data-row]")
    for key, at in (("j", 0), ("j", 1), ("ArrowDown", 2), ("j", 2), ("k", 1), ("ArrowUp", 0), ("j", 1)):
        keys.press(key)
        expect(rows.nth(at)).to_be_focused()
    keys.press("c")
    expect(page.get_by_text("You have taken this question")).to_be_visible()
    expect(page.get_by_text("Is Zoe the right person?").first).to_be_visible()
    keys.press("a")
    answer = page.get_by_label("Answer", exact=True)
    expect(answer).to_be_focused()
    keys.type("can n")  # keys that would do something elsewhere
    expect(answer).to_have_value("can n")
    keys.press("Control+Enter")
    expect(page.get_by_text("The answer is stored.")).to_be_visible()
    middle.refresh_from_db()
    assert (middle.provided_context, middle.status) == ("can n", RequestStatus.RESOLVED)
    expect(page.get_by_text("How many?").first).to_be_visible()
    keys.press("n")
    expect(page.get_by_text("May we pay?").first).to_be_visible()
    keys.press("r")
    text = page.get_by_label("Text", exact=True)
    expect(text).to_be_focused()
    keys.type("Dear Ann, yes.")
    keys.press("Control+Enter")
    expect(page.get_by_role("button", name="Send this mail")).to_be_focused()
    keys.press("Enter")
    expect(page.get_by_text("The text will be sent as the next mail.")).to_be_visible()
    assert oldest.case.messages.get(status=MessageStatus.QUEUED).text == "Dear Ann, yes."
    expect(page.get_by_text("How many?").first).to_be_visible()
    keys.press("a")
    keys.type("x")
    keys.press("Escape")  # not typing any more
    keys.press("n")
    expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()
    newest.refresh_from_db()
    assert newest.is_pending
