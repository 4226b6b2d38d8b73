"""The words of HTTP, for both clients: how a request is put, and what an answer means."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeVar

import httpx

from offload_client.errors import AnswerMalformed, ApiError, DownloadIncomplete
from offload_client.requests import Request
from offload_client.retries import retry_after_seconds

T = TypeVar("T")
TIMEOUT = httpx.Timeout(30.0, connect=5.0)
USER_AGENT = "offload-client-python/0.1.0"


def arguments(request: Request[Any], base_url: str, api_key: str) -> dict[str, Any]:
    """The request as arguments of httpx. The key goes with each request, so that no download takes it along."""
    return {
        "method": request.method,
        "url": base_url.rstrip("/") + request.path,
        "params": dict(request.params) or None,
        "json": request.body,
        "headers": {"x-api-key": api_key, "user-agent": USER_AGENT, **request.headers},
    }


def result(request: Request[T], response: httpx.Response) -> T:
    """What the caller gets. Raises ApiError or AnswerMalformed."""
    try:
        envelope = response.json()
    except ValueError:
        envelope = None
    match envelope:
        case {"ok": True, "data": data}:
            return _read(request, data)
        case {"ok": False, "error": {"code": str(code), "message": str(message), **more}}:
            wait = retry_after_seconds(response.headers.get("retry-after"))
            raise ApiError.of(response.status_code, code, message, more.get("details", ()), wait)
    raise _foreign(response)


def _read(request: Request[T], data: Any) -> T:
    try:
        return request.read(data)
    except (KeyError, TypeError, ValueError) as error:
        raise AnswerMalformed(f"{request.method} {request.path}: {error!r}") from error


def _foreign(response: httpx.Response) -> ApiError | AnswerMalformed:
    """The error for an answer that is none of the API: a failing proxy's has a status to go by."""
    text = f"{response.status_code} {response.reason_phrase}, not an answer of the API"
    if response.status_code < 400:
        return AnswerMalformed(text)
    wait = retry_after_seconds(response.headers.get("retry-after"))
    return ApiError.of(response.status_code, f"HTTP_{response.status_code}", text, (), wait)


def check_download(response: httpx.Response) -> None:
    """Raises ApiError unless a file is coming: its link may have expired."""
    if response.status_code != 200:
        raise _foreign(response)


def counted(pieces: Iterator[bytes], announced: int) -> Iterator[bytes]:
    """The pieces as they are; raises DownloadIncomplete at their end unless they are as many bytes as announced."""
    received = 0
    for piece in pieces:
        received += len(piece)
        yield piece
    check_size(received, announced)


async def counted_async(pieces: AsyncIterator[bytes], announced: int) -> AsyncIterator[bytes]:
    """The same for pieces that are awaited."""
    received = 0
    async for piece in pieces:
        received += len(piece)
        yield piece
    check_size(received, announced)


def check_size(received: int, announced: int) -> None:
    if received != announced:
        raise DownloadIncomplete(f"{received} of {announced} bytes have come")
