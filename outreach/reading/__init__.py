"""Reading the files of a mail: their text, or a picture to look at, by a child process that can't do harm.

Parsers of foreign files loop, swell and crash. So they run in a process of their own, with bounds on time, memory and
output, with nothing of our environment, settings, database or open files, and whatever becomes of it is a note.
"""

import base64
import binascii
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from outreach.inbound import mime
from outreach.reading.bounds import (
    MAX_ANSWER_BYTES,
    MAX_FILE_BYTES,
    MAX_IMAGE_BYTES,
    MAX_NOTE_CHARS,
    MAX_TEXT_CHARS,
    SECONDS,
    Reading,
)
from outreach.reading.kinds import IMAGE_TYPES

__all__ = ["IMAGE_TYPES", "Reading", "ask_child", "image_of", "read"]

OUT_OF_TIME = "not read: out of time"
TAKES_TOO_LONG, FAILED = "can't be read: it takes too long", "can't be read: the reader failed"

_ROOT = Path(__file__).parents[2]
_CHILD = (sys.executable, "-s", "-m", "outreach.reading.child")
_SIDE_BY_SIDE = threading.BoundedSemaphore(4)  # a pump has many threads, a machine has few processors
_OFFICE = "application/vnd.openxmlformats-officedocument."
_FORMATS = {
    "application/pdf": "pdf",
    "application/x-pdf": "pdf",
    _OFFICE + "wordprocessingml.document": "docx",
    _OFFICE + "spreadsheetml.sheet": "xlsx",
    "application/vnd.ms-excel.sheet.macroenabled.12": "xlsx",
    "text/html": "html",
    "application/xhtml+xml": "html",
    "message/rfc822": "mail",
    "text/rtf": "",
}
_TEXT = re.compile(r"text/.+|application/(?:json|xml|javascript|csv|.+\+(?:json|xml))")


def read(content: bytes, type: str, name: str, *, seconds: float = SECONDS) -> Reading:
    """The text of a file, or why there is none. Never raises for anything that the file holds.

    `type` is the MIME type that its bytes show, `name` its file name, `seconds` what there is left to wait, at most
    ten of which are spent on reading.
    """
    if not content:
        return Reading(note="empty file")
    if len(content) > MAX_FILE_BYTES:
        return Reading(note=f"not read: larger than {MAX_FILE_BYTES // 1024**2} MB")
    if type in IMAGE_TYPES:
        return _picture(content)
    file_format = _format(type, name)
    return _by_child(content, file_format, seconds) if file_format else Reading(note="can't be read: unknown format")


def image_of(content: bytes, type: str) -> bytes:
    """The picture that a file is, or the first page of a scanned PDF; empty where there is none that is small enough.

    Of a PDF this takes up to ten seconds: not for use inside a transaction.
    """
    return read(content, type, "").image if type in IMAGE_TYPES or _format(type, "") == "pdf" else b""


def _format(type: str, name: str) -> str:
    """The name of the reader for a file, "" where there is none."""
    if type.startswith("text/") and name.lower().endswith(".eml"):
        return "mail"  # a mail has no signature to tell it by
    return _FORMATS.get(type, "text" if _TEXT.fullmatch(type) and type != "image/svg+xml" else "")


def _picture(content: bytes) -> Reading:
    """Handed on as it came, and not decoded here."""
    if len(content) > MAX_IMAGE_BYTES:
        return Reading(note=f"a picture, too large to be looked at (more than {MAX_IMAGE_BYTES // 1024**2} MB)")
    return Reading(note="a picture, no text", image=content)


def _by_child(content: bytes, file_format: str, seconds: float) -> Reading:
    answer, note = ask_child((*_CHILD, file_format), content, seconds)
    return Reading(note=note) if note else _reading(answer)


def ask_child(command: Sequence[str], content: bytes, seconds: float) -> tuple[bytes, str]:
    """What a child process says of foreign bytes, and why that may not be all: empty where it ended well.

    `seconds` is what there is left to wait for one of the few that run side by side and for its answer; at most ten of
    them are the child's. It puts itself under the bounds (`bounds.bind_process`).
    """
    end = time.monotonic() + seconds
    if seconds <= 0 or not _SIDE_BY_SIDE.acquire(timeout=seconds):
        return b"", OUT_OF_TIME
    try:
        left = end - time.monotonic()
        return _run(command, content, min(SECONDS, left)) if left > 0 else (b"", OUT_OF_TIME)
    finally:
        _SIDE_BY_SIDE.release()


def _run(command: Sequence[str], content: bytes, seconds: float) -> tuple[bytes, str]:
    note = TAKES_TOO_LONG
    with tempfile.TemporaryFile() as answer:  # a file, since its size is bounded by the child's own limit
        try:
            status = subprocess.run(  # noqa: S603 (no shell, and no word of the command is foreign)
                command,
                input=content,
                stdout=answer,
                stderr=subprocess.DEVNULL,
                timeout=seconds,
                check=False,
                cwd=_ROOT,
                env={"PATH": os.defpath},
                # Out of reach of signals to the worker's group: a worker that is stopped finishes its steps. What
                # outlives a killed worker is ended by its own alarm.
                start_new_session=True,
            ).returncode
            note = "" if status == 0 else _failure(status)
        except subprocess.TimeoutExpired:
            pass
        except OSError:
            return b"", "not read: no process could be started"
        answer.seek(0)
        return answer.read(MAX_ANSWER_BYTES + 1), note


def _failure(status: int) -> str:
    return TAKES_TOO_LONG if -status in (signal.SIGXCPU, signal.SIGALRM, signal.SIGKILL) else FAILED


def _reading(answer: bytes) -> Reading:
    """The child's answer. It has handled foreign bytes, so its word is checked too."""
    try:
        fields = json.loads(answer)
        text, note, image = (_string(fields[name]) for name in ("text", "note", "image"))
        picture = base64.b64decode(image, validate=True)
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error):
        return Reading(note=FAILED)
    return Reading(
        text=mime.clean(text)[:MAX_TEXT_CHARS],
        note=mime.one_line(note, MAX_NOTE_CHARS),
        image=picture if len(picture) <= MAX_IMAGE_BYTES else b"",
    )


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(type(value))
    return value
