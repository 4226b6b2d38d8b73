"""How lines of the log look: one JSON object each, for whoever collects them; or text, for a desk.

Never a secret, the body of a mail, an answer or an address of people. Our own calls keep to that. What others say does
not: exceptions of libraries quote what they were given (a server's answer, a row, a recipient). So of an exception the
JSON has its type, those of its causes and where it was raised, but its words only where they come from the system below
(see said_by). A row's page in the admin has the words, for those who may read the row.
"""

import json
import logging
import re
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError

from cases import log_context
from offload_project.tracing import route_of

OURS = ("cases", "outreach", "webhooks", "offload_project")
MAX_MESSAGE = 2000
MAX_FRAMES = 40
SECRETS = (
    "SECRET_KEY",
    "SECRET_KEY_FALLBACKS",
    "OFFLOAD_ENCRYPTION_KEYS",
    "AGENTMAIL_API_KEY",
    "AGENTMAIL_WEBHOOK_SECRET",
    "OPENAI_API_KEY",
    "EMAIL_HOST_PASSWORD",
    "IMAP_URL",
    "OFFLOAD_MCP_API_KEY",
    "OFFLOAD_METRICS_TOKEN",
)
SHORTEST_SECRET = 8  # shorter ones would be found in any word
KEYS = re.compile(r"\b(?:whsec_|offload_(?:live|test)_|sk-|am_|xox[a-z]-)[A-Za-z0-9_\-+/=]{8,}")
ADDRESS = re.compile(r"[^\s<>\"'(),:;\[\]@]{1,64}@[\w\-]+(?:\.[\w\-]+)+")
IN_URL = re.compile(r"(?<=://)[^\s/@]+@")  # user and password


class JsonFormatter(logging.Formatter):
    """`time`, `level`, `logger`, `message`, what the line is about (cases/log_context.py), and an exception's type."""

    def format(self, record: logging.LogRecord) -> str:
        """The line. Never raises: one that can't be worded says so."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": message_of(record),
            **log_context.current(),
            **getattr(record, "facts", {}),
            "process": record.process,
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = _exception(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """A line of text with a whole traceback below: for a desk, since tracebacks quote what libraries were given."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and the traceback if there is one."""
        about = "".join(f" {name}={value}" for name, value in log_context.current().items() if name != "row_id")
        text = super().format(record)
        first, *rest = text.split("\n", 1)
        return without_secrets("\n".join([first + about, *rest]))


def message_of(record: logging.LogRecord) -> str:
    """What the line says, with exceptions in it reduced to what may be said of them."""
    try:
        args = _harmless(record.args)
        if record.name == "django.request" and isinstance(args, tuple) and len(args) == 2:
            args = (args[0], route_of(getattr(record, "request", None)))  # its path may be a signed link
        text = str(record.msg) % args if args else str(record.msg)
    except Exception:  # noqa: BLE001 (wrong arguments must not end what only wanted to say something)
        text = f"a line that can't be worded: {record.msg!r}"
    if not record.name.startswith(OURS):
        text = text.partition("\n")[0]  # others append tracebacks, or what they were sent
    return without_secrets(text[: 2 * MAX_MESSAGE])[:MAX_MESSAGE]


def _harmless(args: Any) -> Any:
    if not args:
        return ()
    if isinstance(args, dict):
        return {name: _plain(value) for name, value in args.items()}
    return tuple(_plain(value) for value in args)


def _plain(value: Any) -> Any:
    return said_by(value) if isinstance(value, BaseException) else value


# --- Exceptions -----------------------------------------------------------------------------------


def said_by(error: BaseException) -> str:
    """The exception's type, and its words where these can only be the system's."""
    name = type(error).__name__
    if isinstance(error, OperationalError | InterfaceError):  # its first line; what follows may quote a row
        return f"{name}: {without_secrets(str(error)).partition(chr(10))[0][:300]}"
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        return f"{name}: [{error.errno}] {error.strerror}"
    return name


def _exception(error: BaseException) -> dict[str, Any]:
    """Type, causes and place. Frames are named by file, line and function; values are never looked at."""
    frames = traceback.extract_tb(error.__traceback__)[-MAX_FRAMES:]
    said: dict[str, Any] = {
        "type": f"{type(error).__module__}.{type(error).__qualname__}",
        "said": said_by(error),
        "at": [f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames],
    }
    if causes := [said_by(cause) for cause in _causes(error)]:
        said["causes"] = causes
    return said


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen = {id(error)}
    while len(seen) < MAX_FRAMES:
        following = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if following is None or id(following) in seen:
            return
        seen.add(id(following))
        yield following
        error = following


def _short(path: str) -> str:
    base = f"{settings.BASE_DIR}/"
    return path.removeprefix(base) if path.startswith(base) else "/".join(path.split("/")[-3:])


# --- Secrets --------------------------------------------------------------------------------------


def without_secrets(text: str) -> str:
    """The text without our own secrets, whatever looks like a key, and addresses of people: the net below the rope."""
    for secret in _secrets():
        text = text.replace(secret, "[secret]")
    return ADDRESS.sub("[address]", IN_URL.sub("[secret]@", KEYS.sub("[secret]", text)))


@cache
def _secrets() -> tuple[str, ...]:
    given = (getattr(settings, name, "") for name in SECRETS)
    words = (word for value in given for word in ([value] if isinstance(value, str) else value or []))
    notices = (url for url in settings.OFFLOAD_STAFF_NOTICES if url.startswith("https://"))
    return tuple(sorted({word for word in (*words, *notices) if len(word) >= SHORTEST_SECRET}, key=len, reverse=True))
