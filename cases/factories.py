"""Rows for tests, each valid by itself. What a case is due for always follows from its facts, as in the service."""

import hashlib
import time
import uuid
from datetime import datetime, timedelta
from typing import Any

import factory
from django.core.files.base import ContentFile
from django.utils import timezone
from factory.django import DjangoModelFactory

from cases import leases, work
from cases.models import (
    ApiKey,
    Attachment,
    Case,
    Client,
    Direction,
    InputRequest,
    Message,
    MessageStatus,
    Purpose,
    RequestStatus,
    ResultStatus,
    Status,
)


def reschedule(case: Case) -> None:
    """Derive the case's `due_at` anew, after a test has changed its facts behind its back."""
    with work.transaction():
        locked = Case.objects.locked(case.pk)
        leases.derive_due_at(locked)  # and no wake-up: in a test nobody waits for it
        Case.objects.filter(pk=case.pk).update(due_at=locked.due_at)
    case.due_at = locked.due_at


class ClientFactory(DjangoModelFactory[Client]):
    class Meta:
        model = Client

    name = factory.Sequence(lambda number: f"Client {number}")


class ApiKeyFactory(DjangoModelFactory[ApiKey]):
    """A key; the attribute `key` is the key in clear."""

    class Meta:
        model = ApiKey

    client = factory.SubFactory(ClientFactory)

    @classmethod
    def _create(cls, model_class: type[ApiKey], *args: Any, **fields: Any) -> ApiKey:
        client, is_test, name = fields.pop("client"), fields.pop("is_test", False), fields.pop("name", "")
        row, key = model_class.issue(client, is_test=is_test, name=name)
        for field, value in fields.items():
            setattr(row, field, value)
        row.save()
        row.key = key  # type: ignore[attr-defined]
        return row


def _moment() -> datetime:
    """Now, but never the same millisecond as for the case before: lists are in the order of these times."""
    time.sleep(0.001)
    return work.now()


class CaseFactory(DjangoModelFactory[Case]):
    """A sandbox case; `status` brings along what belongs to it (attempts, schedule, result).

    INPUT_NEEDED brings no question: InputRequestFactory makes one, with its case.
    """

    class Meta:
        model = Case

    client = factory.SubFactory(ClientFactory)
    is_test = True
    channel = "EMAIL"
    transport = "sandbox"
    goal = factory.LazyFunction(lambda: {"objective": "Ask for the invoice of March."})
    counterparty = factory.LazyFunction(lambda: {"address": "ann@supplier.example", "name": "Ann Supplier"})
    sender_persona = factory.LazyFunction(lambda: {"name": "Bob Buyer"})
    status = Status.CREATED
    created_at = factory.LazyFunction(_moment)
    updated_at = factory.SelfAttribute("created_at")
    counterparty_address = factory.LazyAttribute(lambda case: case.counterparty["address"].lower())

    @classmethod
    def _create(cls, model_class: type[Case], **fields: Any) -> Case:
        facts: dict[str, Any] = {**_facts_of(Status(fields["status"]), fields["created_at"]), **fields}
        case = model_class(**facts)
        case.our_address = case.our_address or f"case-{case.pk.hex}@sandbox.invalid"
        case.now = work.now()
        leases.derive_due_at(case)
        case.save(force_insert=True)
        return case


def _facts_of(status: Status, at: Any) -> dict[str, Any]:
    if status == Status.CREATED:
        return {}
    facts: dict[str, Any] = {"attempt_count": 1}
    if status == Status.RUNNING:
        facts["next_action_at"] = at + timedelta(hours=72)
    if status == Status.COMPLETED:
        facts |= {"result_status": ResultStatus.GOAL_ACHIEVED}
    if status == Status.FAILED:
        facts |= {"result_status": ResultStatus.FAILED_REJECTED, "failure_reason": "They said no."}
    return facts


class MessageFactory(DjangoModelFactory[Message]):
    """A mail of a running case: sent by us, or with `direction="IN"` an unread one from the counterparty."""

    class Meta:
        model = Message

    class Params:
        received = factory.LazyAttribute(lambda message: message.direction == Direction.IN)

    case = factory.SubFactory(CaseFactory, status=Status.RUNNING)
    direction = Direction.OUT
    purpose = factory.LazyAttribute(lambda message: Purpose.HUMAN if message.received else Purpose.OUTREACH)
    status = factory.LazyAttribute(lambda m: MessageStatus.RECEIVED if m.received else MessageStatus.SENT)
    message_id = factory.LazyFunction(lambda: f"<{uuid.uuid4().hex}@mail.example>")
    from_address = factory.LazyAttribute(lambda m: m.case.counterparty["address"] if m.received else m.case.our_address)
    from_name = factory.LazyAttribute(
        lambda m: m.case.counterparty["name"] if m.received else m.case.sender_persona["name"]
    )
    to_address = factory.LazyAttribute(lambda m: m.case.our_address if m.received else m.case.counterparty["address"])
    subject = factory.LazyAttribute(lambda m: "Re: Invoice of March" if m.received else "Invoice of March")
    text = factory.LazyAttribute(lambda m: "Here it is." if m.received else "Please send us the invoice of March.")
    full_text = factory.LazyAttribute(lambda m: m.text if m.received else "")
    created_at = factory.LazyFunction(work.now)
    sent_at = factory.LazyAttribute(lambda m: m.created_at if m.status == MessageStatus.SENT else None)
    idempotency_key = factory.LazyAttribute(lambda m: "" if m.received else uuid.uuid4().hex)
    case_version = factory.LazyAttribute(lambda m: None if m.received else m.case.version)

    @classmethod
    def _create(cls, model_class: type[Message], *args: Any, **fields: Any) -> Message:
        message: Message = super()._create(model_class, *args, **fields)
        reschedule(message.case)
        return message


class AttachmentFactory(DjangoModelFactory[Attachment]):
    """A file of a received message; `content` is its bytes."""

    class Meta:
        model = Attachment

    class Params:
        content = b"%PDF-1.4 an invoice"

    message = factory.SubFactory(MessageFactory, direction=Direction.IN)
    name = "invoice.pdf"
    type = "application/pdf"
    declared_type = factory.SelfAttribute("type")
    size = factory.LazyAttribute(lambda attachment: len(attachment.content))
    sha256 = factory.LazyAttribute(lambda attachment: hashlib.sha256(attachment.content).hexdigest())
    file = factory.LazyAttribute(lambda attachment: ContentFile(attachment.content, name="content"))
    created_at = factory.LazyAttribute(lambda attachment: attachment.message.created_at)


class InputRequestFactory(DjangoModelFactory[InputRequest]):
    """A question that its case waits on."""

    class Meta:
        model = InputRequest

    case = factory.SubFactory(CaseFactory, status=Status.INPUT_NEEDED)
    question = "May we pay 200 EUR?"
    requested_at = factory.LazyFunction(work.now)
    resolved_at = factory.LazyAttribute(
        lambda question: None if question.status == RequestStatus.PENDING else timezone.now()
    )
    status = RequestStatus.PENDING

    @classmethod
    def _create(cls, model_class: type[InputRequest], *args: Any, **fields: Any) -> InputRequest:
        question: InputRequest = super()._create(model_class, *args, **fields)
        reschedule(question.case)
        return question
