"""What a file looks like: pictures drawn anew from an image or from the first pages of a PDF, safe to be shown.

The file itself is never shown. A child process with the bounds of all reading decodes it and draws it again, so that
nothing of it reaches a browser but pixels: no script, no link, no metadata, no bytes that a decoder might stumble over.
"""

import base64
import binascii
import json
import sys
from dataclasses import dataclass, field
from typing import Any

from outreach.inbound import mime
from outreach.reading import ask_child
from outreach.reading.bounds import MAX_FILE_BYTES, MAX_IMAGE_BYTES, MAX_NOTE_CHARS, SECONDS
from outreach.reading.kinds import IMAGE_TYPES, PDF_TYPES

TYPE = "image/webp"  # of every picture that is drawn

_CHILD = (sys.executable, "-s", "-m", "outreach.reading.draw")


@dataclass(frozen=True)
class Look:
    """What a file looks like.

    `pages` are pictures (WebP, at most MAX_IMAGE_BYTES each) of the first of its `count` pages; an image is one page.
    `note` says why there is none, or what is missing.
    """

    pages: list[bytes] = field(default_factory=list)
    count: int = 0
    note: str = ""


def draw(content: bytes, type: str, *, small: bool = False, seconds: float = SECONDS) -> Look:
    """Draw a file: its first pages to be read or, with `small`, the first one as a stamp. Never raises for its bytes.

    Takes up to `seconds`: not for use inside a transaction. Named in settings.OFFLOAD_FILE_PREVIEW.
    """
    what = "image" if type in IMAGE_TYPES else "pdf" if type in PDF_TYPES else ""
    if not what:
        return Look(note="a file of this kind is not shown")
    if not content or len(content) > MAX_FILE_BYTES:
        return Look(note=f"larger than {MAX_FILE_BYTES // 1024**2} MB" if content else "empty file")
    answer, note = ask_child((*_CHILD, what, "small" if small else "large"), content, seconds)
    return _look(answer, note)


def _look(answer: bytes, note: str) -> Look:
    """The child's lines, those that are whole. It has handled foreign bytes, so its word is checked too."""
    pages, count = [], 0
    for line in answer.splitlines():
        said = _said(line)
        if isinstance(said.get("count"), int):
            count = max(0, said["count"])
        if isinstance(said.get("note"), str):
            note = mime.one_line(said["note"], MAX_NOTE_CHARS)
        if page := _picture(said.get("page")):
            pages.append(page)
    return Look(pages, max(count, len(pages)), note)


def _said(line: bytes) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _picture(encoded: Any) -> bytes:
    """The picture, if it is one of ours: a WebP of a size that is bounded."""
    if not isinstance(encoded, str):
        return b""
    try:
        picture = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        return b""
    is_webp = picture[:4] == b"RIFF" and picture[8:12] == b"WEBP"
    return picture if is_webp and len(picture) <= MAX_IMAGE_BYTES else b""
