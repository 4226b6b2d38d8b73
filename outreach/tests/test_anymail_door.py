"""Providers' webhooks, as Postmark and Brevo post them, through django-anymail."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import DatabaseError
from django.test import Client, override_settings
from django.urls import clear_url_caches, include, path
from pytest_django import Settings

from outreach.inbound import doors, intake
from outreach.inbound.arrival import Arrival, EventKind, Standing
from outreach.models import InboundPayload
from outreach.urls import urlpatterns as configured_without  # before a test here sets the secret

pytestmark = pytest.mark.django_db
urlpatterns = [path("inbound/anymail/", include("anymail.urls"))]

RAW = "From: Ann <ann@supplier.example>\r\nTo: us@ours.example\r\nX-Odd: \u00e4\r\nSubject: Hi\r\n\r\nHello"
INBOUND = {
    "MessageID": "p-1",
    "OriginalRecipient": "us+abc@ours.example",
    "Headers": [{"Name": "Return-Path", "Value": "<bounces@supplier.example>"}],
    "RawEmail": RAW,
}
BOUNCE = {
    "RecordType": "Bounce",
    "ID": 4,
    "Type": "HardBounce",
    "MessageID": "m-1",
    "Email": "Ann@supplier.example",
    "Description": "The server was unable to deliver your message (ex: unknown user, mailbox not found).",
    "Details": "smtp;550 5.1.1 unknown",
    "BouncedAt": "2027-01-04T09:30:00Z",
}


@pytest.fixture(autouse=True)
def configured(settings: Settings) -> Iterator[None]:
    settings.ANYMAIL = {"WEBHOOK_SECRET": "hook:secret"}
    with override_settings(ROOT_URLCONF=__name__):
        yield
    clear_url_caches()


def post(url: str, body: Any, *, password: str = "hook:secret", raising: bool = True) -> int:
    client = Client(raise_request_exception=raising)
    authorization = f"Basic {base64.b64encode(password.encode()).decode()}"
    sent = client.post(
        f"/inbound/anymail/{url}/", json.dumps(body), content_type="application/json", HTTP_AUTHORIZATION=authorization
    )
    return sent.status_code


def read() -> tuple[InboundPayload, Arrival]:
    payload = InboundPayload.objects.get()
    return payload, doors.open_payload(payload, seconds=1)


def test_a_mail_is_stored_as_it_came_and_once() -> None:
    assert [post("postmark/inbound", INBOUND) for _ in range(2)] == [200, 200]
    payload, arrival = read()
    assert (payload.source, payload.dedupe_key) == ("anymail", "Postmark p-1")
    assert bytes(payload.body).decode().splitlines() == RAW.splitlines()
    assert arrival.mail
    assert (arrival.mail.from_address, arrival.mail.text) == ("ann@supplier.example", "Hello")
    assert arrival.envelope.recipients == ("us+abc@ours.example",)
    assert (arrival.envelope.sender, arrival.envelope.standing) == ("bounces@supplier.example", Standing.UNKNOWN)


def test_a_mail_without_an_id_is_known_by_what_it_says() -> None:
    parsed = {
        "FromFull": {"Email": "ann@supplier.example", "Name": "Ann"},
        "ToFull": [{"Email": "us@ours.example", "Name": ""}],
        "Subject": "Hi",
        "TextBody": "Hello",
        "HtmlBody": "<p>Hello</p>",
        "Attachments": [{"Name": "a.pdf", "ContentType": "application/pdf", "Content": "JVBERg=="}],
    }
    for text in ("Hello", "Hello", "Hello?"):
        assert post("postmark/inbound", {**parsed, "TextBody": text}) == 200
    assert InboundPayload.objects.count() == 2
    arrival = doors.open_payload(InboundPayload.objects.order_by("received_at")[0], seconds=1)
    assert arrival.mail
    assert [file.content for file in arrival.mail.attachments] == [b"%PDF"]


def test_the_providers_verdict_counts_where_it_is_our_server(settings: Settings) -> None:
    settings.OFFLOAD_AUTHSERV_ID = "mx.provider.example"
    verdict = "Authentication-Results: mx.provider.example; dmarc=fail\r\n"
    post("postmark/inbound", {**INBOUND, "RawEmail": verdict + RAW})
    assert read()[1].envelope.standing == Standing.FAILED


@pytest.mark.parametrize("password", ["hook:wrong", "x"])
def test_who_does_not_know_the_secret_stores_nothing(password: str) -> None:
    assert post("postmark/inbound", INBOUND, password=password) == 400
    assert post("postmark/tracking", BOUNCE, password=password) == 400
    assert InboundPayload.objects.count() == 0


def test_what_can_not_be_stored_is_not_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> bool:
        raise DatabaseError("disk full")

    monkeypatch.setattr(intake, "accept", fail)
    assert post("postmark/inbound", INBOUND, raising=False) == 500
    assert post("postmark/tracking", BOUNCE, raising=False) == 500


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({}, EventKind.BOUNCED),
        ({"Type": "SoftBounce"}, EventKind.SOFT_BOUNCED),
        ({"Description": "smtp;452 4.2.2 The mailbox is full"}, EventKind.SOFT_BOUNCED),
        ({"Type": "Transient"}, EventKind.DEFERRED),
        ({"Type": "VirusNotification"}, EventKind.SOFT_BOUNCED),
        ({"Type": "BadEmailAddress"}, EventKind.REJECTED),
        ({"Type": "SpamComplaint"}, EventKind.COMPLAINED),
        ({"RecordType": "Delivery", "Recipient": "Ann@supplier.example"}, EventKind.DELIVERED),
        ({"RecordType": "Open", "Recipient": "Ann@supplier.example"}, EventKind.OPENED),
    ],
)
def test_what_postmark_reports(changed: dict[str, str], kind: EventKind) -> None:
    assert post("postmark/tracking", {**BOUNCE, **changed}) == 200
    payload, arrival = read()
    assert payload.source == "anymail_event"
    assert arrival.event
    assert (arrival.event.kind, arrival.event.message_id) == (kind, "m-1")
    assert arrival.event.recipients == ("ann@supplier.example",)


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("hard_bounce", EventKind.BOUNCED),
        ("soft_bounce", EventKind.SOFT_BOUNCED),
        ("invalid_email", EventKind.BOUNCED),
        ("deferred", EventKind.DEFERRED),
        ("blocked", EventKind.REJECTED),
        ("spam", EventKind.COMPLAINED),
        ("unsubscribe", EventKind.COMPLAINED),
        ("request", EventKind.SENT),
        ("delivered", EventKind.DELIVERED),
        ("click", EventKind.OPENED),
        ("error", EventKind.REJECTED),
    ],
)
def test_what_brevo_reports(type_: str, kind: EventKind) -> None:
    report = {"event": type_, "email": "ann@supplier.example", "message-id": "<m@ours.example>", "ts_event": 1800000000}
    assert post("brevo/tracking", report) == 200
    event = read()[1].event
    assert event
    assert (event.kind, event.message_id) == (kind, "<m@ours.example>")


def test_each_report_counts_once_and_no_two_are_taken_for_one() -> None:
    for _ in range(10):
        for type_ in ("Transient", "HardBounce", "SpamComplaint"):
            assert post("postmark/tracking", {**BOUNCE, "Type": type_}) == 200
    assert InboundPayload.objects.count() == 3


def test_what_means_nothing_to_us_is_put_away() -> None:
    assert post("postmark/tracking", {**BOUNCE, "Type": "ChallengeVerification"}) == 200
    assert read()[1] == Arrival(note="autoresponded: nothing to do")


def test_there_is_no_such_door_where_none_is_configured() -> None:
    with override_settings(ROOT_URLCONF="offload_project.urls"):
        assert post("postmark/inbound", INBOUND) == 404
    assert not any("anymail" in str(route.pattern) for route in configured_without)
