"""What payloads turn out to be, and what a provider's reports do to a case."""

import pytest

from cases.factories import CaseFactory, MessageFactory
from cases.models import Case, Status
from cases.testing import run_due
from outreach.inbound import doors, intake
from outreach.inbound.arrival import Arrival, DoorError, Envelope, EventKind, ProviderEvent, Standing
from outreach.inbound.matching import find_sent
from outreach.models import InboundPayload, PayloadState

pytestmark = pytest.mark.django_db


def payload(source: str = "sandbox", **envelope: object) -> InboundPayload:
    intake.accept(source, b"From: a@b.example\r\n\r\nHello", "key", envelope=envelope)
    stored: InboundPayload = InboundPayload.objects.get()
    return stored


def test_a_mail_comes_with_what_its_door_knows_of_it() -> None:
    stored = payload(recipients=["Us@Ours.example"], sender="A@B.example", standing="passed")
    arrival = doors.open_payload(stored, seconds=1)
    assert arrival.mail
    assert arrival.mail.text == "Hello"
    assert arrival.envelope == Envelope(("us@ours.example",), "a@b.example", standing=Standing.PASSED)


def test_an_unknown_door_can_not_be_opened_later_either() -> None:
    with pytest.raises(DoorError) as raised:
        doors.open_payload(payload("nowhere"), seconds=1)
    assert raised.value.permanent


def test_a_report_is_on_the_case_of_the_mail_that_it_names() -> None:
    sent = MessageFactory(case=CaseFactory(), message_id="<m@ours.example>", provider_id="p-1")
    MessageFactory(case=CaseFactory())
    for message_id in ("<m@ours.example>", "p-1"):
        assert find_sent(ProviderEvent(EventKind.BOUNCED, message_id)).case == sent.case
    assert find_sent(ProviderEvent(EventKind.BOUNCED, "<other@ours.example>")).case is None
    assert find_sent(ProviderEvent(EventKind.BOUNCED)).case is None


@pytest.mark.parametrize(
    ("kind", "status", "result_status"),
    [
        (EventKind.BOUNCED, Status.FAILED, "BOUNCED"),
        (EventKind.COMPLAINED, Status.FAILED, "COMPLAINED"),
        (EventKind.REJECTED, Status.FAILED, "REJECTED"),
        (EventKind.SOFT_BOUNCED, Status.RUNNING, None),
        (EventKind.DEFERRED, Status.RUNNING, None),
        (EventKind.DELIVERED, Status.RUNNING, None),
    ],
)
def test_what_a_report_does_to_the_case(
    kind: EventKind, status: Status, result_status: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = MessageFactory(case=CaseFactory(status=Status.RUNNING), message_id="<m@ours.example>").case
    event = ProviderEvent(kind, "<m@ours.example>", reason="550 5.1.1")
    monkeypatch.setitem(doors.READERS, "reporting", lambda payload, seconds: Arrival(event=event))
    taken = take_in("reporting")
    after = Case.objects.get(pk=case.pk)
    assert (after.status, after.result_status) == (status, result_status)
    assert taken.state == PayloadState.DONE
    if status == Status.RUNNING:
        assert after.version == case.version


def test_what_can_not_be_fetched_goes_to_staff(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(payload: InboundPayload, seconds: float) -> Arrival:
        raise DoorError("it is gone", permanent=True)

    monkeypatch.setitem(doors.READERS, "reporting", gone)
    taken = take_in("reporting")
    assert (taken.state, taken.note, taken.due_at) == (PayloadState.FAILED, "it is gone", None)


def take_in(source: str) -> InboundPayload:
    payload(source)
    run_due()
    taken: InboundPayload = InboundPayload.objects.get()
    return taken
