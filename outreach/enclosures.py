"""What goes out with a case's first mail: read for the agent, given harmless names, loaded for the send."""

from collections.abc import Iterable
from functools import partial
from pathlib import PurePath

from django.core.files.storage import default_storage
from django.db.models import QuerySet

from cases import work
from cases.models import Attachment, Case, Enclosure, Message
from cases.prepared import Prepared
from outreach import reading
from outreach.agents import guard
from outreach.transports.base import OutgoingFile


def read(claimed: work.Claim[Case], files: Iterable[Enclosure]) -> None:
    """Read the case's files that nobody has read yet: the rows have their text then. It lasts: hold no transaction."""
    for enclosed in files:
        if enclosed.read_at is not None:
            continue
        work.let_go_of_connection()
        found = reading.read(content_of(enclosed), enclosed.type, enclosed.name, seconds=claimed.remaining())
        claimed.insist(partial(_note, enclosed, found.text, found.note))


def _note(enclosed: Enclosure, text: str, note: str) -> None:
    with work.transaction():
        enclosed.text, enclosed.note, enclosed.read_at = text, note, work.now()
        enclosed.save(update_fields=["text", "note", "read_at"])


def of_message(case: Case, message: Message) -> list[Attachment]:
    """The files of a message that is about to be sent, of a case that you hold locked.

    Before the first try, a name that gives something away is replaced for good: no human could word it anew.
    """
    files = _files_of(message)
    for number, file in enumerate(files, start=1):
        if message.send_started_at is None and guard.leaks(case, file.name):
            file.name = f"file-{number}{PurePath(file.name).suffix}"
            file.save(update_fields=["name"])
    return files


@Prepared
def _files_of(message: Message) -> QuerySet[Attachment]:
    return message.attachments.all()


def contents(files: Iterable[Attachment]) -> tuple[OutgoingFile, ...]:
    """The files with their bytes, from the storage: hold no transaction."""
    return tuple(OutgoingFile(file.name, file.type, content_of(file)) for file in files)


def content_of(file: Attachment | Enclosure) -> bytes:
    """The bytes in the storage. Raises what the storage raises."""
    with default_storage.open(file.file.name or "") as stored:
        content: bytes = stored.read()
    return content
