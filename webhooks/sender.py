"""One call of a client's endpoint: to checked addresses only, within a time limit that nothing can stretch."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any

from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from webhooks import addresses, connections
from webhooks.addresses import Address, Target
from webhooks.connections import LIMIT_SECONDS, Connection, idle
from webhooks.errors import AddressRefused

READ_BYTES = 64 * 1024
KEPT_BYTES = 4096
KEPT_HEADERS = 50
KEPT_HEADER_LENGTH = 500
USER_AGENT = "Offload-Webhooks/1"


@dataclass(frozen=True)
class Outcome:
    """What came of a call. `status` is None where no answer came; `error` then says why, in words for staff."""

    status: int | None
    duration_ms: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""  # its first KEPT_BYTES
    error: str = ""

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body for people; a text column takes no NUL."""
        return self.body.decode(errors="replace").replace("\x00", "\ufffd")


def post(url: str, body: bytes, *, headers: dict[str, str], limit_seconds: float = LIMIT_SECONDS) -> Outcome:
    """POST the bytes as JSON and report what came of it, within `limit_seconds`; raises nothing for a foreign failure.

    The status line decides. Of the body no more than READ_BYTES are read, and one that does not end, or not in time, is
    no failure. Redirects are not followed: they count as the failures they are for a signed message.
    """
    call = _Call(limit_seconds)
    try:
        target = addresses.read_url(url)
        found = addresses.resolve(target, min(addresses.LOOK_UP_SECONDS, limit_seconds))
        return call.make(target, body, headers, found)
    except AddressRefused as refused:
        return call.outcome(None, error=str(refused))
    except (HTTPError, HTTPException, OSError, ValueError) as error:
        return call.outcome(None, error=_reason(error))  # ValueError: the endpoint's answer breaks http.client's rules


class _Call:
    def __init__(self, limit_seconds: float) -> None:
        self.started = time.monotonic()
        self.deadline = self.started + limit_seconds

    def make(self, target: Target, body: bytes, headers: dict[str, str], found: Sequence[Address]) -> Outcome:
        kept = idle.take(target, found, self.deadline)
        if kept is not None:
            try:
                return self._make_over(kept, target, body, headers)
            except (ConnectionError, HTTPException):
                # The endpoint had closed it, or said something out of turn. Whether it has got the event is not known,
                # but it tells repetitions by their id.
                kept.close()
        return self._make_over(connections.connect(target, found, self.deadline), target, body, headers)

    def _make_over(self, connection: Connection, target: Target, body: bytes, headers: dict[str, str]) -> Outcome:
        """The call, over this connection, which is kept for the next one if it is good for it, else closed."""
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # an answer may have come before all was sent
                connection.request("POST", target.path, body, _headers(headers), preload_content=False)
            response = connection.getresponse()
            content, error = _read(response)
        except BaseException:
            connection.close()
            raise
        if response.closed and not error:  # read to its end
            idle.put(target, connection)
        else:
            response.close()
            connection.close()
        if 300 <= response.status < 400:
            error = error or "Redirects are not followed."
        return self.outcome(response.status, headers=_kept(response.headers), body=content, error=error)

    def outcome(self, status: int | None, **facts: Any) -> Outcome:
        return Outcome(status, round((time.monotonic() - self.started) * 1000), **facts)


def _headers(own: dict[str, str]) -> dict[str, str]:
    return {
        **own,
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "Accept": "*/*",
        "Accept-Encoding": "identity",  # nothing to unpack, so nothing that grows by it
    }


def _read(response: BaseHTTPResponse) -> tuple[bytes, str]:
    """The beginning of the body, and why it was not read to its end, if that was a failure."""
    kept, seen = b"", 0
    try:
        while seen < READ_BYTES and (chunk := response.read1(READ_BYTES - seen, decode_content=False)):
            seen += len(chunk)
            kept = (kept + chunk)[:KEPT_BYTES]
    except (HTTPError, HTTPException, OSError, ValueError) as error:
        return kept, f"The body was not read to its end: {_reason(error)}"
    return kept, ""


def _kept(headers: Any) -> dict[str, str]:
    return {
        name[:KEPT_HEADER_LENGTH].replace("\x00", ""): value[:KEPT_HEADER_LENGTH].replace("\x00", "")
        for name, value in list(headers.items())[:KEPT_HEADERS]
    }


def _reason(error: BaseException) -> str:
    """The innermost cause in words: what urllib3 wraps around it tells nobody more."""
    while not isinstance(error, HTTPException):
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is None:
            break
        error = cause
    name = type(error).__name__
    text = f"{name}: {error}" if isinstance(error, HTTPException) else str(error) or name
    return text[:KEPT_HEADER_LENGTH].replace("\x00", "")
