"""Mail byte for byte, for staff."""

import uuid
from typing import Any

import pytest

from cases import work
from cases.admin.originals import Original
from cases.factories import MessageFactory
from cases.models import Message
from outreach.models import InboundPayload, SandboxMail
from outreach.originals import ORIGINALS

pytestmark = pytest.mark.django_db
RAW = b"Subject: Hello\r\n\r\nHello."


def taken_in(message: Message, source: str = "sandbox", body: bytes = RAW) -> InboundPayload:
    payload: InboundPayload = InboundPayload.objects.create(
        source=source, dedupe_key=uuid.uuid4().hex, body=body, received_at=work.now(), state="DONE", message=message
    )
    return payload


def delivered(message: Message) -> None:
    SandboxMail.objects.create(
        case=message.case, idempotency_key=message.idempotency_key, message_id="<1@x>", raw=RAW, delivered_at=work.now()
    )


def test_what_came_is_read_as_it_came() -> None:
    message = MessageFactory(direction="IN")
    assert ORIGINALS.read(message) is None
    taken_in(message)
    assert ORIGINALS.read(message) == Original(RAW, "eml")


def test_a_provider_s_wrapping_is_named_as_what_it_is() -> None:
    message = MessageFactory(direction="IN")
    taken_in(message, "agentmail", b"{}")
    assert ORIGINALS.read(message) == Original(b"{}", "json")


def test_an_event_about_a_mail_is_not_that_mail() -> None:
    message = MessageFactory(direction="IN")
    taken_in(message, "anymail_event")
    assert ORIGINALS.read(message) is None
    assert ORIGINALS.kept([message]) == set()


def test_what_the_sandbox_has_delivered_is_read() -> None:
    message = MessageFactory()
    assert ORIGINALS.read(message) is None
    delivered(message)
    assert ORIGINALS.read(message) == Original(RAW, "eml")


def test_a_live_mail_is_not_taken_for_one_of_the_sandbox() -> None:
    message = MessageFactory(case__transport="email", case__is_test=False)
    delivered(message)
    assert ORIGINALS.read(message) is None
    assert ORIGINALS.kept([message]) == set()


def test_what_is_kept_is_found_at_once(django_assert_num_queries: Any) -> None:
    received, other, sent, live = (
        MessageFactory(direction="IN"),
        MessageFactory(direction="IN"),
        MessageFactory(),
        MessageFactory(case__transport="email"),
    )
    taken_in(received)
    delivered(sent)
    with django_assert_num_queries(1):
        assert ORIGINALS.kept([received, other, sent, live]) == {received.pk, sent.pk}
    with django_assert_num_queries(0):
        assert ORIGINALS.kept([live]) == set()
