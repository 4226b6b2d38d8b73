"""The engine with the real kinds of work: rules 2, 3, 5, 11 and 13 where mail and webhooks leave the house."""

import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection

from cases import correspondence, leases, pump, services, work
from cases.factories import CaseFactory, MessageFactory
from cases.models import Case, Message, MessageStatus, Status
from offload_project.tests.steps import RecordingTransport, answer, let_lease_end, new_case, run, step
from outreach.agents import registry
from outreach.inbound import intake
from outreach.models import InboundPayload, PayloadState
from outreach.transports import OutgoingMail, TransportError
from webhooks import sender
from webhooks.models import Delivery, DeliveryState
from webhooks.sender import Outcome

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]


# --- Rules 2 and 3: one mail a decision -------------------------------------------------------------------------------


def test_a_case_is_begun_by_two_steps_and_one_mail(transport: RecordingTransport) -> None:
    case = new_case()
    assert step() is None
    assert Case.objects.get().messages.get().status == MessageStatus.QUEUED
    assert transport.sent == []
    assert step() is None
    assert not work.due("case").exists()
    assert [mail.case_id for mail in transport.sent] == [str(case.pk)]
    case.refresh_from_db()
    assert (case.status, case.attempt_count) == (Status.RUNNING, 1)


def test_before_the_transport_is_called_it_is_committed_that_it_will_be(transport: RecordingTransport) -> None:
    new_case()
    step()
    seen = []

    def look(mail: OutgoingMail) -> None:
        seen.append((connection.connection, connection.in_atomic_block))
        message = Message.objects.get(idempotency_key=mail.idempotency_key)
        seen.append((message.status, message.send_started_at is not None))
        work.let_go_of_connection()

    transport.meanwhile = look
    step()
    assert seen == [(None, False), (MessageStatus.QUEUED, True)]


def test_a_send_whose_outcome_is_unknown_is_repeated_byte_for_byte(
    transport: RecordingTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = new_case()
    step()
    (dies,) = work.claim("case", 1)
    real, asked = correspondence.record_sent, []

    def die(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt  # as if the process were killed: the transport has answered, nobody knows

    monkeypatch.setattr(correspondence, "record_sent", die)
    with pytest.raises(KeyboardInterrupt):
        pump.run_step(dies)
    monkeypatch.setattr(correspondence, "record_sent", real)
    monkeypatch.setattr(registry, "current", lambda seconds: asked.append(1))  # nobody is asked for a text again
    let_lease_end(case)
    answer(case, "We got it already.")  # and a reply does not stop the repetition
    assert step() is None
    first, second = transport.sent
    assert first == second
    assert asked == []
    case.refresh_from_db()
    assert case.attempt_count == 1


def test_a_reply_that_comes_during_a_send_is_kept_and_nothing_is_sent_twice(transport: RecordingTransport) -> None:
    case = new_case()
    step()
    transport.meanwhile = lambda mail: answer(case, "That was quick.")
    assert step() is None
    case.refresh_from_db()
    assert (case.status, case.attempt_count) == (Status.RUNNING, 1)
    assert case.messages.unread().count() == 1
    assert case in work.due("case")
    assert len(transport.sent) == 1


def test_a_case_that_ends_during_a_send_stays_ended(transport: RecordingTransport) -> None:
    case = new_case()
    step()

    def cancel(mail: OutgoingMail) -> None:
        services.cancel_case(case.pk, actor="staff ann")

    transport.meanwhile = cancel
    assert step() is None
    case.refresh_from_db()
    assert (case.status, case.attempt_count, case.due_at) == (Status.FAILED, 0, None)
    assert case.messages.get().status == MessageStatus.SENT  # a fact
    assert not work.due("case").exists()


def test_what_the_transport_answered_is_written_once_the_database_is_back(
    transport: RecordingTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_case()
    step()
    real, tries = correspondence.record_sent, []

    def locked_at_first(*args: Any, **options: Any) -> None:
        tries.append(1)
        if len(tries) < 3:
            raise OperationalError("database is locked")
        real(*args, **options)

    monkeypatch.setattr(correspondence, "record_sent", locked_at_first)
    assert step() is None
    assert len(tries) == 3
    assert len(transport.sent) == 1
    assert Case.objects.get().attempt_count == 1


def test_a_draft_for_a_case_that_has_moved_on_is_dropped(
    transport: RecordingTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, agent = new_case(), registry.current(60)

    class Slow:
        def __getattr__(self, name: str) -> Any:
            return getattr(agent, name)

        def draft_outreach(self, view: Any, faults: Any) -> Any:
            services.reply_to_counterparty(case.pk, text="I write it myself.", actor="staff ann")
            return agent.draft_outreach(view)

    monkeypatch.setattr(registry, "current", lambda seconds: Slow())
    assert isinstance(step(), work.MovedOn)
    assert step() is None
    assert [mail.text for mail in transport.sent] == ["I write it myself."]
    assert not work.due("case").exists()


# --- Rule 5: no call without a lease that outlasts it -----------------------------------------------------------------


def test_without_a_lease_that_outlasts_the_call_nothing_is_sent(transport: RecordingTransport) -> None:
    new_case()
    step()
    (held,) = work.claim("case", 1)
    held.held_until = time.monotonic() + 1
    assert isinstance(run(held), work.LeaseLost)
    assert transport.sent == []


def test_without_a_lease_that_outlasts_the_call_no_webhook_is_sent(
    delivery: Delivery, posted: list[dict[str, Any]]
) -> None:
    (held,) = work.claim("delivery", 1)
    held.held_until = time.monotonic() + 1
    run(held)
    assert posted == []


# --- Rule 8 with a transport ------------------------------------------------------------------------------------------


def test_a_transport_that_fails_is_tried_again_with_the_same_mail(transport: RecordingTransport) -> None:
    case = new_case()
    step()

    def refuse(mail: OutgoingMail) -> None:
        raise TransportError("try later", permanent=False)

    transport.meanwhile = refuse
    assert isinstance(step(), TransportError)
    case.refresh_from_db()
    assert case.failures == 1
    assert case.retry_at is not None
    assert case.due_at == case.retry_at > work.now()
    assert (case.status, case.attempt_count) == (Status.CREATED, 0)
    transport.meanwhile = lambda mail: None
    with work.transaction():
        locked = Case.objects.locked(case.pk)
        locked.retry_at = None
        work.reschedule(locked)
        locked.save()
    assert step() is None
    assert transport.sent[0] == transport.sent[1]


def test_a_new_case_that_fails_for_a_day_asks_a_human(transport: RecordingTransport) -> None:
    case = new_case()
    Case.objects.update(failing_since=work.now() - timedelta(hours=25), failures=30)
    (held,) = work.claim("case", 1)
    leases.fail(held, TransportError("no such server", permanent=False))
    case.refresh_from_db()
    assert case.status == Status.INPUT_NEEDED
    assert "no such server" in case.input_requests.get().question
    assert transport.sent == []


def test_a_payload_that_kills_processes_goes_to_the_staffs_list() -> None:
    intake.accept("sandbox", b"From: a@b.example\r\n\r\nx", "one")
    InboundPayload.objects.update(lost_leases=10)
    work.run_pump("payload")
    assert InboundPayload.objects.get().state == PayloadState.FAILED


# --- Rule 11: mail before our commit ----------------------------------------------------------------------------------

RAW = b"""From: Ann <ann@supplier.example>\r
To: somebody@elsewhere.example\r
Subject: Re: Invoice\r
Message-ID: <early@supplier.example>\r
In-Reply-To: <not-committed-yet@example.com>\r
Date: Mon, 2 Mar 2026 09:00:00 +0000\r
\r
Here it is.\r
"""


def payload_after(received_ago: timedelta = timedelta(0)) -> InboundPayload:
    assert intake.accept("sandbox", RAW, "one")
    InboundPayload.objects.update(received_at=work.now() - received_ago)
    assert step("payload") is None
    payload: InboundPayload = InboundPayload.objects.get()
    return payload


def being_sent(**fields: Any) -> Message:
    """A mail to Ann that is being sent, under a Message-ID that the provider is about to choose."""
    case = CaseFactory(status=Status.RUNNING, transport="agentmail")
    message: Message = MessageFactory(case=case, status=MessageStatus.QUEUED, sent_at=None, **fields)
    return message


def test_an_answer_that_is_faster_than_our_commit_is_tried_again() -> None:
    message = being_sent()
    payload = payload_after()
    assert payload.state == PayloadState.WAITING
    assert payload.due_at is not None
    assert payload.due_at > work.now()
    correspondence.record_sent(message.pk, message_id="<not-committed-yet@example.com>")
    InboundPayload.objects.update(due_at=work.now())
    assert step("payload") is None
    assert InboundPayload.objects.get().state == PayloadState.DONE
    assert message.case.messages.unread().count() == 1


def test_it_is_tried_for_ten_minutes() -> None:
    being_sent()
    assert payload_after(timedelta(minutes=9, seconds=50)).state == PayloadState.WAITING


def test_and_then_it_is_unmatched() -> None:
    being_sent()
    payload = payload_after(timedelta(minutes=10, seconds=1))
    assert (payload.state, payload.due_at) == (PayloadState.UNMATCHED, None)


def test_where_nothing_is_being_sent_to_the_sender_it_is_unmatched_at_once() -> None:
    being_sent(to_address="bob@other.example")
    assert payload_after().state == PayloadState.UNMATCHED


def test_several_matches_are_unmatched_and_never_a_guess() -> None:
    for _ in range(2):
        MessageFactory(message_id="<not-committed-yet@example.com>", case__status=Status.RUNNING)
    payload = payload_after()
    assert payload.state == PayloadState.UNMATCHED
    assert not Message.objects.filter(direction="IN").exists()


# --- Rule 13: nothing is held while somebody else is talked to --------------------------------------------------------


@pytest.fixture
def posted(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The webhooks that were sent, with the connection that was held meanwhile."""
    calls: list[dict[str, Any]] = []

    def post(url: str, body: bytes, **options: Any) -> Outcome:
        calls.append({"url": url, "body": body, "connection": connection.connection, **options})
        return Outcome(status=200, duration_ms=1)

    monkeypatch.setattr(sender, "post", post)
    return calls


@pytest.fixture
def delivery() -> Delivery:
    """A webhook that is due."""
    case = CaseFactory(status=Status.RUNNING, client_webhook_url="https://client.example/hook")
    services.cancel_case(case.pk, actor="staff ann")
    due: Delivery = Delivery.objects.get()
    return due


def test_a_webhook_is_sent_without_a_connection_held(delivery: Delivery, posted: list[dict[str, Any]]) -> None:
    assert step("delivery") is None
    assert [call["connection"] for call in posted] == [None]
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.DELIVERED


def test_the_agent_is_asked_without_a_connection_held(
    transport: RecordingTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, held_connections = registry.current(60), []

    class Watched:
        def __getattr__(self, name: str) -> Any:
            if name.startswith("draft_"):
                held_connections.append(connection.connection)
            return getattr(agent, name)

    monkeypatch.setattr(registry, "current", lambda seconds: Watched())
    new_case()
    assert step() is None
    assert held_connections == [None]
