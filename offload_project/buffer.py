"""Django's WSGI application behind a buffer, as an ASGI application.

Requests are received and answers are sent by the event loop; a thread is taken only while Python has something to do.
So a client that stalls, while it sends or while it reads, keeps nobody else waiting.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from io import BytesIO
from itertools import islice
from typing import Any
from urllib.parse import unquote_to_bytes

from django.conf import settings
from django.db import close_old_connections

from offload_project.bodies import Receive, limit_of, receive_body

Send = Callable[[dict[str, Any]], Awaitable[None]]

BODILESS = {"GET", "HEAD", "OPTIONS", "TRACE"}  # Django never looks at a body of theirs
BLOCKS = 16  # of a file, 4 KiB each: what a thread reads at once


class Buffered:
    """The ASGI application that runs a WSGI one, in OFFLOAD_WEB_THREADS threads."""

    def __init__(self, wsgi_application: Callable[..., Any]) -> None:
        self._wsgi_application = wsgi_application
        self._threads = ThreadPoolExecutor(settings.OFFLOAD_WEB_THREADS, thread_name_prefix="web")

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        environ = environ_of(scope)
        if environ["REQUEST_METHOD"] in BODILESS:
            await self._answer({**environ, "wsgi.input": BytesIO(), "CONTENT_LENGTH": ""}, send)
            return
        announced = environ.get("CONTENT_LENGTH", "")
        body, length = await receive_body(
            receive, announced=int(announced) if announced.isdecimal() else 0, limit=limit_of(scope["path"])
        )
        with body:
            await self._answer({**environ, "wsgi.input": body, "CONTENT_LENGTH": str(length)}, send)

    async def _answer(self, environ: dict[str, Any], send: Send) -> None:
        """Send what a thread finds out; files block by block, as fast as the client takes them."""
        start, content = await self._in_thread(self._run, environ)
        await send(start)
        if isinstance(content, bytes):
            await send({"type": "http.response.body", "body": content})
            return
        blocks = iter(content)
        try:
            while block := await self._in_thread(_next_block, blocks):
                async with asyncio.timeout(settings.OFFLOAD_BODY_SECONDS):
                    await send({"type": "http.response.body", "body": block, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            await self._in_thread(content.close)

    async def _in_thread(self, act: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, act, *arguments)

    def _run(self, environ: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        """ASGI's start of the answer, and its content as bytes, or as Django's response where that is streamed."""
        start: dict[str, Any] = {"type": "http.response.start"}

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            start["status"] = int(status[:3])
            start["headers"] = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]

        response = self._wsgi_application(environ, start_response)
        if response.streaming:
            close_old_connections()  # it is closed by whichever thread reads its end, and this one's would stay open
            return start, response
        with closing(response):
            return start, b"".join(response)


def environ_of(scope: dict[str, Any]) -> dict[str, Any]:
    """The request line and headers as WSGI has them (PEP 3333), without a body."""
    (host, port), (client, _) = scope["server"] or ("localhost", 80), scope["client"] or ("", 0)
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "REMOTE_ADDR": client,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if "_" in name or name == "transfer-encoding":  # X_API_KEY would pass for X-API-KEY; chunks are decoded here
            continue
        variable = name.upper().replace("-", "_")
        if variable not in {"CONTENT_LENGTH", "CONTENT_TYPE"}:
            variable = f"HTTP_{variable}"
        joint = "; " if name == "cookie" else ","
        environ[variable] = f"{environ[variable]}{joint}{value}" if variable in environ else value
    return environ


def _next_block(blocks: Iterator[bytes]) -> bytes:
    return b"".join(islice(blocks, BLOCKS))
