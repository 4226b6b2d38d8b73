"""A case's thread as one readable text."""

from collections.abc import Iterable, Iterator
from datetime import UTC
from typing import Any
from uuid import UUID

from django.db.models import QuerySet, prefetch_related_objects
from django.db.models.functions import Coalesce

from cases.models import Attachment, Case, Direction, Message, MessageStatus
from cases.prepared import Prepared

ORDER = ("moment", "created_at", "id")
HEADING = ("direction", "sent_at", "created_at", "from_name", "from_address", "to_address", "subject")
SEPARATOR = "\n\n----------------------------------------\n\n"


def transcript(case: Case) -> str | None:
    """What was sent and received, in order, as plain text; None where no message exists yet.

    Times are in UTC. Of a case that has ended it shows what there was at its end: mail that comes later is for staff.
    """
    messages = [message for message in _thread_as_text(case.pk) if _is_shown(message, case)]
    if case.may_have_files:
        prefetch_related_objects(messages, "attachments")
    return SEPARATOR.join(_readable(message, with_files=case.may_have_files) for message in messages) or None


def thread_of(case: Case) -> QuerySet[Message]:
    """The messages that the case's client sees, with their `moment`: when each was sent or received."""
    thread = _threads().filter(case=case)
    # A send that was under way at the end may turn out to have succeeded; what clients see stays as it was.
    return thread.filter(moment__lte=case.updated_at) if case.is_terminal else thread


def _threads() -> QuerySet[Any]:
    """Likewise of all cases, as they stand."""
    messages = Message.objects.shown().filter(status__in=(MessageStatus.SENT, MessageStatus.RECEIVED))
    return messages.annotate(moment=Coalesce("sent_at", "created_at"))


@Prepared
def _thread_as_text(case: UUID) -> QuerySet[Any, Any]:
    """Oldest first, with what is read of each message."""
    return _threads().filter(case=case).only("case", *HEADING, "text", "full_text").order_by(*ORDER)


def _is_shown(message: Any, case: Case) -> bool:
    """As `thread_of` has it."""
    return not case.is_terminal or message.moment <= case.updated_at


def _readable(message: Message, *, with_files: bool) -> str:
    heading = "\n".join(_heading(message, message.attachments.all() if with_files else ()))
    return f"{heading}\n\n{(message.text or message.full_text).strip()}"


def _heading(message: Message, attachments: Iterable[Attachment]) -> Iterator[str]:
    yield f"{message.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, {'sent' if _is_ours(message) else 'received'}"
    yield (
        f"From: {_line(message.from_name)} <{message.from_address}>"
        if message.from_name
        else (f"From: {message.from_address}")
    )
    yield f"To: {message.to_address}"
    yield f"Subject: {_line(message.subject)}"
    if names := [_named(attachment) for attachment in attachments]:
        yield f"Attachments: {', '.join(names)}"


def _is_ours(message: Message) -> bool:
    return message.direction == Direction.OUT


def _named(attachment: Attachment) -> str:
    return f"{_line(attachment.name)} ({attachment.size} bytes)"


def _line(text: str) -> str:
    return " ".join(text.split())
