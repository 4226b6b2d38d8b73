"""Files that a client gives along with a case, for its first mail."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.models import QuerySet
from django.utils.module_loading import import_string

from cases.models import Attachment, Case, Enclosure, Message
from cases.prepared import Prepared

MAX_FILES = 5
MAX_FILE_BYTES = 3_000_000
MAX_TOTAL_BYTES = 4_000_000
MAX_ENCODED_BYTES = 4 * (MAX_TOTAL_BYTES // 3 + MAX_FILES)  # in base64, each padded (RFC 4648 §4)


@dataclass(frozen=True)
class GivenFile:
    """A file as the client sent it."""

    name: str
    declared_type: str
    content: bytes


@contextmanager
def stored(case: Case, files: Iterable[GivenFile]) -> Iterator[list[Enclosure]]:
    """The files in the storage, as rows that are not saved yet. If the block fails, the storage is as it was before.

    A process that is killed inside leaves files that no row knows: they can't be written in one step with their rows.
    """
    rows = [_row(case, position, file) for position, file in enumerate(files)]
    try:
        for row in rows:
            row.file.save("", row.file.file, save=False)
        yield rows
    except BaseException:
        for row in rows:
            default_storage.delete(row.file.name or "")
        raise


def _row(case: Case, position: int, given: GivenFile) -> Enclosure:
    tell: Callable[[str, str, bytes], tuple[str, str]] = import_string(settings.OFFLOAD_FILE_TELLER)
    name, type_ = tell(given.name, given.declared_type, given.content)
    row = Enclosure(
        case=case,
        position=position,
        name=name,
        type=type_,
        declared_type=given.declared_type,
        size=len(given.content),
        sha256=hashlib.sha256(given.content).hexdigest(),
    )
    row.file = ContentFile(given.content, name=f"enclosures/{case.pk}/{row.pk}")
    return row


def attach(case: Case, message: Message) -> None:
    """Give the message, which is just queued and the case's first, the files that were given along."""
    Attachment.objects.bulk_create(
        Attachment(
            message=message,
            name=enclosed.name,
            type=enclosed.type,
            declared_type=enclosed.declared_type,
            size=enclosed.size,
            sha256=enclosed.sha256,
            file=enclosed.file.name,
            text=enclosed.text,
            note=enclosed.note,
            created_at=message.created_at + timedelta(milliseconds=enclosed.position),  # by which they keep their order
        )
        for enclosed in given_along(case)
    )


@Prepared
def given_along(case: Case) -> QuerySet[Enclosure]:
    """The files that the client has given along, in order."""
    return case.enclosures.all()
