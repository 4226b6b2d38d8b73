"""Request bodies, received whole before a thread is given to their request: bounded in size and in time.

A body that is too large, broken or too slow is replaced by one that raises when it is read. So the view still decides
what comes first (who is calling), and the one handler words the failure.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from tempfile import SpooledTemporaryFile
from typing import Any, NoReturn

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.urls import Resolver404, resolve

Receive = Callable[[], Awaitable[dict[str, Any]]]

IN_MEMORY = 256 * 1024  # bytes of one body; what is longer goes to a temporary file
SLOWEST = 50_000  # bytes a second: time that a long body gets on top


class BodyStalled(SuspiciousOperation):
    """The body did not arrive in time."""


class BodyBroken(SuspiciousOperation):
    """The body ended before its end, or its chunks make no sense (RFC 9112 §7.1)."""


class Unreadable(AbstractContextManager["Unreadable"]):
    """What stands in for a body that could not be received: whoever reads it is told why."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def read(self, size: int = -1) -> NoReturn:
        raise self.error

    readline = read

    def __iter__(self) -> Iterator[bytes]:
        raise self.error

    def __exit__(self, *_: Any) -> None:
        """There is nothing to close."""


Body = SpooledTemporaryFile[bytes] | Unreadable


def limit_of(path: str) -> int:
    """How many bytes the route at this address takes: its view's `max_body_bytes`, or OFFLOAD_MAX_BODY_BYTES."""
    try:
        options = getattr(resolve(path).func, "initkwargs", {})
    except Resolver404:
        options = {}
    return int(options.get("max_body_bytes", settings.OFFLOAD_MAX_BODY_BYTES))


async def receive_body(receive: Receive, *, announced: int, limit: int) -> tuple[Body, int]:
    """The body, at its beginning, and its length: at least 1 where it is unreadable, so that it is looked at.

    `announced` is its Content-Length, 0 where there is none. No more than the limit is kept, and what is announced as
    longer is not read at all. OFFLOAD_BODY_SECONDS may pass, and a second more for each SLOWEST bytes that have come.
    """
    if announced > limit:
        return Unreadable(RequestDataTooBig(f"The body is larger than {limit} bytes.")), announced
    body: SpooledTemporaryFile[bytes] = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 (the caller closes it)
    try:
        await _fill(body, receive, limit)
    except (RequestDataTooBig, BodyStalled, BodyBroken) as error:
        body.close()
        return Unreadable(error), max(announced, 1)
    except BaseException:
        body.close()
        raise
    length = body.tell()
    body.seek(0)
    return body, length


async def _fill(body: SpooledTemporaryFile[bytes], receive: Receive, limit: int) -> None:
    """Write the body as it arrives. Raises RequestDataTooBig, BodyStalled or BodyBroken."""
    began, length, more = asyncio.get_running_loop().time(), 0, True
    try:
        async with asyncio.timeout(settings.OFFLOAD_BODY_SECONDS) as deadline:
            while more:
                message = await receive()
                if message["type"] != "http.request":  # http.disconnect: also where a chunk is malformed
                    raise BodyBroken("The body is incomplete or malformed.")
                part, more = message.get("body", b""), message.get("more_body", False)
                length += len(part)
                if length > limit:
                    raise RequestDataTooBig(f"The body is larger than {limit} bytes.")
                body.write(part)
                deadline.reschedule(began + settings.OFFLOAD_BODY_SECONDS + length / SLOWEST)
    except TimeoutError as error:
        raise BodyStalled("The body did not arrive in time.") from error
