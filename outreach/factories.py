"""Rows of this room for tests, and a case that is really played: with its mail, sent and taken in as in the service."""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import factory
from factory.django import DjangoModelFactory

from cases import work
from cases.factories import CaseFactory
from cases.models import Case, Event, InputRequest, Message, MessageStatus, RequestStatus
from cases.testing import run_due
from cases.time_travel import bring_nearer
from outreach import sandbox
from outreach.inbound import intake
from outreach.models import InboundPayload

FORM = {
    "type": "object",
    "required": ["invoiceNumber", "total"],
    "properties": {"invoiceNumber": {"type": "string"}, "total": {"type": "number"}, "remarks": {"type": "string"}},
}


class InboundPayloadFactory(DjangoModelFactory[InboundPayload]):
    """What a door has stored a moment ago, due; `body` is the raw mail."""

    class Meta:
        model = InboundPayload

    source = "sandbox"
    body = b"Subject: nobody's\r\n\r\nHello"
    dedupe_key = factory.LazyFunction(lambda: uuid.uuid4().hex)
    received_at = factory.LazyFunction(work.now)
    due_at = factory.SelfAttribute("received_at")


@dataclass
class Played:
    """A case and both its sides. What is due is carried out at once, in the calling thread."""

    case: Case

    @classmethod
    def begin(cls, **fields: Any) -> "Played":
        """A sandbox case whose first mail has been sent."""
        played = cls(CaseFactory(**fields))
        run_due()
        return played

    def reload(self) -> Case:
        """The case as it stands in the database."""
        self.case = Case.objects.get(pk=self.case.pk)
        return self.case

    # What the counterparty does

    def reply(self, text: str = "", **more: Any) -> None:
        sandbox.reply(self.case, text=text, **more)
        run_due()

    def take(self, raw: bytes) -> InboundPayload:
        """A mail comes in, as a door would hand it over."""
        digest = hashlib.sha256(raw).hexdigest()
        intake.accept("sandbox", raw, digest)
        run_due()
        payload: InboundPayload = InboundPayload.objects.get(dedupe_key=digest)
        return payload

    # What time does

    def wait(self, hours: float) -> None:
        bring_nearer(self.case.pk, timedelta(hours=hours))
        run_due()

    # What there is to see

    @property
    def mails(self) -> list[dict[str, Any]]:
        """The counterparty's mailbox, oldest first."""
        return sandbox.mailbox(self.case)

    @property
    def received(self) -> list[Message]:
        return list(self.case.messages.filter(direction="IN"))

    @property
    def sent(self) -> list[Message]:
        return list(self.case.messages.filter(status=MessageStatus.SENT))

    @property
    def question(self) -> InputRequest:
        """The one that is open. Raises DoesNotExist."""
        return self.case.input_requests.get(status=RequestStatus.PENDING)

    @property
    def timeline(self) -> list[str]:
        return [event.type for event in Event.objects.filter(case=self.case)]
