"""Mail byte for byte: what a provider has handed us, and what the sandbox has delivered."""

import uuid
from collections.abc import Collection

from django.db.models import Exists, OuterRef

from cases.admin.originals import Original
from cases.models import Direction, Message
from outreach.models import InboundPayload, SandboxMail

WRAPPED = {"agentmail": "json"}  # by the payload's source: what is not the mail itself
NO_MAIL = ("anymail_event",)


class KeptOriginals:
    """See cases/admin/originals.py."""

    def kept(self, messages: Collection[Message]) -> set[uuid.UUID]:
        received = [message.pk for message in messages if message.direction == Direction.IN]
        played = [message.pk for message in messages if _is_played(message)]
        payloads = InboundPayload.objects.filter(message__in=received).exclude(source__in=NO_MAIL).order_by()
        mail = SandboxMail.objects.filter(idempotency_key=OuterRef("idempotency_key")).order_by()
        delivered = Message.objects.filter(Exists(mail), pk__in=played).order_by()
        return {*payloads.values_list("message_id", flat=True).union(delivered.values_list("pk", flat=True), all=True)}

    def read(self, message: Message) -> Original | None:
        if _is_played(message):
            mail = SandboxMail.objects.filter(idempotency_key=message.idempotency_key).first()
            return Original(bytes(mail.raw), "eml") if mail else None
        payload = InboundPayload.objects.filter(message=message).exclude(source__in=NO_MAIL).first()
        return Original(bytes(payload.body), WRAPPED.get(payload.source, "eml")) if payload else None


def _is_played(message: Message) -> bool:
    """Whether it is a mail of ours for the sandbox."""
    return message.direction == Direction.OUT and message.case.transport == "sandbox" and bool(message.idempotency_key)


ORIGINALS = KeptOriginals()
