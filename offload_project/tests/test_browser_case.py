"""The page of a case in a real browser: read at a desk and on a telephone, filtered, and ended only once confirmed."""

from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from cases import work
from cases.events import record
from cases.factories import AttachmentFactory, CaseFactory, InputRequestFactory, MessageFactory
from cases.models import Case, Status
from offload_project.tests.browser import log_in, picture
from outreach.models import InboundPayload
from webhooks.models import Attempt, Delivery

pytestmark = pytest.mark.long

SCHEMA = {
    "type": "object",
    "required": ["invoiceNumber", "total"],
    "properties": {
        "invoiceNumber": {"type": "string", "description": "As printed on the invoice."},
        "total": {"type": "number", "minimum": 0, "description": "Without VAT, in EUR."},
        "dueOn": {"type": ["string", "null"], "format": "date"},
        "lines": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["what"],
                "properties": {"what": {"type": "string"}, "price": {"type": "number"}},
            },
        },
    },
}
CALL = {
    "model": "mid-size-2",
    "promptVersion": "3",
    "promptTokens": 2140,
    "completionTokens": 312,
    "durationMs": 4200,
    "cost": "0.0031",
    "fault": "",
}
SAID = "Hello Bob,\n\nthe total is 120 EUR. May we add 20 EUR for the express delivery?\n\nAnn"


def case_with_everything() -> Case:
    """A live case of three days: written to, followed up, answered, asked about, told of, and waiting again."""
    now = work.now()
    case: Case = CaseFactory(
        status=Status.RUNNING,
        is_test=False,
        transport="sandbox",
        client__name="Acme Finance",
        client_reference_id="INV-2031",
        goal={
            "objective": "Get the invoice of March and its total.",
            "knowledge": {"purchaseOrder": "PO-7781", "lines": [{"what": "Paper", "delivered": True}]},
        },
        counterparty={
            "address": "ann@supplier.example",
            "name": "Ann Supplier",
            "company": "Supplier AG",
            "timezone": "Asia/Tokyo",
            "customData": {"customerNumber": "K-33"},
        },
        sender_persona={"name": "Bob Buyer", "role": "Purchasing", "company": "Acme"},
        constraints=["Never promise a date of payment.", "Stay polite."],
        result_schema=SCHEMA,
        metadata={"ledger": 4711, "approvers": ["Zoe", "Max"]},
        client_webhook_url="https://client.example/offload",
        created_at=now - timedelta(days=3),
        next_action_at=now + timedelta(days=2, hours=3),
        follow_up_count=1,
        attempt_count=2,
        model_calls=2,
        model_tokens=4904,
        model_cost="0.0062",
        failures=2,
        retry_at=now + timedelta(minutes=12),
        last_error="TransportError: the server said 451 4.7.1 try again later",
    )
    _write(case, now)
    _hear(case, now)
    _tell(case, now)
    CaseFactory(counterparty=case.counterparty, status=Status.COMPLETED, client=case.client, result={"total": 3})
    return case


def _at(case: Case, moment: Any, type_: str, **facts: Any) -> Any:
    case.now = moment
    return record(case, type_, **facts)


def _write(case: Case, now: Any) -> None:
    _at(case, now - timedelta(days=3), "case.created", actor="client offload_live_Ab12")
    for purpose, days, text in (
        ("OUTREACH", 3, "Dear Ann,\n\nplease send us the invoice of March.\n\nBob Buyer\nPurchasing, Acme"),
        ("FOLLOW_UP", 1, "Dear Ann,\n\nI am writing to remind you of the invoice of March.\n\nBob Buyer"),
    ):
        at = now - timedelta(days=days)
        sent = MessageFactory(case=case, purpose=purpose, text=text, created_at=at, sent_at=at, delivered_at=at)
        about = {"messageId": str(sent.pk), "purpose": purpose}
        _at(case, at, "model.called", purpose=purpose.lower(), **CALL)
        _at(case, at, "draft.refused", agent="openai", faults=["It promises a date of payment."])
        _at(case, at, "draft.judged", agent="openai", judged=True, allowed=True, rewritten=True, faults=[])
        _at(case, at, "message.queued", **about)
        _at(case, at + timedelta(seconds=2), "message.sent", **about)


def _hear(case: Case, now: Any) -> None:
    at = now - timedelta(hours=5)
    reply = MessageFactory(
        case=case,
        direction="IN",
        created_at=at,
        read_at=at,
        text=SAID,
        full_text=f"{SAID}\n\n> Dear Ann, …",
    )
    AttachmentFactory(message=reply, name="Rechnung März.pdf", text="Invoice 2031-7\nTotal 120 EUR")
    InboundPayload.objects.create(
        source="imap", dedupe_key="1", body=b"Subject: Re\r\n\r\nHello", received_at=at, state="DONE", message=reply
    )
    _at(case, at, "message.received", actor="counterparty", messageId=str(reply.pk), purpose="HUMAN")
    _at(case, at, "mail.suspicious", messageId=str(reply.pk), why=["asks to ignore instructions"])
    _at(case, at, "verdict", agent="openai", decision="INPUT_NEEDED", reason="Nobody has said what may be added.")
    question = InputRequestFactory(
        case=case, requested_at=at, status="RESOLVED", provided_context="Yes, 20 EUR.", answered_by="staff zoe"
    )
    about = {"inputRequestId": str(question.pk)}
    _at(case, at, "case.input_needed", question=question.question, reason="The goal does not say.", **about)
    _at(case, now - timedelta(hours=4), "input.provided", actor="staff zoe", answer="Yes, 20 EUR.", **about)
    Case.objects.filter(pk=case.pk).update(status=Status.RUNNING)


def _tell(case: Case, now: Any) -> None:
    for delivery in Delivery.objects.filter(case=case):
        Delivery.objects.filter(pk=delivery.pk).update(attempt_count=1)
        Attempt.objects.create(
            delivery=delivery,
            number=1,
            started_at=now - timedelta(hours=5),
            duration_ms=310,
            status=503,
            response_body="Service unavailable",
        )


def page_of(case: Case) -> str:
    return f"/admin/cases/case/{case.pk}/change/"


def test_the_page_tells_everything_in_words(page: Page) -> None:
    case = case_with_everything()
    log_in(page, page_of(case))
    expect(page.locator(".next-step")).to_contain_text("Follow-up 2 of 3 on ")
    expect(page.locator(".next-step")).to_contain_text(" in Tokyo (")
    expect(page.locator("#message-" + str(case.messages.first().pk))).to_contain_text("delivered")  # type: ignore[union-attr]
    expect(page.locator("#timeline")).to_contain_text("It promises a date of payment.")
    attempted = "Attempt 1 to tell that a question waits for an answer: answered 503"
    expect(page.locator("#timeline")).to_contain_text(attempted)
    expect(page.locator("#facts")).to_contain_text("Tokyo")
    assert page.locator("pre:visible").count() == 0  # nothing raw is in sight
    assert page.locator("h1").count() == 1
    picture(page, "case-everything")
    with page.expect_download() as download:
        page.get_by_text("From and to, ids, the original").first.click()
        page.get_by_role("link", name="Download the mail as it came").click()
    assert download.value.suggested_filename.endswith(".eml")


def test_the_timeline_is_filtered_where_one_reads(page: Page) -> None:
    case = case_with_everything()
    log_in(page, page_of(case))
    chip = page.locator("#show-people")
    chip.scroll_into_view_if_needed()
    before = page.evaluate("document.querySelector('#timeline').getBoundingClientRect().top")
    chip.click()
    expect(page.locator("#show-people")).to_have_attribute("aria-current", "true")
    expect(page.locator("#timeline .line")).to_have_count(2)
    expect(page.locator("#timeline")).to_contain_text("by staff zoe")
    after = page.evaluate("document.querySelector('#timeline').getBoundingClientRect().top")
    assert "show=people" in page.url
    assert abs(after - before) < 900  # still in sight


def test_an_end_is_asked_about_once_more(page: Page) -> None:
    case = case_with_everything()
    log_in(page, page_of(case))
    page.locator("#fail > summary").click()
    page.locator("#fail-reason").fill("They closed down.")
    page.get_by_label("Another reason").check()
    page.get_by_label("Another reason").press("Enter")  # as good as the button, and ends nothing
    asked = page.locator("#fail .confirm")
    expect(asked).to_be_in_viewport()
    expect(asked).to_contain_text("Ann Supplier gets no further mail.")
    expect(asked).to_contain_text("Acme Finance is told case.failed.")
    expect(page.locator("#fail-reason")).to_have_value("They closed down.")
    picture(page, "case-confirm")
    case.refresh_from_db()
    assert case.status == Status.RUNNING
    page.get_by_role("button", name="Yes: end the case").click()
    expect(page.get_by_text("The case has ended without a result.")).to_be_visible()
    case.refresh_from_db()
    assert (case.status, case.failure_reason) == (Status.FAILED, "They closed down.")


def test_a_value_leads_to_the_words_that_it_rests_on(page: Page) -> None:
    case = case_with_everything()
    reply = case.messages.get(direction="IN")
    Case.objects.filter(pk=case.pk).update(
        status=Status.COMPLETED,
        result_status="goal_achieved",
        result={"invoiceNumber": "2031-7", "total": 120},
        sources=[{"path": "/total", "source_id": str(reply.pk), "quote": "the total is 120 EUR"}],
        next_action_at=None,
        due_at=None,
    )
    log_in(page, page_of(case))
    expect(page.locator("mark")).to_have_text("the total is 120 EUR")
    page.locator("#result").get_by_role("link", name="their mail of").click()
    expect(page.locator(f"#message-{reply.pk}")).to_be_in_viewport()
    picture(page, "case-result")
