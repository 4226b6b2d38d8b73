"""Mail by AgentMail, over real HTTP to the stand-in: what is sent, and what becomes of answers that are lost."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest

from cases import services
from cases.factories import ClientFactory, reschedule
from cases.models import Case, Message, MessageStatus, Status
from cases.testing import run_due
from outreach.agentmail.client import AgentMail, AgentMailError
from outreach.inbound import intake
from outreach.inbound.counterparty import reply as written_reply
from outreach.standins.agentmail import AgentMailServer, Fault, original
from outreach.tests.agentmail import ANN, INBOX, agentmail, begin, post_case
from outreach.transports import OutgoingMail, Receipt, TransportError
from outreach.transports.agentmail import AgentMailTransport, new_mail, reply
from outreach.transports.base import OutgoingFile

pytestmark = pytest.mark.django_db
KEY = "k" * 32
LOST = [
    Fault("after", status=500),
    Fault("after", status=503, code="service_unavailable"),
    Fault("after", is_reset=True),
    Fault("after", status=504, body=b"<html>Gateway Timeout</html>"),
    Fault("after", status=200, body=b"<html>garbage"),
    Fault("after", status=200, body=b'{"message_id": 7}'),
    Fault("after", status=200, body=b'{"message_id": "<a@b>", "thread_id": ""}'),
    Fault("after", wait_seconds=0.6, status=500),  # longer than a call may take here
]
NEVER_CAME = [replace(fault, when="before") for fault in LOST]


@pytest.fixture
def server(settings: Any) -> Iterator[AgentMailServer]:
    with agentmail(settings) as running:
        settings.OFFLOAD_TRANSPORT_SECONDS = 0.5
        yield running


def a_mail(**changed: Any) -> OutgoingMail:
    mail = OutgoingMail(
        case_id="4711",
        from_address=INBOX,
        from_name="Bob Buyer",
        to_address=ANN,
        to_name="Ann Miller",
        subject="Invoice",
        text="Hello Ann,\n\nInvoice number: \n",
        message_id="<1@agentmail.example>",
        in_reply_to="",
        references=(),
        idempotency_key=KEY,
        queued_at=datetime.now(UTC),
        send_began_at=datetime.now(UTC),
    )
    return replace(mail, **changed)


def send(mail: OutgoingMail) -> Receipt:
    return AgentMailTransport().send(mail)


def refused(mail: OutgoingMail) -> TransportError:
    with pytest.raises(TransportError) as caught:
        send(mail)
    return caught.value


def posts(server: AgentMailServer) -> list[tuple[str, bytes]]:
    return [(target, body) for method, target, body in server.requests if method == "POST"]


# --- What is sent ---


def test_the_first_mail(server: AgentMailServer) -> None:
    receipt = send(a_mail(files=(OutgoingFile("form.pdf", "application/pdf", b"%PDF"),)))
    [sent] = server.sent()
    assert receipt == Receipt(sent.fields["message_id"], sent.fields["message_id"], sent.fields["thread_id"])
    mail = message_from_bytes(sent.raw, policy=default)
    assert str(mail["From"]) == "Acme <us@agentmail.example>"
    assert [address.addr_spec for address in mail["To"].addresses] == [ANN]
    assert (mail["Subject"], mail["Auto-Submitted"], mail["In-Reply-To"]) == ("Invoice", "auto-generated", None)
    assert sent.fields["text"] == "Hello Ann,\n\nInvoice number: \n"
    assert sent.labels == ["sent", "case-4711", f"mail-{KEY}"]
    assert [(file["filename"], file["content_type"]) for file in sent.fields["attachments"]] == [
        ("form.pdf", "application/pdf")
    ]
    assert list(sent.files.values()) == [b"%PDF"]
    assert posts(server)[0][0] == "/v0/inboxes/us%40agentmail.example/messages/send"


def test_later_mail_is_a_reply_to_the_newest_and_goes_to_them(server: AgentMailServer) -> None:
    first = send(a_mail())
    second = send(a_mail(in_reply_to=first.message_id, references=(first.message_id,), idempotency_key="two"))
    assert second.thread_id == first.thread_id
    mail = message_from_bytes(server.sent()[1].raw, policy=default)
    assert [address.addr_spec for address in mail["To"].addresses] == [ANN]  # not us, whose mail it answers
    assert (mail["In-Reply-To"], mail["Subject"]) == (first.message_id, "Re: Invoice")
    assert "subject" not in json.loads(posts(server)[1][1])


def test_ids_are_encoded_in_paths(server: AgentMailServer) -> None:
    odd = "<a/b?c#d%e&f@peer.example>"
    raw = f"From: {ANN}\r\nTo: {INBOX}\r\nMessage-ID: {odd}\r\n\r\nHello".encode()
    thread_id = server.deliver(INBOX, raw)["thread_id"]
    assert send(a_mail(in_reply_to=odd)).thread_id == thread_id
    assert [target.rpartition("/")[2] for target, _ in posts(server)] == ["reply"]


def test_the_request_follows_from_the_mail_alone() -> None:
    mail = a_mail(references=("<a@b>", "not one"), in_reply_to="<a@b>")
    later = replace(mail, send_began_at=datetime.now(UTC) - timedelta(hours=3))
    assert (new_mail(mail), reply(mail)) == (new_mail(later), reply(later))
    assert json.loads(new_mail(mail))["headers"] == {
        "Auto-Submitted": "auto-generated",
        "In-Reply-To": "<a@b>",
        "References": "<a@b>",
    }


@pytest.mark.parametrize(
    "name", ['Ann" <evil@evil.example>, "x', "Ann\r\nBcc: evil@evil.example", "A, B; C", "", "(x)"]
)
def test_no_name_adds_a_recipient(server: AgentMailServer, name: str) -> None:
    send(a_mail(to_name=name, subject=name or "-"))
    mail = message_from_bytes(server.sent()[0].raw, policy=default)
    assert [address.addr_spec for address in mail["To"].addresses] == [ANN]
    assert mail["Bcc"] is None


def test_what_is_too_large_is_not_sent(server: AgentMailServer) -> None:
    error = refused(a_mail(files=(OutgoingFile("a", "application/pdf", b"x" * 4_600_000),)))
    assert error.permanent
    assert "6 MB" in str(error)
    assert server.requests == []


# --- Answers that are lost ---


@pytest.mark.parametrize("fault", [*LOST, *NEVER_CAME], ids=str)
def test_a_mail_whose_answer_is_lost_is_repeated_with_the_same_bytes(server: AgentMailServer, fault: Fault) -> None:
    server.faults.append(fault)
    assert not refused(a_mail()).permanent
    receipt = send(a_mail())
    [sent] = server.sent()
    assert receipt.message_id == sent.fields["message_id"]
    first, second = posts(server)[0], posts(server)[-1]
    assert first == second


def test_a_key_of_yesterday_is_not_trusted(server: AgentMailServer) -> None:
    server.faults.append(Fault("after", status=500))
    mail = a_mail()
    refused(mail)
    server.forget_keys()
    late = replace(mail, send_began_at=mail.queued_at - timedelta(hours=23, minutes=1))
    receipt = send(late)
    [sent] = server.sent()
    assert receipt == Receipt(sent.fields["message_id"], sent.fields["message_id"], sent.fields["thread_id"])


def test_what_never_went_out_is_sent_a_day_later(server: AgentMailServer) -> None:
    send(a_mail(idempotency_key="another"))  # of the same case
    late = a_mail(send_began_at=datetime.now(UTC) - timedelta(hours=25))
    send(late)
    assert len(server.sent()) == 2


def test_a_key_that_was_used_for_other_bytes_finds_its_mail(server: AgentMailServer) -> None:
    first = send(a_mail())
    assert send(a_mail(text="As an earlier version worded it")) == first
    assert len(server.sent()) == 1


def test_a_send_in_progress_is_waited_for(server: AgentMailServer) -> None:
    api = AgentMail(seconds=5)
    api.send(INBOX, b'{"to": "x@peer.example", "text": "x"}', idempotency_key=KEY)
    server.keys[KEY].answer = None
    server.keys[KEY].fingerprint = "another's"
    error = refused(a_mail())
    assert not error.permanent
    assert "409 conflict" in str(error)
    assert len(server.sent()) == 1


def test_a_reply_to_what_is_gone_is_a_mail_of_its_own_sent_once(server: AgentMailServer) -> None:
    mail = a_mail(in_reply_to="<gone@peer.example>", references=("<gone@peer.example>",))
    server.faults.append(Fault("after", status=500, matches="/messages/send"))
    assert not refused(mail).permanent
    receipt = send(mail)
    [sent] = server.sent()
    assert receipt.message_id == sent.fields["message_id"]
    assert sent.fields["in_reply_to"] == "<gone@peer.example>"


# --- Refusals ---


@pytest.mark.parametrize(
    ("status", "code", "permanent"),
    [
        (400, "validation_error", True),
        (401, "unknown_api_key", False),
        (403, "message_rejected", True),
        (403, "domain_not_verified", False),
        (403, "limit_exceeded", False),
        (403, "missing_permission", False),
        (404, "not_found", False),
        (409, "race_condition", False),
        (413, "payload_too_large", True),
        (422, "unprocessable", True),
        (429, "rate_limit_exceeded", False),
        (500, "internal_error", False),
    ],
)
def test_who_has_to_mend_a_refusal(server: AgentMailServer, status: int, code: str, permanent: bool) -> None:
    server.faults.append(Fault("before", status=status, code=code))
    error = refused(a_mail())
    assert error.permanent is permanent
    assert f"{status} {code}" in str(error)
    assert server.sent() == []


def test_a_wrong_key_is_not_the_recipients_fault(server: AgentMailServer, settings: Any) -> None:
    settings.AGENTMAIL_API_KEY = "am_revoked"
    error = refused(a_mail())
    assert (error.permanent, "403" in str(error)) == (False, True)


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("7.5", 7.5), ("-3", 0.0), ("nan", 0.0), ("soon", 0.0), ("999999", 86400.0)]
)
def test_the_pause_that_is_asked_for(server: AgentMailServer, header: str, seconds: float) -> None:
    server.faults.append(Fault("before", status=429, code="rate_limit_exceeded", retry_after=header))
    assert refused(a_mail()).retry_after_seconds == seconds


def test_a_pause_until_a_date(server: AgentMailServer) -> None:
    until = (datetime.now(UTC) + timedelta(minutes=10)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    server.faults.append(Fault("before", status=429, retry_after=until))
    assert 590 <= refused(a_mail()).retry_after_seconds <= 600


def test_nobody_there(settings: Any) -> None:
    settings.AGENTMAIL_BASE_URL = "http://127.0.0.1:9"
    assert not refused(a_mail()).permanent


def test_only_links_of_the_web_are_followed(server: AgentMailServer) -> None:
    with pytest.raises(AgentMailError, match="not http"):
        AgentMail(seconds=1).download("file:///etc/passwd", limit=1000)


# --- With the engine ---


def test_a_case_goes_out_and_is_answered_in_its_thread(server: AgentMailServer) -> None:
    case = begin()
    [sent] = server.sent()
    assert (case.status, case.attempt_count) == (Status.RUNNING, 1)
    assert (case.our_address, case.thread_id) == (INBOX, sent.fields["thread_id"])
    [message] = case.messages.all()
    assert message.message_id == message.provider_id == sent.fields["message_id"]
    assert sent.labels == ["sent", f"case-{case.pk}", f"mail-{message.idempotency_key}"]


def test_the_pause_that_is_asked_for_is_kept(server: AgentMailServer) -> None:
    server.faults.append(Fault("before", status=429, code="rate_limit_exceeded", retry_after="900"))
    case = post_case()
    [error] = run_due(failing=TransportError)
    case.refresh_from_db()
    assert isinstance(error, TransportError)
    assert case.retry_at is not None
    assert 890 <= (case.retry_at - datetime.now(UTC)).total_seconds() <= 901
    assert "rate_limit_exceeded" in case.last_error
    assert case.status == Status.CREATED


def test_a_suppressed_recipient_ends_the_case(server: AgentMailServer) -> None:
    server.suppressed[ANN] = "message.bounced"
    case = begin()
    assert (case.status, case.result_status) == (Status.FAILED, "REJECTED")
    assert "suppressed" in (case.failure_reason or "")


def test_an_inbox_of_the_clients_own(server: AgentMailServer) -> None:
    server.create_inbox("acme", "agentmail.example")
    case = post_case()
    case.client.agentmail_inbox = "acme@agentmail.example"
    case.client.save()
    assert services.our_address(case) == "acme@agentmail.example"
    other = Case(client=ClientFactory(), transport="agentmail")
    assert services.our_address(other) == INBOX


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "number" in metafunc.fixturenames:
        metafunc.parametrize("number", range(20 * metafunc.config.getoption("--rounds")))


def test_answers_lost_at_random_cost_one_mail_each(server: AgentMailServer, number: int, settings: Any) -> None:
    """A first mail and a reply, each handed over until it is known to be sent; number chooses the faults."""
    settings.OFFLOAD_TRANSPORT_SECONDS = 0.3
    faults = [fault for fault in (*LOST, *NEVER_CAME) if not fault.wait_seconds or number % 10 == 0]
    server.faults += [faults[(number * step) % len(faults)] for step in (1, 3, 7)]
    case = post_case()
    _advance_until(case, 1)
    [sent] = server.sent()
    server.faults += [faults[(number * step) % len(faults)] for step in (5, 11)]
    raw = written_reply(original(sent), text="Who are you?")
    answer = server.deliver(INBOX, raw)
    event = {"event_type": "message.received", "message": answer}
    intake.accept("agentmail", json.dumps(event).encode(), "answer")
    run_due()
    services.reply_to_counterparty(case.pk, text="We are Acme.", actor="staff ann")
    _advance_until(case, 2)
    assert [one.fields["text"] for one in server.sent()][1] == "We are Acme.\n"
    assert len(server.sent()) == 2
    assert Message.objects.filter(case=case, status=MessageStatus.SENT).count() == 2
    assert {one.fields["thread_id"] for one in server.sent()} == {answer["thread_id"]}


def _advance_until(case: Case, attempts: int) -> None:
    for _ in range(12):
        Case.objects.filter(pk=case.pk).update(retry_at=None)
        reschedule(case)
        run_due("case", failing=TransportError)
        case.refresh_from_db()
        if case.attempt_count == attempts:
            return
    raise AssertionError(f"{case.attempt_count} of {attempts} mails were sent: {case.last_error}")
