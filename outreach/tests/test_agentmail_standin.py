"""The stand-in speaks AgentMail's protocol: the official SDK says so."""

import base64
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import agentmail
import httpx
import pytest
from agentmail import AgentMail
from agentmail.core.api_error import ApiError
from agentmail.environment import AgentMailEnvironment
from agentmail.messages.errors.message_rejected_error import MessageRejectedError
from standardwebhooks import Webhook

from outreach.standins.agentmail import AgentMailServer, Fault

ONCE: Any = {"max_retries": 0}
RAW = (
    b"From: Ann <ann@peer.example>\r\nTo: us@agentmail.example\r\nSubject: Re: Q\r\nMessage-ID: <r1@peer.example>\r\n"
    b"Date: Mon, 04 Jan 2027 09:30:00 +0000\r\n"
)


@pytest.fixture
def server() -> Iterator[AgentMailServer]:
    with AgentMailServer() as running:
        running.create_inbox("us", "agentmail.example")
        yield running


@pytest.fixture
def sdk(server: AgentMailServer) -> Iterator[AgentMail]:
    environment = AgentMailEnvironment(http=server.url, websockets=server.url)
    with httpx.Client(trust_env=False) as http:
        yield AgentMail(api_key=server.key, environment=environment, httpx_client=http)


INBOX = "us@agentmail.example"


def send(sdk: AgentMail, **more: Any) -> Any:
    fields = {"to": "Ann <ann@peer.example>", "subject": "Q", "text": "Hello?", **more}
    return sdk.inboxes.messages.send(INBOX, request_options=ONCE, **fields)


def test_inboxes(sdk: AgentMail, server: AgentMailServer) -> None:
    first = sdk.inboxes.create(request={"username": "a", "client_id": "one", "display_name": "A"})
    again = sdk.inboxes.create(request={"username": "b", "client_id": "one"})
    assert (first.inbox_id, first.display_name) == ("a@agentmail.example", "A")
    assert again == first
    assert [one.inbox_id for one in sdk.inboxes.list().inboxes] == [INBOX, first.inbox_id]
    assert sdk.inboxes.get(INBOX).inbox_id == INBOX
    with pytest.raises(ApiError) as taken:
        sdk.inboxes.create(request={"username": "us"}, request_options=ONCE)
    assert taken.value.status_code == 403
    assert taken.value.body["code"] == "resource_taken"
    with pytest.raises(agentmail.ValidationError):
        sdk.inboxes.create(request={"client_id": "a@b"})


def test_a_mail_and_its_reply_are_one_thread(sdk: AgentMail, server: AgentMailServer) -> None:
    sent = send(sdk, labels=["case-1"], headers={"Auto-Submitted": "auto-generated"})
    mail = sdk.inboxes.messages.get(INBOX, sent.message_id)
    assert (mail.labels, mail.from_, mail.to) == (["sent", "case-1"], INBOX, ["Ann <ann@peer.example>"])
    assert (mail.subject, mail.text, mail.thread_id) == ("Q", "Hello?\n", sent.thread_id)
    answer = server.deliver(INBOX, RAW + f"In-Reply-To: {sent.message_id}\r\n\r\nYes".encode())
    assert answer["thread_id"] == sent.thread_id
    back = sdk.inboxes.messages.reply(INBOX, "<r1@peer.example>", text="Thanks")
    assert back.thread_id == sent.thread_id
    thanks = sdk.inboxes.messages.get(INBOX, back.message_id)
    assert (thanks.subject, thanks.to, thanks.in_reply_to) == ("Re: Q", ["Ann <ann@peer.example>"], "<r1@peer.example>")
    thread = sdk.inboxes.threads.get(INBOX, sent.thread_id)
    assert [one.message_id for one in thread.messages] == [sent.message_id, "<r1@peer.example>", back.message_id]
    assert thread.message_count == 3
    assert [one.thread_id for one in sdk.inboxes.threads.list(INBOX).threads] == [sent.thread_id]


def test_a_reply_to_a_mail_of_ours_goes_to_ourselves_unless_told_otherwise(sdk: AgentMail) -> None:
    sent = send(sdk)
    to_us = sdk.inboxes.messages.reply(INBOX, sent.message_id, text="x")
    to_ann = sdk.inboxes.messages.reply(INBOX, sent.message_id, text="x", to="ann@peer.example")
    assert sdk.inboxes.messages.get(INBOX, to_us.message_id).to == [INBOX]
    assert sdk.inboxes.messages.get(INBOX, to_ann.message_id).to == ["ann@peer.example"]


def test_lists_have_pages_labels_and_hidden_mail(sdk: AgentMail, server: AgentMailServer) -> None:
    ids = [send(sdk, labels=["case-1"] if number % 2 else []).message_id for number in range(5)]
    server.deliver(INBOX, RAW + b"\r\nspam", label="spam")
    shown = sdk.inboxes.messages.list(INBOX)
    assert [one.message_id for one in shown.messages] == ids[::-1]
    assert not any("text" in one.model_dump(exclude_unset=True) for one in shown.messages)
    assert [one.message_id for one in sdk.inboxes.messages.list(INBOX, labels=["case-1"]).messages] == [ids[3], ids[1]]
    everything = sdk.inboxes.messages.list(INBOX, include_spam=True, ascending=True)
    assert [one.message_id for one in everything.messages] == [*ids, "<r1@peer.example>"]
    first = sdk.inboxes.messages.list(INBOX, limit=3, ascending=True)
    second = sdk.inboxes.messages.list(INBOX, limit=3, ascending=True, page_token=first.next_page_token)
    assert [len(first.messages), len(second.messages), second.next_page_token] == [3, 2, None]
    assert not sdk.inboxes.messages.list(INBOX, after=datetime.now(UTC) + timedelta(hours=1)).messages
    with pytest.raises(ApiError) as wrong:
        sdk.inboxes.messages.list(INBOX, page_token="other", request_options=ONCE)
    assert wrong.value.status_code == 400


def test_files_go_both_ways(sdk: AgentMail, server: AgentMailServer) -> None:
    file = {"filename": "a.pdf", "content_type": "application/pdf", "content": base64.b64encode(b"%PDF").decode()}
    sent = send(sdk, attachments=[file])
    [listed] = sdk.inboxes.messages.get(INBOX, sent.message_id).attachments or []
    assert (listed.filename, listed.size, listed.content_type) == ("a.pdf", 4, "application/pdf")
    got = sdk.inboxes.messages.get_attachment(INBOX, sent.message_id, listed.attachment_id)
    assert httpx.get(got.download_url, trust_env=False).content == b"%PDF"
    raw = sdk.inboxes.messages.get_raw(INBOX, sent.message_id)
    assert httpx.get(raw.download_url, trust_env=False).content == server.sent()[0].raw
    assert raw.size == len(server.sent()[0].raw)
    with pytest.raises(agentmail.NotFoundError):
        sdk.inboxes.messages.get_attachment(INBOX, sent.message_id, "att_none")


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"to": []}, 422, "unprocessable"),
        ({"to": "nobody"}, 400, "validation_error"),
        ({"to": [f"a{number}@peer.example" for number in range(51)]}, 400, "validation_error"),
        ({"text": ""}, 400, "validation_error"),
        ({"attachments": [{"url": "https://x.example/"}]}, 403, "message_rejected"),
        ({"idempotency_key": "a@b"}, 400, "validation_error"),
    ],
)
def test_what_is_refused(sdk: AgentMail, server: AgentMailServer, changed: Any, status: int, code: str) -> None:
    with pytest.raises(ApiError) as refused:
        send(sdk, **changed)
    body: Any = refused.value.body
    assert (refused.value.status_code, body["code"] if isinstance(body, dict) else body.code) == (status, code)
    assert server.sent() == []


def test_a_wrong_key_looks_like_a_rejected_mail(sdk: AgentMail, server: AgentMailServer) -> None:
    server.key = "am_another"
    with pytest.raises(MessageRejectedError) as refused:
        send(sdk)
    assert refused.value.body.message == "Forbidden"
    assert getattr(refused.value.body, "code", None) is None


def test_a_key_sends_once(sdk: AgentMail, server: AgentMailServer) -> None:
    first, again = send(sdk, idempotency_key="k"), send(sdk, idempotency_key="k")
    assert first == again
    with pytest.raises(agentmail.ConflictError) as conflict:
        send(sdk, idempotency_key="k", text="Other")
    assert conflict.value.body.code == "conflict"
    with pytest.raises(agentmail.ConflictError):
        sdk.inboxes.messages.reply(INBOX, first.message_id, text="x", idempotency_key="k", request_options=ONCE)
    assert len(server.sent()) == 1
    server.forget_keys()
    assert send(sdk, idempotency_key="k") != first
    assert len(server.sent()) == 2


def test_a_key_in_progress_is_a_conflict(sdk: AgentMail, server: AgentMailServer) -> None:
    server.slow_seconds = 0.5
    slow = Thread(target=send, args=(sdk,), kwargs={"idempotency_key": "k"})
    slow.start()
    time.sleep(0.2)
    with pytest.raises(agentmail.ConflictError, match="in progress"):
        send(sdk, idempotency_key="k")
    slow.join()
    assert len(server.sent()) == 1


def test_a_failed_try_frees_its_key(sdk: AgentMail, server: AgentMailServer) -> None:
    server.suppressed["ann@peer.example"] = "message.bounced"
    with pytest.raises(MessageRejectedError):
        send(sdk, idempotency_key="k")
    server.suppressed.clear()
    assert send(sdk, idempotency_key="k", text="Other").message_id


def test_an_unkeyed_send_whose_answer_is_lost_is_sent_again_by_the_sdk(sdk: AgentMail, server: AgentMailServer) -> None:
    server.faults.append(Fault("after", status=500))
    sdk.inboxes.messages.send(INBOX, to="ann@peer.example", text="x")
    assert len(server.sent()) == 2


@pytest.mark.parametrize(("when", "sent"), [("before", 0), ("after", 1)])
def test_faults_before_and_after_the_effect(sdk: AgentMail, server: AgentMailServer, when: str, sent: int) -> None:
    server.faults += [Fault(when, status=503), Fault(when, is_reset=True), Fault(when, status=200, body=b"<html>")]
    with pytest.raises(ApiError):
        send(sdk, idempotency_key="1")
    with pytest.raises(httpx.TransportError):
        send(sdk, idempotency_key="2")
    with pytest.raises(ApiError):
        send(sdk, idempotency_key="3")
    assert len(server.sent()) == 3 * sent
    assert server.faults == []
    server.faults.append(Fault(when, status=429, code="rate_limit_exceeded", retry_after="7"))
    with pytest.raises(ApiError) as limited:
        send(sdk)
    assert (limited.value.headers or {})["retry-after"] == "7"


def test_after_a_bounce_the_address_is_suppressed(sdk: AgentMail, server: AgentMailServer) -> None:
    sent = send(sdk)
    server.report("message.bounced", sent.message_id, type="Transient")
    send(sdk)
    server.report("message.bounced", sent.message_id)
    with pytest.raises(MessageRejectedError) as refused:
        send(sdk)
    assert refused.value.body.code == "message_rejected"
    assert len(server.sent()) == 2


def test_webhooks(sdk: AgentMail, server: AgentMailServer) -> None:
    made = sdk.webhooks.create(url="http://127.0.0.1:9/x", event_types=["message.received"], client_id="one")
    assert sdk.webhooks.create(url="http://other.example", event_types=["message.sent"], client_id="one") == made
    assert made.secret.startswith("whsec_")
    assert made.enabled
    changed = sdk.webhooks.update(made.webhook_id, event_types=["message.sent"], enabled=False)
    assert (changed.event_types, changed.enabled) == (["message.sent"], False)
    assert [one.webhook_id for one in sdk.webhooks.list().webhooks] == [made.webhook_id]
    sdk.webhooks.delete(made.webhook_id)
    with pytest.raises(agentmail.NotFoundError):
        sdk.webhooks.get(made.webhook_id)
    with pytest.raises(ApiError):
        sdk.webhooks.create(url="http://x.example", event_types=[], request_options=ONCE)


def test_events_are_signed_and_delivered_until_they_are_taken(server: AgentMailServer, sdk: AgentMail) -> None:
    taken: list[tuple[dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            taken.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(500 if len(taken) < 3 else 204)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as receiver:
        Thread(target=receiver.serve_forever, args=(0.02,), daemon=True).start()
        made = sdk.webhooks.create(url=f"http://127.0.0.1:{receiver.server_port}", event_types=["message.received"])
        server.deliver(INBOX, RAW + b"\r\nHello")
        server.deliver(INBOX, RAW.replace(b"<r1", b"<r2") + b"\r\nspam", label="spam")  # not subscribed to
        end = time.monotonic() + 10
        while len(taken) < 3 and time.monotonic() < end:
            time.sleep(0.05)
        receiver.shutdown()
    assert len(taken) == 3
    assert len({body for _, body in taken}) == len({headers["svix-id"] for headers, _ in taken}) == 1
    headers, body = taken[0]
    named = {name.replace("svix-", "webhook-"): value for name, value in headers.items()}
    event = Webhook(made.secret).verify(body, named)
    assert (event["event_type"], event["message"]["text"]) == ("message.received", "Hello")
    assert event["thread"]["message_count"] == 1
    read = agentmail.MessageReceivedEvent.model_validate(event)
    assert read.message.from_ == "Ann <ann@peer.example>"
