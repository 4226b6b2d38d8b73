"""AgentMail's events: who may tell of them, what is stored, and what each turns out to be."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client as Browser

from cases.models import Case, Direction, Message
from cases.testing import run_due
from outreach.agentmail import letters
from outreach.inbound import counterparty
from outreach.inbound.arrival import Arrival, DoorError, EventKind, Standing
from outreach.inbound.content import InboundAttachment
from outreach.inbound.doors import open_payload
from outreach.inbound.mail import InboundKind, parse
from outreach.models import InboundPayload, PayloadState
from outreach.standins.agentmail import AgentMailServer, Fault, original
from outreach.tests.agentmail import ANN, INBOX, agentmail, begin, post_signed

pytestmark = pytest.mark.django_db
FORM = {"type": "object", "required": ["number"], "properties": {"number": {"type": "string"}}}
PDF = InboundAttachment("invoice.pdf", "application/pdf", b"%PDF-1.4 an invoice")


@pytest.fixture
def server(settings: Any) -> Iterator[AgentMailServer]:
    with agentmail(settings) as running:
        yield running


def event(kind: str = "message.received", content: dict[str, Any] | None = None, **more: Any) -> bytes:
    """`more`: the event's id, and the object that it carries by its key."""
    content = {"event_id": "evt_1", **(content or {}), **more}
    return json.dumps({"type": "event", "event_type": kind, **content}).encode()


def received(**fields: Any) -> dict[str, Any]:
    return {"inbox_id": INBOX, "thread_id": "t", "message_id": "<r1@peer.example>", "from": f"Ann <{ANN}>", **fields}


# --- Who may tell ---


def test_a_signed_event_is_stored_as_it_came(client: Browser, server: AgentMailServer) -> None:
    body = event(message=received(text="Hello"))
    answer = post_signed(client, body)
    assert (answer.status_code, answer.json()) == (200, {"ok": True, "data": {"stored": True}})
    stored = InboundPayload.objects.get()
    assert (stored.source, bytes(stored.body), stored.dedupe_key) == (
        "agentmail",
        body,
        f"{INBOX} <r1@peer.example>",
    )
    assert stored.due_at is not None


OTHER = "whsec_" + "A" * 32


@pytest.mark.parametrize(
    "changed",
    [
        {"secret": OTHER},
        {"late": timedelta(minutes=6)},
        {"late": timedelta(minutes=-20)},
        {"svix_signature": ""},
        {"svix_signature": "v1"},
        {"svix_signature": "v1,=not base64="},
        {"svix_signature": "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
        {"svix_timestamp": "nan"},
        {"svix_timestamp": "soon"},
        {"svix_timestamp": "9" * 400},
        {"svix_id": ""},
        {"svix_id": "msg_2"},
    ],
    ids=str,
)
def test_what_is_not_signed_now_by_us_is_refused(client: Browser, server: AgentMailServer, changed: Any) -> None:
    answer = post_signed(client, event(message=received()), **changed)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHORIZED")
    assert not InboundPayload.objects.exists()


def test_a_tampered_body_is_refused(client: Browser, server: AgentMailServer) -> None:
    signature = post_signed(client, event(message=received())).wsgi_request.headers["svix-signature"]
    answer = post_signed(client, event(message=received(text="x")), svix_signature=signature)
    assert answer.status_code == 401
    assert InboundPayload.objects.count() == 1


def test_nobody_gets_in_without_a_secret(client: Browser, server: AgentMailServer, settings: Any) -> None:
    settings.AGENTMAIL_WEBHOOK_SECRET = []
    assert post_signed(client, event()).status_code == 401
    settings.AGENTMAIL_WEBHOOK_SECRET = ["whsec_", "whsec_not-base64!"]
    assert post_signed(client, event()).status_code == 401


def test_two_secrets_while_one_replaces_the_other(client: Browser, server: AgentMailServer, settings: Any) -> None:
    settings.AGENTMAIL_WEBHOOK_SECRET = [OTHER, *settings.AGENTMAIL_WEBHOOK_SECRET]
    assert post_signed(client, event(event_id="1")).status_code == 200
    assert post_signed(client, event(event_id="2"), secret=OTHER).status_code == 200
    assert InboundPayload.objects.count() == 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b"[" * 100_000, 400),
        (b"\xff\xfe", 401),  # not UTF-8: nothing that could be signed
        (b'{"x": "' + b"a" * 1_500_000 + b'"}', 413),
    ],
    ids=["empty", "cut", "list", "null", "deep", "not UTF-8", "large"],
)
def test_bodies_that_are_no_events(client: Browser, server: AgentMailServer, body: bytes, status: int) -> None:
    answer = post_signed(client, body)
    assert answer.status_code == status
    assert answer.json()["ok"] is False
    assert not InboundPayload.objects.exists()


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_only_post(client: Browser, method: str) -> None:
    assert getattr(client, method)("/inbound/agentmail").status_code == 405


def test_a_replay_changes_nothing(client: Browser, server: AgentMailServer) -> None:
    for _ in range(3):
        assert post_signed(client, event("message.delivered", delivery={"message_id": "<a@b>"})).status_code == 200
    assert post_signed(client, event(message=received())).json()["data"] == {"stored": True}
    assert post_signed(client, event(event_id="evt_2", message=received())).json()["data"] == {"stored": False}
    assert InboundPayload.objects.count() == 2


def test_one_mail_to_two_of_our_inboxes_is_two(client: Browser, server: AgentMailServer) -> None:
    Case.objects.filter(pk=begin().pk).update(our_address="b@agentmail.example")
    post_signed(client, event(event_id="1", message=received()))
    post_signed(client, event(event_id="2", message=received(inbox_id="B@agentmail.example")))
    assert InboundPayload.objects.count() == 2


def test_mail_of_other_inboxes_is_not_kept(client: Browser, server: AgentMailServer) -> None:
    answer = post_signed(client, event(message=received(inbox_id="someone@agentmail.example")))
    assert answer.json()["data"] == {"stored": False}
    assert not InboundPayload.objects.exists()


def test_ids_of_any_length_and_letters(client: Browser, server: AgentMailServer) -> None:
    for number, odd in enumerate(["x" * 900, "\x00", "\ud800", "ü" * 300]):
        body = event(event_id=f"e{number}", message=received(message_id=f"<{number}{odd}@peer.example>"))
        assert post_signed(client, body).json()["data"] == {"stored": True}
        assert post_signed(client, body).json()["data"] == {"stored": False}


# --- What an event turns out to be ---


def opened(body: bytes) -> Arrival:
    payload = InboundPayload(source="agentmail", body=body)
    return open_payload(payload, seconds=5)


@pytest.mark.parametrize(
    ("kind", "key", "about", "expected"),
    [
        ("message.sent", "send", {}, EventKind.SENT),
        ("message.delivered", "delivery", {}, EventKind.DELIVERED),
        ("message.bounced", "bounce", {"type": "Permanent"}, EventKind.BOUNCED),
        ("message.bounced", "bounce", {"type": "Transient"}, EventKind.SOFT_BOUNCED),
        ("message.bounced", "bounce", {"type": "Undetermined"}, EventKind.SOFT_BOUNCED),
        ("message.bounced", "bounce", {}, EventKind.SOFT_BOUNCED),
        ("message.complained", "complaint", {"type": "abuse"}, EventKind.COMPLAINED),
        ("message.rejected", "reject", {"reason": "Bad content"}, EventKind.REJECTED),
        ("message.opened", "open", {}, EventKind.OPENED),
    ],
)
def test_reports(kind: str, key: str, about: dict[str, str], expected: EventKind) -> None:
    recipients = [{"address": ANN.upper(), "status": "bounced"}, "b@peer.example", 7]
    content = {"inbox_id": INBOX, "thread_id": "t", "message_id": "<s@ses>", "recipients": recipients, **about}
    arrival = opened(event(kind, {key: content}))
    assert arrival.event
    assert arrival.event.kind == expected
    assert (arrival.event.message_id, arrival.event.thread_id) == ("<s@ses>", "t")
    assert arrival.event.recipients == (ANN, "b@peer.example")
    assert arrival.event.reason == ", ".join(about.values())
    assert arrival.envelope.recipients == (INBOX,)


@pytest.mark.parametrize(
    "body",
    [
        event("domain.verified"),
        event("calendar.event.created"),
        event("message.security.review", message=received()),
        event("message.of.tomorrow"),
        b"{}",
        b'{"event_type": ["message.received"]}',
        event(message={}),
        event(message="text"),
        event("message.bounced"),
        event("message.bounced", bounce=[]),
    ],
)
def test_what_does_not_concern_us_is_noted(body: bytes) -> None:
    arrival = opened(body)
    assert (arrival.mail, arrival.event) == (None, None)
    assert arrival.note


@pytest.mark.parametrize(
    ("label", "standing"),
    [
        ("", Standing.UNKNOWN),
        ("spam", Standing.UNKNOWN),
        ("blocked", Standing.UNKNOWN),
        ("unauthenticated", Standing.FAILED),
    ],
)
def test_a_mail_is_read_as_it_came(server: AgentMailServer, label: str, standing: Standing) -> None:
    raw = (
        b"From: Ann <ann@supplier.example>\r\nMessage-ID: <r1@peer.example>\r\nAuto-Submitted: auto-replied\r\n\r\nAway"
    )
    message = server.deliver(INBOX, raw, label=label, quietly=True)
    arrival = opened(event(f"message.received.{label}".rstrip("."), message={**message, "text": "Other"}))
    assert arrival.mail == parse(raw)
    assert arrival.mail.kind == InboundKind.AUTO_REPLY
    assert (arrival.envelope.label, arrival.envelope.standing) == (label, standing)
    assert (arrival.envelope.recipients, arrival.envelope.thread_id) == ((INBOX,), message["thread_id"])


def test_a_mail_without_an_id_has_agentmails(server: AgentMailServer) -> None:
    message = server.deliver(INBOX, b"From: ann@supplier.example\r\n\r\nHello", quietly=True)
    mail = opened(event(message=message)).mail
    assert mail
    assert mail.message_id == message["message_id"] != ""


def unreadable(server: AgentMailServer, status: int, times: int = 1) -> None:
    """The mail's raw text can't be had."""
    server.faults += [Fault("before", status=status, matches="/raw", method="GET")] * times


def test_without_its_raw_text_a_mail_is_taken_as_it_is_described(server: AgentMailServer) -> None:
    raw = counterparty.reply(original(server_mail(server)), text="Here it is.", html="<p>Here it <b>is</b>.</p>")
    message = server.deliver(INBOX, raw, quietly=True)
    unreadable(server, 404)
    mail, true = opened(event(message=message)).mail, parse(raw)
    assert mail
    for name in ("kind", "message_id", "in_reply_to", "references", "from_address", "from_name", "to", "subject"):
        assert getattr(mail, name) == getattr(true, name), name
    assert (mail.reply_text, true.reply_text) == ("Here it is.", "Here it is.")
    assert mail.html.strip() == true.html.strip()


def server_mail(server: AgentMailServer) -> Any:
    begin()
    return server.sent()[-1]


def test_its_files_are_fetched(server: AgentMailServer) -> None:
    raw = counterparty.reply(original(server_mail(server)), text="Here", attachments=[PDF])
    message = server.deliver(INBOX, raw, quietly=True)
    unreadable(server, 403)
    mail = opened(event(message=message)).mail
    assert mail
    assert [(file.name, file.declared_type, file.content) for file in mail.attachments] == [
        (PDF.name, PDF.declared_type, PDF.content)
    ]


def test_a_mail_whose_file_is_gone_is_not_taken_without_it(server: AgentMailServer) -> None:
    raw = counterparty.reply(original(server_mail(server)), text="Here", attachments=[PDF])
    message = server.deliver(INBOX, raw, quietly=True)
    unreadable(server, 404)
    server.faults.append(Fault("before", status=404, code="not_found", matches="/attachments/", method="GET"))
    with pytest.raises(DoorError) as caught:
        opened(event(message=message))
    assert caught.value.permanent


def test_a_body_that_was_left_out_is_fetched(server: AgentMailServer) -> None:
    raw = b"From: ann@supplier.example\r\nMessage-ID: <r1@peer.example>\r\n\r\nLong"
    message = server.deliver(INBOX, raw, quietly=True)
    unreadable(server, 404)
    mail = opened(event(message={name: value for name, value in message.items() if name != "text"})).mail
    assert mail
    assert mail.text.strip() == "Long"


def test_a_failure_that_may_pass_is_tried_again_and_then_lived_with(server: AgentMailServer) -> None:
    begin()
    message = server.deliver(INBOX, counterparty.reply(original(server.sent()[0]), text="Hello"), quietly=True)
    body = event(message=message)
    unreadable(server, 503, times=3)
    for failures in (0, 1):
        with pytest.raises(DoorError) as caught:
            open_payload(InboundPayload(source="agentmail", body=body, failures=failures), seconds=5)
        assert not caught.value.permanent
    mail = open_payload(InboundPayload(source="agentmail", body=body, failures=2), seconds=5).mail
    assert mail
    assert mail.reply_text == "Hello"


def test_no_time_is_no_end(server: AgentMailServer) -> None:
    with pytest.raises(DoorError) as caught:
        open_payload(InboundPayload(source="agentmail", body=event(message=received())), seconds=0)
    assert not caught.value.permanent


@pytest.mark.parametrize("link", [b'{"download_url": "file:///etc/passwd"}', b'{"download_url": 7}', b"[]", b"<html>"])
def test_links_that_lead_nowhere(server: AgentMailServer, link: bytes) -> None:
    server.faults.append(Fault("before", status=200, body=link, matches="/raw", method="GET"))
    body = event(message=received(text="Hello"))
    mail = open_payload(InboundPayload(source="agentmail", body=body, failures=2), seconds=5).mail
    assert mail
    assert mail.text.strip() == "Hello"


def test_a_download_that_is_no_mail_is_not_taken_for_one(server: AgentMailServer) -> None:
    message = server.deliver(INBOX, f"From: {ANN}\r\nMessage-ID: <a@b>\r\n\r\nHello".encode(), quietly=True)
    server.faults.append(Fault("before", status=200, body=b"<html>Sorry</html>", matches="/files/", method="GET"))
    mail = opened(event(message=message)).mail
    assert mail
    assert (mail.from_address, mail.text.strip()) == (ANN, "Hello")


def test_what_is_too_large_is_for_staff(server: AgentMailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outreach.agentmail.reader.MAX_MAIL_BYTES", 400)
    file = InboundAttachment("big.bin", "application/octet-stream", b"x" * 500)
    message = server.deliver(
        INBOX, counterparty.reply(original(server_mail(server)), text="", attachments=[file]), quietly=True
    )
    with pytest.raises(DoorError, match="more than 400 bytes") as caught:
        opened(event(message=message))
    assert caught.value.permanent


@pytest.mark.parametrize(
    ("sender", "address", "name"),
    [
        ("Ann Miller <ann@peer.example>", "ann@peer.example", "Ann Miller"),
        ("ann@peer.example", "ann@peer.example", ""),
        (["Ann <ann@peer.example>"], "ann@peer.example", "Ann"),
        ([{"name": "Ann, M", "email": "ann@peer.example"}], "ann@peer.example", "Ann, M"),
        ({"name": None, "address": "ann@peer.example"}, "ann@peer.example", ""),
        ("Änn <ann@peer.example>", "ann@peer.example", "Änn"),
        (7, "", ""),
    ],
)
@pytest.mark.parametrize("key", ["from", "from_"])
def test_senders_in_all_spellings(key: str, sender: Any, address: str, name: str) -> None:
    mail = parse(letters.write({key: sender, "text": "Hello"}))
    assert (mail.from_address, mail.from_name) == (address, name)


@pytest.mark.parametrize("key", ["from", "to", "subject", "message_id", "in_reply_to", "references"])
def test_no_value_ends_its_line(key: str) -> None:
    head = letters.write({key: "a\r\nBcc: x@y.example\u2028Bcc: z", "text": "Hello"}).partition(b"\r\n\r\n")[0]
    assert not any(line.startswith(b"Bcc") for line in head.splitlines())


def test_headers_are_taken_over_but_for_what_is_written_anew() -> None:
    headers = {
        "Auto-Submitted": "auto-replied",
        "Content-Type": "text/html",
        "Message-ID": "<other@x>",
        "Bad Name": "x",
        "X-A": "a\r\nX-B: b",
        "Date": "Mon, 04 Jan 2027 09:30:00 +0000",
        "X-N": 7,
    }
    raw = letters.write(received(text="Away", headers=headers))
    head = raw.partition(b"\r\n\r\n")[0].decode()
    assert "X-A: a X-B: b\r\n" in head
    assert "Bad Name" not in head
    mail = parse(raw)
    assert (mail.kind, mail.message_id, mail.text.strip()) == (InboundKind.AUTO_REPLY, "<r1@peer.example>", "Away")
    assert mail.sent_at == datetime(2027, 1, 4, 9, 30, tzinfo=UTC)


def test_what_agentmail_extracts_serves_only_where_there_is_nothing_else() -> None:
    assert parse(letters.write({"text": "All", "extracted_text": "Some"})).text.strip() == "All"
    assert parse(letters.write({"extracted_text": "Some"})).text.strip() == "Some"
    assert parse(letters.write({"html": "<p>All</p>"})).reply_text == "All"
    assert parse(letters.write({})).text.strip() == ""


@pytest.mark.parametrize("seed", range(50))
def test_any_fields_are_a_mail(seed: int) -> None:
    odd: list[Any] = [
        None,
        7,
        "",
        "\x00\ud800",
        [],
        {},
        ["\r\nX: y"],
        [[1]],
        {"a": {"b": []}},
        "=?utf-8?q?=0D=0A?=",
        True,
    ]
    choose = random.Random(seed).choice
    names = "from from_ to cc reply_to subject message_id in_reply_to references headers text html extracted_text"
    fields = {name: choose(odd) for name in names.split()}
    parse(letters.write(fields))
    letters.has_body(fields)


# --- With a case ---


def test_each_event_ten_times_shuffled_is_one_message_and_one_verdict(client: Browser, server: AgentMailServer) -> None:
    ends = []
    for seed in range(3):
        case = begin(result_schema=FORM)
        sent = server.sent()[-1]
        answer = server.deliver(INBOX, counterparty.reply(original(sent), text="Number: 4711"), quietly=True)
        about = {name: sent.fields[name] for name in ("inbox_id", "thread_id", "message_id")}
        events = [
            event("message.sent", event_id=f"{seed}a", send=about),
            event("message.delivered", event_id=f"{seed}b", delivery=about),
            event("message.received", event_id=f"{seed}c", message=answer),
            event("message.received", event_id=f"{seed}d", message=answer),  # the same mail, told anew
            event("message.bounced", event_id=f"{seed}e", bounce={**about, "type": "Transient"}),
        ] * 10
        random.Random(seed).shuffle(events)
        for number, body in enumerate(events):
            assert post_signed(client, body).status_code == 200
            if number % 7 == seed:
                run_due()
        run_due()
        case.refresh_from_db()
        assert Message.objects.filter(case=case, direction=Direction.IN).count() == 1
        assert case.events.filter(type="verdict").count() == 1
        ends.append((case.status, case.result_status, case.result, case.attempt_count))
    assert set(map(str, ends)) == {str(("COMPLETED", "goal_achieved", {"number": "4711"}, 1))}
    assert InboundPayload.objects.filter(state=PayloadState.DONE).count() == InboundPayload.objects.count() == 12


@pytest.mark.parametrize(
    ("kind", "key", "about", "result_status"),
    [
        ("message.bounced", "bounce", {"type": "Permanent", "sub_type": "General"}, "BOUNCED"),
        ("message.complained", "complaint", {"type": "abuse"}, "COMPLAINED"),
        ("message.rejected", "reject", {"reason": "virus"}, "REJECTED"),
        ("message.bounced", "bounce", {"type": "Transient", "sub_type": "MailboxFull"}, None),
        ("message.opened", "open", {}, None),
    ],
)
def test_what_reports_do(
    client: Browser, server: AgentMailServer, kind: str, key: str, about: Any, result_status: str | None
) -> None:
    case = begin()
    sent = server.sent()[0].fields
    ids = {name: sent[name] for name in ("inbox_id", "thread_id", "message_id")}
    post_signed(client, event(kind, {key: {**ids, **about}}))
    run_due()
    case.refresh_from_db()
    assert case.result_status == result_status
    assert len(server.sent()) == 1


def test_an_event_that_is_faster_than_our_commit_waits(client: Browser, server: AgentMailServer) -> None:
    case = begin()
    sent = server.sent()[0].fields
    case.messages.update(message_id="<ours@agentmail.example>", provider_id="", status="QUEUED")
    about = {name: sent[name] for name in ("inbox_id", "message_id")}
    post_signed(client, event("message.delivered", delivery={**about, "recipients": [ANN]}))
    run_due("payload")
    stored = InboundPayload.objects.get()
    assert (stored.state, stored.try_again_at is not None) == (PayloadState.WAITING, True)
