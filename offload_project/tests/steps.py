"""For tests of interleavings: single steps, and a transport in the middle of which something happens."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from cases import correspondence, pump, work
from cases.correspondence import ReceivedMail
from cases.factories import ApiKeyFactory
from cases.models import Case, Purpose
from offload_project.tests.processes import post_one
from outreach.transports import OutgoingMail, Receipt


class RecordingTransport:
    """Takes every mail, and calls `meanwhile` before it answers."""

    sent: list[OutgoingMail]
    meanwhile: Callable[[OutgoingMail], None]

    def __init__(self) -> None:
        self.sent = []
        self.meanwhile = lambda mail: None

    def send(self, mail: OutgoingMail) -> Receipt:
        self.sent.append(mail)
        self.meanwhile(mail)
        return Receipt(provider_id=f"p{len(self.sent)}")


def new_case() -> Case:
    case: Case = Case.objects.get(pk=post_one(ApiKeyFactory(is_test=True)))
    return case


def step(kind: str = "case") -> BaseException | None:
    """One step of the one row of that kind that is due; what it raised."""
    (held,) = work.claim(kind, 10)
    error = run(held)
    pump.settle({held: error})
    return error


def run(held: work.Claim[Any]) -> BaseException | None:
    try:
        pump.run_step(held)
    except Exception as error:  # noqa: BLE001 (whatever a step raises; the pump catches it too)
        return error
    return None


def let_lease_end(case: Case) -> None:
    Case.objects.filter(pk=case.pk).update(lease_until=work.now() - timedelta(seconds=1))


def answer(case: Case, text: str) -> None:
    """The counterparty answers."""
    mail = ReceivedMail(
        purpose=Purpose.HUMAN,
        message_id=f"<{uuid.uuid4().hex}@supplier.example>",
        from_address="ann@supplier.example",
        from_name="Ann",
        to_address=case.our_address,
        subject="Re: Invoice",
        text=text,
        full_text=text,
    )
    correspondence.record_received(case.pk, mail)
