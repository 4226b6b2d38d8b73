"""The staff's pages in a real browser: somebody answers a question by clicking, and no page runs anything foreign.

Screenshots of every page are left in var/screenshots.
"""

from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Page, expect

from cases import work
from cases.events import record
from cases.factories import (
    ApiKeyFactory,
    AttachmentFactory,
    CaseFactory,
    InputRequestFactory,
    MessageFactory,
)
from cases.models import Case, InputRequest, RequestStatus, Status
from offload_project.tests.browser import log_in, picture
from outreach.models import InboundPayload, NoticeState, SandboxMail, StaffNotice

HOSTILE = "<script>window.pwned=1</script><img src=x onerror='window.pwned=1'>\"'><b style='color:red'>"
SCHEMA = {
    "type": "object",
    "required": ["invoiceNumber", "total"],
    "properties": {
        "invoiceNumber": {"type": "string"},
        "total": {"type": "number"},
        "paid": {"type": "boolean"},
    },
}


def question_with_a_history() -> InputRequest:
    """A case that has been written to, answered with a file, and now asks."""
    case = CaseFactory(
        status=Status.INPUT_NEEDED,
        client__name="Acme Finance",
        client_reference_id="INV-2031",
        goal={
            "objective": "Get the invoice of March and its total.",
            "knowledge": {"purchaseOrder": "PO-7781", "deliveredOn": "2026-03-14"},
        },
        counterparty={
            "address": "ann@supplier.example",
            "name": "Ann Supplier",
            "company": "Supplier AG",
            "timezone": "Europe/Zurich",
            "customData": {"customerNumber": "K-33"},
        },
        sender_persona={"name": "Bob Buyer", "role": "Purchasing", "company": "Acme"},
        constraints=["Never promise a date of payment.", "Stay polite."],
        result_schema=SCHEMA,
        metadata={"ledger": 4711},
    )
    case.now = work.now()
    record(case, "case.created", actor="client offload_test_Ab12")
    sent = MessageFactory(case=case, text="Dear Ann,\n\nplease send us the invoice of March.\n\nBob Buyer")
    record(case, "draft.written", agent="form", judged=False)
    record(case, "message.sent", messageId=str(sent.pk), purpose="OUTREACH")
    reply = MessageFactory(
        case=case,
        direction="IN",
        text="Hello Bob,\n\nhere it is. May we add 20 EUR for the express delivery?\n\nAnn",
        full_text="Hello Bob,\n\nhere it is. May we add 20 EUR for the express delivery?\n\nAnn\n\n> Dear Ann, …",
    )
    AttachmentFactory(message=reply, name="Rechnung März.pdf")
    record(case, "message.received", actor="counterparty", messageId=str(reply.pk), purpose="HUMAN")
    question = InputRequestFactory(
        case=case,
        question="Ann Supplier asks: “May we add 20 EUR for the express delivery?” What should be answered?",
        reason="The reply is a question that the goal does not answer.",
    )
    asked = {"inputRequestId": str(question.pk), "question": question.question, "reason": question.reason}
    record(case, "case.input_needed", **asked)
    return question


def test_somebody_answers_a_question_by_clicking(page: Page) -> None:
    question = question_with_a_history()
    InputRequestFactory(question="Is Zoe still the right person?")
    log_in(page, "/admin/")
    expect(page.get_by_role("link", name="2 open questions")).to_be_visible()
    picture(page, "index")
    page.get_by_role("link", name="2 open questions").click()
    picture(page, "questions")
    page.get_by_role("link", name="Ann Supplier asks").click()
    expect(page.get_by_text("Never promise a date of payment.")).to_be_visible()
    picture(page, "question")
    with page.expect_download() as download:
        page.get_by_role("link", name="Rechnung März.pdf").click()
    assert Path(download.value.path()).read_bytes() == b"%PDF-1.4 an invoice"
    page.get_by_label("Answer").fill("Yes, 20 EUR are fine.")
    page.get_by_role("button", name="Answer").click()
    expect(page.get_by_text("The answer is stored.")).to_be_visible()
    expect(page.get_by_text("Is Zoe still the right person?").first).to_be_visible()
    question.refresh_from_db()
    assert (question.status, question.provided_context) == (RequestStatus.RESOLVED, "Yes, 20 EUR are fine.")
    assert question.answered_by == "staff ann"


def test_somebody_completes_a_case_by_clicking(page: Page) -> None:
    case = question_with_a_history().case
    log_in(page, f"/admin/cases/case/{case.pk}/change/")
    page.evaluate("document.querySelectorAll('.actions details').forEach(details => { details.open = true })")
    picture(page, "case")
    page.reload()
    page.get_by_text("Complete with a result", exact=True).click()
    page.get_by_text("Write it as JSON", exact=True).click()
    page.get_by_label("Result (JSON)").fill('{"invoiceNumber": "7", "total": "120"}')
    page.get_by_role("button", name="Complete with this JSON").click()
    expect(page.get_by_text('/total: "120" is not of type "number"')).to_be_visible()
    picture(page, "case-wrong-result")
    page.get_by_label("Result (JSON)").fill('{"invoiceNumber": "7", "total": 120}')
    page.get_by_role("button", name="Complete with this JSON").click()
    page.get_by_role("button", name="Yes: complete with this result").click()
    expect(page.get_by_text("The case is completed.", exact=True)).to_be_visible()
    picture(page, "case-completed")
    case.refresh_from_db()
    assert (case.status, case.result) == (Status.COMPLETED, {"invoiceNumber": "7", "total": 120})


def test_a_case_is_posted_from_the_page_of_the_api(page: Page) -> None:
    key: Any = ApiKeyFactory(is_test=True)
    page.goto("/docs")
    page.get_by_role("button", name="Authorize").click()
    page.get_by_label("Value:").fill(key.key)
    page.locator(".modal-ux").get_by_role("button", name="Apply credentials").click()
    page.locator(".modal-ux").get_by_role("button", name="Close").first.click()
    post = page.locator("#operations-cases-createCase")
    post.locator(".opblock-summary").click()
    post.get_by_role("button", name="Try it out").click()
    post.get_by_role("button", name="Execute").click()
    expect(post.locator(".live-responses-table .response-col_status").nth(1)).to_contain_text("201")
    assert Case.objects.get().client == key.client
    picture(page, "api")


def test_a_new_key_is_seen_once(page: Page) -> None:
    client = ApiKeyFactory(name="Old server").client
    log_in(page, f"/admin/cases/client/{client.pk}/change/")
    page.get_by_label("Live: its cases send real mail").check()
    page.get_by_label("Name").fill("Ledger")
    page.get_by_role("button", name="Issue a key").click()
    expect(page.locator("#new-key")).to_contain_text("offload_live_")
    picture(page, "client-new-key")
    page.reload()  # sends the form again
    expect(page.locator("#new-key")).to_have_count(0)
    expect(page.get_by_text("This form has issued its key already.")).to_be_visible()
    assert client.keys.count() == 2


# What stands beyond the right edge of the window.
CUT = """() => ['td', 'th', 'dd', 'p', 'button', 'a']
    .flatMap(name => [...document.querySelectorAll('#content ' + name)])
    .filter(cell => cell.getClientRects().length && cell.innerText.trim()
        && cell.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .map(cell => cell.innerText.trim().slice(0, 60))"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_is_seen_on_a_telephone(page: Page, scheme: Literal["light", "dark"]) -> None:
    question = question_with_a_history()
    client = ApiKeyFactory(name="Old server in the cellar", client=question.case.client).client
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 390, "height": 844})
    log_in(page, "/admin/")
    paths = {
        "index": "/admin/",
        "case": f"/admin/cases/case/{question.case_id}/change/",
        "question": f"/admin/cases/inputrequest/{question.pk}/change/",
        "client": f"/admin/cases/client/{client.pk}/change/",
        "questions": "/admin/cases/inputrequest/",
        "cases": "/admin/cases/case/",
        "clients": "/admin/cases/client/",
    }
    for name, path in paths.items():
        page.goto(path)
        picture(page, f"telephone-{scheme}-{name}")
        assert page.evaluate(CUT) == [], path


def hostile_rows() -> list[Any]:
    """Rows of every kind, with markup in every field that somebody outside can write."""
    case: Case = CaseFactory(
        status=Status.INPUT_NEEDED,
        client=ApiKeyFactory(client__name=HOSTILE, name=HOSTILE[:100]).client,
        client_reference_id=HOSTILE,
        goal={"objective": HOSTILE, "knowledge": {HOSTILE: HOSTILE}, HOSTILE: HOSTILE},
        counterparty={"address": "a@b.example", "name": HOSTILE, "customData": {HOSTILE: HOSTILE}},
        sender_persona={"name": HOSTILE},
        constraints=[HOSTILE],
        metadata={HOSTILE: HOSTILE},
        result_schema={"type": "object", "properties": {HOSTILE: {"type": "string"}}},
        client_webhook_url=f"javascript:window.pwned=1//{HOSTILE}",
        last_error=HOSTILE,
    )
    case.now = work.now()
    record(case, HOSTILE[:60], actor=HOSTILE, **{HOSTILE: HOSTILE})
    record(case, "case.failed", actor=HOSTILE, reason=HOSTILE)
    question = InputRequestFactory(case=case, question=HOSTILE, reason=f"Why: {HOSTILE}")
    reply = MessageFactory(
        case=case,
        direction="IN",
        subject=HOSTILE,
        text=HOSTILE,
        full_text=f"> {HOSTILE}",
        html=HOSTILE,
        from_name=HOSTILE,
        from_address=HOSTILE,
        is_after_end=True,
    )
    file = AttachmentFactory(message=reply, name=HOSTILE, type=HOSTILE[:100], content=HOSTILE.encode())
    mail = SandboxMail.objects.create(
        case=case,
        idempotency_key="1",
        message_id=HOSTILE,
        delivered_at=work.now(),
        raw=f"Subject: {HOSTILE}\r\nTo: {HOSTILE}\r\n\r\n{HOSTILE}".encode(),
    )
    payload = InboundPayload.objects.create(
        source="mail",
        dedupe_key=HOSTILE,
        body=HOSTILE.encode(),
        received_at=work.now(),
        state="QUARANTINED",
        note=HOSTILE,
        last_error=HOSTILE,
        message=reply,
        case=case,
        summary={
            **dict.fromkeys(("from", "name", "subject", "text"), HOSTILE),
            "to": [HOSTILE],
            "files": [{"name": HOSTILE, "type": HOSTILE, "size": 1}],
        },
    )
    notice = StaffNotice.objects.create(
        question=question, address=HOSTILE, created_at=work.now(), state=NoticeState.FAILED, last_error=HOSTILE
    )
    return [case, case.client, question, reply, file, mail, payload, notice]


def pages_of(row: Any) -> dict[str, str]:
    """The addresses of a row's pages, by names for their pictures."""
    model, base = row._meta.model_name, f"/admin/{row._meta.app_label}/{row._meta.model_name}/"
    return {
        f"{model}-list": base,
        f"{model}-search": f"{base}?q=%3Cscript%3E",
        f"{model}-page": f"{base}{row.pk}/change/",
        f"{model}-history": f"{base}{row.pk}/history/",
    }


def test_nothing_foreign_runs_on_any_page(page: Page) -> None:
    pages = {"index": "/admin/"}
    for row in hostile_rows():
        pages |= pages_of(row)
    log_in(page, "/admin/")
    for name, path in pages.items():
        page.goto(path, wait_until="load")
        assert page.evaluate("window.pwned") is None, path
        assert page.locator("img[src=x], b[style]").count() == 0, path
        picture(page, f"hostile-{name}")
