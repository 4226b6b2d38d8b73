"""The pages of mail in a real browser: an unmatched mail is assigned, and a sandbox case is played from end to end."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from cases.factories import ApiKeyFactory, CaseFactory
from cases.models import Case, Status
from cases.testing import run_due
from offload_project.tests.browser import log_in, picture
from outreach.factories import FORM, InboundPayloadFactory, Played
from outreach.models import InboundPayload, PayloadState

pytestmark = pytest.mark.long

MAIL = (
    b"From: Ann Supplier <ann.private@gmail.com>\r\nTo: us@ours.example\r\nSubject: Invoice of March\r\n"
    b"Message-ID: <1@gmail.com>\r\n\r\nInvoice number: 2026-0042\r\nTotal: 1250.50\r\n"
)


def unmatched() -> InboundPayload:
    """A mail that has come in by our own server, and belongs to no case."""
    row: InboundPayload = InboundPayloadFactory(source="smtp", body=MAIL)
    run_due()
    row.refresh_from_db()
    assert row.state == PayloadState.UNMATCHED
    return row


def test_somebody_assigns_an_unmatched_mail_by_clicking(page: Page) -> None:
    played = Played.begin(client_reference_id="INV-2031", result_schema=FORM, client__name="Acme Finance")
    CaseFactory(status="RUNNING", client_reference_id="OTHER-1", counterparty={"address": "x@y.example", "name": "Xu"})
    row = unmatched()
    InboundPayloadFactory(source="smtp", state=PayloadState.UNMATCHED, due_at=None, summary={"subject": "The next"})
    log_in(page, "/admin/outreach/inboundpayload/unmatched/")
    expect(page.get_by_text("It belongs to no case.")).to_be_visible()
    picture(page, "mail-unmatched")
    page.get_by_role("link", name="Invoice of March").click()
    expect(page.get_by_text("Total: 1250.50")).to_be_visible()
    expect(page.get_by_text("its sender has the counterparty's name")).to_be_visible()
    picture(page, "mail-unmatched-page")
    page.get_by_label("Other cases").fill("OTHER-1")
    page.get_by_role("button", name="Find cases").click()
    expect(page.get_by_text("with Xu")).to_be_visible()
    page.go_back()
    page.get_by_label("INV-2031").check()
    page.get_by_label("Yes: I have read the mail").check()
    page.get_by_role("button", name="Assign it to this case").click()
    expect(page.get_by_text("This is the next one.")).to_be_visible()
    expect(page.get_by_text("The next", exact=True).first).to_be_visible()
    run_due()
    row.refresh_from_db()
    assert (row.state, row.decided_by) == (PayloadState.DONE, "staff ann")
    assert played.reload().result == {"invoiceNumber": "2026-0042", "total": 1250.5}


def test_somebody_puts_quarantined_mail_aside_by_clicking(page: Page) -> None:
    played = Played.begin()
    for number in range(3):
        played.reply(f"Buy this, number {number}", from_address=f"eve{number}@evil.example")
    log_in(page, "/admin/outreach/inboundpayload/quarantine/")
    picture(page, "mail-quarantine")
    page.get_by_label("All on this page").check()
    page.get_by_label("Choose the mail of eve1@evil.example").uncheck()
    page.get_by_role("button", name="Put the chosen ones aside").click()
    expect(page.get_by_role("heading", name="Put 2 mails aside")).to_be_visible()
    picture(page, "mail-quarantine-discard")
    page.get_by_label("Yes: these mails are to act on no case.").check()
    page.get_by_role("button", name="Put 2 aside").click()
    expect(page.get_by_text("Put aside: 2.")).to_be_visible()
    left = InboundPayload.objects.get(state=PayloadState.QUARANTINED)
    assert left.summary["from"] == "eve1@evil.example"


def test_a_sandbox_case_is_played_from_end_to_end(page: Page, tmp_path: Path) -> None:
    ApiKeyFactory(is_test=True, client__name="Acme Finance")
    invoice = tmp_path / "invoice.txt"
    invoice.write_text("Invoice 2026-0042")
    log_in(page, "/admin/outreach/sandboxmail/play/")
    expect(page.locator("#curl-new")).to_contain_text('curl -s "$URL/cases"')
    picture(page, "playground")
    page.get_by_role("button", name="Create the case", exact=True).click()
    expect(page.get_by_text("No mail yet.")).to_be_visible()
    run_due()
    expect(page.get_by_text("Invoice number:").first).to_be_visible()  # comes by itself
    case = Case.objects.get()

    page.get_by_label("Text", exact=True).fill("Do you need it on paper?\nIt's 12 pages.")
    expect(page.locator("#curl-reply")).to_contain_text("It'\"'\"'s 12 pages.")  # the command follows
    page.get_by_role("button", name="Send the reply").click()
    expect(page.get_by_text("The reply is on its way to the case.")).to_be_visible()
    run_due()
    expect(page.get_by_text("It asks a person:")).to_be_visible()
    picture(page, "playground-question")
    page.get_by_role("link", name="Answer the question").click()
    page.get_by_label("Answer").first.fill("A PDF will do.")
    page.get_by_role("button", name="Answer").first.click()
    run_due()

    page.goto(f"/admin/outreach/sandboxmail/play/{case.pk}/")
    expect(page.get_by_text("A PDF will do.").first).to_be_visible()
    page.get_by_label("Files").set_input_files(invoice)
    expect(page.locator("#curl-reply")).to_contain_text('attachments=@"invoice.txt"')
    page.get_by_role("button", name="Copy the command: Reply").click()
    expect(page.get_by_role("button", name="the command: Reply")).to_contain_text("C")
    page.get_by_role("button", name="Send the reply").click()  # the answer that is proposed
    run_due()
    expect(page.get_by_role("link", name="invoice.txt")).to_be_visible()
    expect(page.locator("#mailbox .badge-completed")).to_be_visible()
    picture(page, "playground-completed")
    case.refresh_from_db()
    assert case.status == Status.COMPLETED
    assert {event.actor for event in case.events.filter(type="sandbox.played")} == {"staff ann"}
