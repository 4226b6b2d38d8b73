"""A case's thread as one readable text."""

from collections.abc import Iterator
from datetime import UTC

from django.db.models import QuerySet
from django.db.models.functions import Coalesce

from cases.models import Attachment, Case, Direction, Message, MessageStatus

ORDER = ("moment", "created_at", "id")
SEPARATOR = "\n\n----------------------------------------\n\n"


def transcript(case: Case) -> str | None:
    """What was sent and received, in order, as plain text; None where no message exists yet.

    Times are in UTC. Of a case that has ended it shows what there was at its end: mail that comes later is for staff.
    """
    messages = messages_of(case)
    return SEPARATOR.join(_readable(message) for message in messages) if messages else None


def messages_of(case: Case) -> list[Message]:
    """The sent and received messages that the case's client sees, oldest first."""
    return list(thread_of(case).prefetch_related("attachments").order_by(*ORDER))


def thread_of(case: Case) -> QuerySet[Message]:
    """The messages that the case's client sees, with their `moment`: when each was sent or received."""
    messages = case.messages.shown().filter(status__in=(MessageStatus.SENT, MessageStatus.RECEIVED))
    thread = messages.annotate(moment=Coalesce("sent_at", "created_at"))
    # A send that was under way at the end may turn out to have succeeded; what clients see stays as it was.
    return thread.filter(moment__lte=case.updated_at) if case.is_terminal else thread


def _readable(message: Message) -> str:
    return "\n".join(_heading(message)) + "\n\n" + (message.text or message.full_text).strip()


def _heading(message: Message) -> Iterator[str]:
    yield f"{message.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, {'sent' if _is_ours(message) else 'received'}"
    yield (
        f"From: {_line(message.from_name)} <{message.from_address}>"
        if message.from_name
        else (f"From: {message.from_address}")
    )
    yield f"To: {message.to_address}"
    yield f"Subject: {_line(message.subject)}"
    if attachments := [_named(attachment) for attachment in message.attachments.all()]:
        yield f"Attachments: {', '.join(attachments)}"


def _is_ours(message: Message) -> bool:
    return message.direction == Direction.OUT


def _named(attachment: Attachment) -> str:
    return f"{_line(attachment.name)} ({attachment.size} bytes)"


def _line(text: str) -> str:
    return " ".join(text.split())
