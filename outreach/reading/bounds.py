"""How much reading a file may cost, and what comes of it. Known to both sides: the service and its child process."""

import resource
import signal
import sys
from dataclasses import dataclass

MAX_FILE_BYTES = 26 * 1024 * 1024  # what mail providers let through
MAX_TEXT_CHARS = 200_000
MAX_NOTE_CHARS = 500
MAX_IMAGE_BYTES = 5 * 1024 * 1024
MAX_PAGES = 50
MAX_MEMORY_BYTES = 512 * 1024 * 1024  # of address space
MAX_ANSWER_BYTES = 16 * 1024 * 1024  # text as JSON at its longest, and an image in base64
SECONDS = 10
SOFT_SECONDS = 7  # from here no further page or row is begun, so that what has been read is not lost


@dataclass(frozen=True)
class Reading:
    """What could be made of a file.

    `text` holds at most MAX_TEXT_CHARS, `note` says why there is no text or what is missing from it, `image` is a
    picture to look at (PNG, JPEG, GIF or WebP, at most MAX_IMAGE_BYTES). Each may be empty.
    """

    text: str = ""
    note: str = ""
    image: bytes = b""


class Unreadable(Exception):
    """The file can't be read; its words say why, for people."""


def bind_process() -> None:
    """Put this process under the bounds, for good. The alarm ends it even if its parent is gone."""
    if sys.platform != "darwin":  # which refuses to set this one
        _bind(resource.RLIMIT_AS, MAX_MEMORY_BYTES)
    _bind(resource.RLIMIT_CPU, SECONDS)
    _bind(resource.RLIMIT_FSIZE, MAX_ANSWER_BYTES)
    _bind(resource.RLIMIT_CORE, 0)
    _bind(resource.RLIMIT_NOFILE, 16)
    signal.alarm(SECONDS + 1)


def _bind(what: int, limit: int) -> None:
    """To the limit, or to a stricter one that the machine has set."""
    _, hard = resource.getrlimit(what)
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(what, (limit, limit))
