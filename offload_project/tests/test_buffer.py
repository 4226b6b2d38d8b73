"""Whole requests reach Django, and those that never become whole are ended without one of its threads."""

import asyncio
import json
import time
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from offload_project import api, bodies, buffer
from offload_project.asgi import application


class Echo(ViewSet):
    authentication_classes = ()
    permission_classes = ()
    max_body_bytes = 1_000_000

    def create(self, request: Request) -> Response:
        return Response({"length": len(json.dumps(request.data))})


def seen(request: HttpRequest, name: str) -> HttpResponse:
    """What Django makes of the request line and the headers."""
    named = ("Host", "X-Api-Key", "Cookie", "Content-Type", "Content-Length", "Transfer-Encoding", "X-Twice")
    headers = {name: request.headers[name] for name in named if name in request.headers}
    return JsonResponse({"path": request.path, "query": request.GET, "headers": headers, "body": len(request.body)})


class Closing(BytesIO):
    closes = 0

    def close(self) -> None:
        type(self).closes += 1
        super().close()


FILE = bytes(range(256)) * 1000

urlpatterns = [
    path("echo", Echo.as_view({"post": "create"})),
    path("wide", Echo.as_view({"post": "create"}, max_body_bytes=2_000_000)),
    path("seen/<str:name>", seen),
    path("file", lambda request: FileResponse(Closing(FILE))),
    path("admin/form", csrf_exempt(lambda request: HttpResponse(len(request.POST)))),
]
handler400, handler404, handler500 = api.bad_request, api.not_found, api.server_error
pytestmark = pytest.mark.urls(__name__)

JSON = (b"content-type", b"application/json")
CHUNKED = (b"transfer-encoding", b"chunked")
STALL = "nothing more comes"


def chunk(part: bytes, *, last: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": part, "more_body": not last}


async def exchange(messages: Iterator[Any], scope: dict[str, Any], sent: list[dict[str, Any]]) -> None:
    async def receive() -> dict[str, Any]:
        message = next(messages)
        if message == STALL:
            await asyncio.sleep(3600)
        return message  # type: ignore[no-any-return]

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await application(scope, receive, send)


def call(route: str, *messages: Any, method: str = "POST", headers: Any = (), query: bytes = b"") -> tuple[int, bytes]:
    """Status and content of the answer to a request that arrives as these messages."""
    scope = {
        "type": "http",
        "method": method,
        "path": route,
        "raw_path": route.encode(),
        "query_string": query,
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 5000),
        "headers": [(b"host", b"testserver"), *headers],
    }
    sent: list[dict[str, Any]] = []
    asyncio.run(exchange(iter(messages), scope, sent))
    start, *parts = sent
    assert [part.get("more_body", False) for part in parts] == [True] * (len(parts) - 1) + [False]
    return start["status"], b"".join(part["body"] for part in parts)


def code(answer: tuple[int, bytes]) -> tuple[int, str]:
    return answer[0], json.loads(answer[1])["error"]["code"]


def body_of(size: int) -> bytes:
    return b'{"a": "' + b"x" * (size - 9) + b'"}'


def test_a_chunked_body_is_read_to_its_end() -> None:
    messages = (chunk(b'{"a": '), chunk(b""), chunk(b'"b"}'), chunk(b"", last=True))
    assert call("/echo", *messages, headers=[JSON, CHUNKED]) == (200, b'{"ok":true,"data":{"length":10}}')


def test_a_longer_body_goes_by_way_of_a_file() -> None:
    body = body_of(2 * bodies.IN_MEMORY)
    messages = [chunk(body[at : at + 50_000]) for at in range(0, len(body), 50_000)]
    assert call("/echo", *messages, chunk(b"", last=True), headers=[JSON, CHUNKED])[0] == 200


@pytest.mark.parametrize(("route", "limit"), [("/echo", 1_000_000), ("/wide", 2_000_000)])
def test_each_route_has_its_own_limit_however_the_body_comes(route: str, limit: int) -> None:
    for announced in ([CHUNKED], [(b"content-length", b"%d" % limit)]):
        assert call(route, chunk(body_of(limit), last=True), headers=[JSON, *announced])[0] == 200
    too_large = (413, "PAYLOAD_TOO_LARGE")
    assert code(call(route, chunk(body_of(limit + 1)), STALL, headers=[JSON, CHUNKED])) == too_large
    assert code(call(route, STALL, headers=[JSON, (b"content-length", b"%d" % (limit + 1))])) == too_large


@pytest.mark.parametrize("before", [[], [chunk(b'{"a": 1}')]])
def test_a_body_that_breaks_off_is_not_taken_for_a_shorter_one(before: list[Any]) -> None:
    status, content = call("/echo", *before, {"type": "http.disconnect"}, headers=[JSON, CHUNKED])
    assert (status, json.loads(content)["error"]) == (
        400,
        {"code": "INVALID_REQUEST", "message": "The body is incomplete or malformed."},
    )


@pytest.mark.parametrize("headers", [[JSON, CHUNKED], [JSON, (b"content-length", b"9")]])
def test_a_body_that_stalls_is_ended(settings: Any, headers: Any) -> None:
    settings.OFFLOAD_BODY_SECONDS = 0.2
    began = time.monotonic()
    assert code(call("/echo", chunk(b'{"a"'), STALL, headers=headers)) == (408, "REQUEST_TIMEOUT")
    assert 0.2 <= time.monotonic() - began < 5


def test_a_long_body_gets_more_time(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.OFFLOAD_BODY_SECONDS = 0.2
    monkeypatch.setattr(bodies, "SLOWEST", 1000)
    began = time.monotonic()
    assert code(call("/echo", chunk(bytes(500)), STALL, headers=[JSON, CHUNKED]))[0] == 408
    assert 0.7 <= time.monotonic() - began < 5


def test_an_unreadable_form_of_a_staff_page_is_refused_as_a_page() -> None:
    form = (b"content-type", b"application/x-www-form-urlencoded")
    status, content = call("/admin/form", chunk(b"a=b"), {"type": "http.disconnect"}, headers=[form, CHUNKED])
    assert (status, content.lower().lstrip().startswith(b"<!doctype html>")) == (400, True)


def test_who_asks_for_nothing_but_an_address_is_not_waited_for() -> None:
    status, content = call(
        "/seen/a%20%C3%A4",
        STALL,
        method="GET",
        query=b"q=%C3%A4&r=1",
        headers=[
            (b"content-length", b"9"),
            (b"x-twice", b"1"),
            (b"x-twice", b"2"),
            (b"cookie", b"a=1"),
            (b"cookie", b"b=2"),
            (b"x_api_key", b"forged"),
        ],
    )
    headers = {"Host": "testserver", "Cookie": "a=1; b=2", "X-Twice": "1,2", "Content-Length": ""}
    assert (status, json.loads(content)) == (
        200,
        {"path": "/seen/a ä", "query": {"q": "ä", "r": "1"}, "headers": headers, "body": 0},
    )


@pytest.mark.parametrize("route", ["/%ff%fe", "/%E0%A4%A", "/nothing/%00"])
def test_any_address_is_answered(route: str) -> None:
    assert code(call(route, method="GET"))[0] in {400, 404}


def test_a_file_is_sent_whole_and_closed() -> None:
    closes = Closing.closes
    assert call("/file", method="GET") == (200, FILE)
    assert Closing.closes > closes


def test_who_does_not_take_a_file_is_cut_off(settings: Any) -> None:
    settings.OFFLOAD_BODY_SECONDS = 0.2
    closes, sent = Closing.closes, []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message["type"])
        if message.get("body"):
            await asyncio.sleep(3600)

    async def receive() -> dict[str, Any]:
        raise AssertionError("nothing is asked for")

    scope = {"method": "GET", "path": "/file", "raw_path": b"/file", "query_string": b"", "http_version": "1.1"}
    origin = {"scheme": "http", "server": None, "client": None, "headers": [(b"host", b"testserver")]}
    with pytest.raises(TimeoutError):
        asyncio.run(application({**scope, **origin}, receive, send))
    assert sent == ["http.response.start", "http.response.body"]
    assert Closing.closes > closes


def test_no_more_threads_than_configured(settings: Any) -> None:
    settings.OFFLOAD_WEB_THREADS = 3
    assert buffer.Buffered(lambda environ, start: [])._threads._max_workers == 3
