"""Clients, their webhooks, and files in a real browser: what people click, and what they see."""

from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Page, expect

from cases import work
from cases.factories import ApiKeyFactory, AttachmentFactory, CaseFactory, InputRequestFactory, MessageFactory
from cases.models import ApiKey, Attachment, Case, RequestStatus, Status
from offload_project.tests.browser import log_in, picture
from outreach.tests.reading_files import pdf
from webhooks import sender, tasks
from webhooks.models import Delivery
from webhooks.tests.test_listeners import fail

pytestmark = pytest.mark.long

HOSTILE = "<script>window.pwned=1</script><img src=x onerror='window.pwned=1'>"


def photo() -> bytes:
    out = BytesIO()
    image = Image.new("RGB", (800, 500), "white")
    ImageDraw.Draw(image).rectangle((100, 100, 700, 400), fill="teal")
    image.save(out, "PNG")
    return out.getvalue()


def case_with_webhooks(**fields: Any) -> Case:
    case: Case = CaseFactory(
        status=Status.RUNNING,
        client__name="Acme Finance",
        client__agentmail_inbox="acme@inbox.example",
        client_reference_id="INV-2031",
        client_webhook_url="https://hooks.acme.example/offload",
        **fields,
    )
    return case


def exhausted(case: Case) -> Delivery:
    """An event that was given up after two attempts."""
    fail(case)
    delivery: Delivery = Delivery.objects.filter(case=case).latest("sequence")
    tasks.record_attempt(delivery.pk, work.now(), sender.Outcome(503, 41, body=b"We are closed. " + HOSTILE.encode()))
    tasks.record_attempt(delivery.pk, work.now(), sender.Outcome(None, 20_000, error="no answer in 20 s"))
    Delivery.objects.filter(pk=delivery.pk).update(state="EXHAUSTED", due_at=None)
    return delivery


def busy_client() -> Case:
    """A client with keys, mails of several days, answered questions and an endpoint that fails."""
    case = case_with_webhooks(model_calls=12, model_tokens=4300, model_cost="0.125")
    ApiKeyFactory(client=case.client, name="Old server", last_used_at=work.now())
    ApiKeyFactory(client=case.client, name="Tests", is_test=True)
    for days in (0, 0, 0, 1, 4, 4, 9, 20):
        MessageFactory(case=case, send_started_at=work.now() - timedelta(days=days))
    asked = {"requested_at": work.now() - timedelta(hours=3), "resolved_at": work.now()}
    InputRequestFactory(case=case, status=RequestStatus.RESOLVED, **asked)
    exhausted(case)
    return case


def files_of(case: Case) -> dict[str, Attachment]:
    """A PDF on which a value rests, a photo, and a page that must never be shown."""
    reply = MessageFactory(case=case, direction="IN", subject="Our invoice")
    found: dict[str, Attachment] = {
        "pdf": AttachmentFactory(
            message=reply,
            name="Rechnung März.pdf",
            content=pdf("Invoice 7, total 120.00 EUR", *"23456"),
            text="Invoice 7",
        ),
        "photo": AttachmentFactory(message=reply, name="photo.png", type="image/png", content=photo()),
        "page": AttachmentFactory(message=reply, name="page.html", type="text/html", content=HOSTILE.encode()),
    }
    source = {"path": "/total", "source_id": str(found["pdf"].pk), "quote": "120.00 EUR"}
    Case.objects.filter(pk=case.pk).update(result={"total": 120}, sources=[source])
    return found


def test_somebody_replays_a_delivery_by_clicking(page: Page) -> None:
    delivery = exhausted(case_with_webhooks())
    log_in(page, "/admin/webhooks/delivery/")
    picture(page, "deliveries")
    page.goto(f"/admin/webhooks/delivery/{delivery.pk}/change/")
    expect(page.get_by_text("given up after the last attempt").first).to_be_visible()
    expect(page.get_by_text("refused with 503")).to_be_visible()
    expect(page.get_by_text("We are closed.").first).to_be_visible()
    picture(page, "delivery")
    expect(page.get_by_role("button", name="Send again")).to_be_hidden()
    page.get_by_text("Send it again …").click()
    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_text("The event is on its way once more")).to_be_visible()
    expect(page.get_by_text("to be delivered", exact=True)).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the bytes as they are sent").click()
    assert Path(download.value.path()).read_bytes() == bytes(delivery.body)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts_before, delivery.attempt_count) == ("WAITING", 2, 2)
    assert delivery.due_at is not None
    assert page.evaluate("window.pwned") is None


def test_all_that_an_endpoint_missed_is_sent_again(page: Page) -> None:
    delivery = exhausted(case_with_webhooks())
    log_in(page, f"/admin/webhooks/endpoint/{delivery.endpoint_id}/change/")
    picture(page, "endpoint")
    page.get_by_label("Since (UTC)").fill("2026-01-01T00:00")
    page.get_by_role("button", name="Send them").click()
    expect(page.get_by_text("1 event would be sent.")).to_be_visible()
    page.get_by_label("Yes: send them to the client now").check()
    page.get_by_role("button", name="Send them").click()
    expect(page.get_by_text("1 event is on the way once more.")).to_be_visible()
    delivery.refresh_from_db()
    assert delivery.state == "WAITING"


def test_a_key_is_replaced_by_clicking(page: Page) -> None:
    case = busy_client()
    old = case.client.keys.get(name="Old server")
    log_in(page, f"/admin/cases/client/{case.client_id}/change/")
    picture(page, "client")
    row = page.locator("#keys tr", has_text="Old server")
    expect(row.get_by_role("button", name="Issue its successor")).to_be_hidden()
    row.get_by_text("Replace", exact=False).first.click()
    row.get_by_label("The old key stays good for").select_option("1")
    row.get_by_role("button", name="Issue its successor").click()
    expect(page.locator("#new-key")).to_contain_text("offload_live_")
    picture(page, "client-replaced-key")
    old.refresh_from_db()
    assert old.expires_at is not None
    assert ApiKey.objects.filter(client=case.client, name="Old server").count() == 2
    page.get_by_role("row", name="Tests").get_by_text("Revoke", exact=False).first.click()
    page.get_by_role("row", name="Tests").get_by_role("button", name="Revoke it").click()
    expect(page.get_by_text("is revoked.")).to_be_visible()


def test_the_settings_of_a_client_are_changed_by_clicking(page: Page) -> None:
    client = busy_client().client
    log_in(page, f"/admin/cases/client/{client.pk}/change/")
    page.get_by_label("Mails a day").fill("40")
    page.get_by_label("Webhook URL of cases that have none").fill("ftp://hooks.example/")
    page.get_by_label("A mail was sent").check()
    page.get_by_role("button", name="Save the settings").click()
    expect(page.get_by_text("Not an http or https URL.")).to_be_visible()
    picture(page, "client-wrong-settings")
    page.get_by_label("Webhook URL of cases that have none").fill("https://hooks.acme.example/")
    page.get_by_role("button", name="Save the settings").click()
    expect(page.get_by_text("The settings are changed.")).to_be_visible()
    client.refresh_from_db()
    assert (client.daily_send_limit, client.event_types) == (40, ["message.sent"])
    assert client.default_webhook_url == "https://hooks.acme.example/"


def test_files_are_seen_without_being_opened(page: Page) -> None:
    files = files_of(case_with_webhooks())
    log_in(page, "/admin/cases/attachment/")
    expect(page.get_by_role("link", name="Rechnung März.pdf")).to_be_visible()
    picture(page, "files")
    page.get_by_role("link", name="Rechnung März.pdf").click()
    drawn = page.locator(".file-page img")
    expect(drawn).to_have_count(5, timeout=20_000)
    expect(page.get_by_text("Only the first 5 of 6 pages are shown.")).to_be_visible()
    assert page.evaluate("document.querySelector('.file-page img').naturalWidth") > 1000
    expect(page.get_by_text("120.00 EUR").first).to_be_visible()
    picture(page, "file-pdf")
    page.goto(f"/admin/cases/attachment/{files['photo'].pk}/change/")
    expect(drawn).to_have_count(1, timeout=20_000)
    assert page.evaluate("document.querySelector('.file-page img').naturalWidth") == 800
    picture(page, "file-photo")
    page.goto(f"/admin/cases/attachment/{files['page'].pk}/change/")
    expect(page.get_by_text("Files of this kind are not shown.")).to_be_visible(timeout=20_000)
    assert page.evaluate("window.pwned") is None
    with page.expect_download() as download:
        page.get_by_role("link", name="Download", exact=True).click()
    assert Path(download.value.path()).read_bytes() == HOSTILE.encode()
