"""The client of AgentMail's API: time limits, answers that break off, and one pool a process."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from outreach.agentmail import client
from outreach.agentmail.client import AgentMail, AgentMailError, TooLarge


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A server whose every GET is answered so; its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: Any) -> None: ...

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: Any) -> None: ...

    with Quiet(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def failure(settings: Any, url: str, *, seconds: float = 0.5) -> AgentMailError:
    settings.AGENTMAIL_BASE_URL, settings.AGENTMAIL_API_KEY = url, "am_x"
    with pytest.raises(AgentMailError) as caught:
        AgentMail(seconds=seconds).inbox("us@agentmail.example")
    return caught.value


def drip(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(1000):
        handler.wfile.write(b" ")
        time.sleep(0.05)


def break_off(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"inbox_id": "us"}')
    handler.close_connection = True


def redirect(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(302)
    handler.send_header("Location", "http://127.0.0.1:9/")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def flood(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.close_connection = True
    for _ in range(10_000):
        handler.wfile.write(b"x" * 10_000)


def test_an_answer_that_drips_ends_with_the_time_limit(settings: Any) -> None:
    with serving(drip) as url:
        began_at = time.monotonic()
        assert failure(settings, url).status is None
        assert time.monotonic() - began_at < 2


def test_silence_ends_with_the_time_limit_of_one_call(settings: Any) -> None:
    settings.OFFLOAD_TRANSPORT_SECONDS = 0.3
    with serving(lambda handler: time.sleep(3)) as url:
        began_at = time.monotonic()
        assert failure(settings, url, seconds=60).may_pass
        assert time.monotonic() - began_at < 2


def test_an_answer_that_breaks_off_is_none(settings: Any) -> None:
    with serving(break_off) as url:
        assert failure(settings, url).status is None


def test_redirects_are_not_followed(settings: Any) -> None:
    with serving(redirect) as url:
        assert failure(settings, url).status == 302


def test_a_flood_is_cut(settings: Any) -> None:
    with serving(flood) as url, pytest.raises(TooLarge):
        AgentMail(seconds=20).download(url, limit=1_000_000)


def test_the_key_stays_with_the_api(settings: Any) -> None:
    settings.AGENTMAIL_API_KEY = "am_secret"
    seen: list[Any] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        seen.append(handler.headers.get("Authorization"))
        handler.send_response(200)
        handler.send_header("Content-Length", "2")
        handler.end_headers()
        handler.wfile.write(b"{}")

    with serving(answer) as url:
        settings.AGENTMAIL_BASE_URL = url
        AgentMail(seconds=5).inbox("us")
        assert AgentMail(seconds=5).download(f"{url}/file", limit=10) == b"{}"
    assert seen == ["Bearer am_secret", None]


def test_a_forked_child_has_a_pool_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = client._adapter()
    assert client._adapter() is ours
    pid = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: pid + 1)
    assert client._adapter() is not ours
