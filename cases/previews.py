"""What staff see of a file without opening it: pictures of it and its text, made by other rooms in bounded processes.

settings.OFFLOAD_FILE_PREVIEW and OFFLOAD_FILE_READER name who makes them. The file's own bytes are only ever
downloaded.
"""

import logging
import threading
from typing import Any, Protocol

from django.conf import settings
from django.templatetags.static import static
from django.urls import reverse
from django.utils.module_loading import import_string

from cases.file_kinds import can_be_shown, kind_of
from cases.models import Attachment

logger = logging.getLogger(__name__)

MAX_BYTES = 26 * 1024 * 1024  # a larger file is not even loaded
MAX_STAMP_BYTES = 10 * 1024 * 1024  # a list may ask for many of them
STAMP_WAIT_SECONDS = 2.0
_stamps_at_once = threading.BoundedSemaphore(2)  # a list asks for many at once; the API must keep its threads

GONE = "The file can't be loaded from the storage."


class Look(Protocol):
    """What a file looks like: pictures (WebP) of the first of its `count` pages, and what is missing."""

    pages: list[bytes]
    count: int
    note: str


class Reading(Protocol):
    """What could be read of a file, and what is missing."""

    text: str
    note: str


class NotLoaded(Exception):
    """The file's bytes can't be had; the text says why, for people."""


def load(attachment: Attachment) -> bytes:
    """The file's bytes. Raises NotLoaded for a file that is gone, too large, or whose storage can't be reached."""
    if attachment.size > MAX_BYTES:
        raise NotLoaded(f"larger than {MAX_BYTES // 1024**2} MB")
    try:
        with attachment.file.open("rb") as stored:
            content: bytes = stored.read(MAX_BYTES)
    except Exception as error:  # whatever the storage's client raises
        logger.warning("can't load the file of attachment %s", attachment.pk, exc_info=True)
        raise NotLoaded(GONE) from error
    return content


def pictures(attachment: Attachment, content: bytes) -> Look | None:
    """Its first pages, to be read; None for a file of which no pictures are made."""
    return _draw(attachment, content, small=False) if can_be_shown(attachment.type) else None


def stamp(attachment: Attachment) -> bytes:
    """A small picture (WebP) of it; empty where there is none, or where too many are being made."""
    if not can_be_shown(attachment.type) or attachment.size > MAX_STAMP_BYTES:
        return b""
    if not _stamps_at_once.acquire(timeout=STAMP_WAIT_SECONDS):
        return b""
    try:
        look = _draw(attachment, load(attachment), small=True)
    except NotLoaded:
        return b""
    finally:
        _stamps_at_once.release()
    return look.pages[0] if look.pages else b""


def text_of(attachment: Attachment, content: bytes) -> tuple[str, str]:
    """Its text, and what is missing from it: as it was read when it came in, else read now."""
    if attachment.text or attachment.note:
        return attachment.text, attachment.note
    reading: Reading = import_string(settings.OFFLOAD_FILE_READER)(content, attachment.type, attachment.name)
    return reading.text, reading.note


def icon_of(attachment: Attachment) -> str:
    """The address of the icon of its kind."""
    return static(f"cases/files/{kind_of(attachment.type)}.svg")


def picture_of(attachment: Attachment) -> str:
    """The address of a small picture for lists: of the file where it can be shown, else of its kind."""
    if can_be_shown(attachment.type):
        return reverse("admin:cases_attachment_stamp", args=[attachment.pk])
    return icon_of(attachment)


def _draw(attachment: Attachment, content: bytes, **options: Any) -> Look:
    look: Look = import_string(settings.OFFLOAD_FILE_PREVIEW)(content, attachment.type, **options)
    return look
