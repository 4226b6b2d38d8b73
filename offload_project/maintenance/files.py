"""The files behind rows, and those that no row knows.

A file and its row can't be written, or go, in one step. Whatever is killed in between leaves a file without a row,
never a row without its file; `unknown_files` finds those.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from botocore.exceptions import BotoCoreError, ClientError
from django.core.files.storage import FileSystemStorage, default_storage

from cases.models import Attachment, Enclosure
from outreach.inbound import intake
from outreach.inbound.content import MAX_ATTACHMENTS
from outreach.models import InboundPayload, PayloadState

logger = logging.getLogger(__name__)

ROOTS = ("attachments", "enclosures")
SETTLED = timedelta(days=1)  # a younger file may be of a transaction that is still under way
AT_ONCE = 500
STORAGE_ERRORS = (OSError, BotoCoreError, ClientError)


@dataclass(frozen=True)
class UnknownFile:
    """A file without a row; `size` in bytes."""

    name: str
    size: int


def delete(names: Iterable[str]) -> int:
    """Delete the files, and directories that become empty; how many are still there since the storage refused."""
    left = 0
    for name in names:
        try:
            default_storage.delete(name)
            _remove_empty_directory(name)
        except STORAGE_ERRORS:
            logger.exception("%s can't be deleted", name)
            left += 1
    return left


def unknown_files(step: Callable[[], None] = lambda: None) -> Iterator[UnknownFile]:
    """Those that have had no row for a day, and that no mail which is still to be taken in would look for.

    `step` is called again and again, also where none is found.
    """
    expected = _still_to_come()
    names = (name for root in ROOTS for name in _below(root))
    while some := list(islice(names, AT_ONCE)):
        step()
        for name in sorted(set(some) - _known(some) - expected):
            with suppress(FileNotFoundError):  # gone meanwhile
                if datetime.now(UTC) - default_storage.get_modified_time(name) > SETTLED:
                    yield UnknownFile(name, default_storage.size(name))


def _known(names: list[str]) -> set[str]:
    rows = (model.objects.filter(file__in=names) for model in (Attachment, Enclosure))
    return {name for found in rows for name in found.values_list("file", flat=True)}


def _still_to_come() -> set[str]:
    """A step that failed has stored its files already, and the next one relies on them."""
    waiting = InboundPayload.objects.filter(state__in=[PayloadState.WAITING, PayloadState.FAILED])
    pks = waiting.values_list("pk", flat=True)
    return {intake.stored_at(pk, number) for pk in pks for number in range(MAX_ATTACHMENTS)}


def _below(directory: str) -> Iterator[str]:
    try:
        directories, files = default_storage.listdir(directory)
    except FileNotFoundError:
        return
    yield from (f"{directory}/{name}" for name in files if name)
    for name in directories:
        yield from _below(f"{directory}/{name}")


def _remove_empty_directory(name: str) -> None:
    directory = name.rpartition("/")[0]
    if isinstance(default_storage, FileSystemStorage) and directory not in ROOTS:
        with suppress(OSError):  # something else is in it
            default_storage.delete(directory)
