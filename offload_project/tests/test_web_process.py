"""The web server as the Procfile starts it: clients that stall keep nobody else waiting."""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from cases.supervisor import ProcessGroup
from offload_project.tests.processes import ROOT, wait_for

pytestmark = pytest.mark.long

STALLED = 50
BODY_SECONDS = 8  # longer than the service is asked while they stall
CASE = {
    "channel": "EMAIL",
    "goal": {"objective": "Ask for the invoice of March."},
    "counterparty": {"address": "ann@supplier.example", "name": "Ann"},
    "senderPersona": {"name": "Bob"},
}


class Web:
    """A running web process, with a test key, and ways to speak to it."""

    def __init__(self, port: int, key: str) -> None:
        self.port, self.key = port, key

    def ask(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        """Status and JSON of an answer; an iterable body is sent in chunks."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"x-api-key": self.key, "content-type": "application/json"}
        connection.request(method, path, body, headers, **options)
        response = connection.getresponse()
        answer = response.status, json.loads(response.read())
        connection.close()
        return answer

    def begin(self, request: bytes) -> socket.socket:
        """A connection on which these bytes have been sent, and nothing after them."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        method_line, _, rest = request.partition(b"\r\n")
        connection.sendall(method_line + b"\r\nHost: localhost\r\n" + rest)
        return connection

    def is_up(self) -> bool:
        try:
            return self.ask("GET", "/healthz")[0] == 200
        except OSError:
            return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    var = tmp_path_factory.mktemp("web")
    environment = {
        **os.environ,
        "DATABASE_URL": f"sqlite:///{var / 'web.sqlite3'}",
        "OFFLOAD_VAR_DIR": str(var),
        "OFFLOAD_BODY_SECONDS": str(BODY_SECONDS),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PORT": str(free_port()),
    }

    def manage(*arguments: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=120)
        return done.stdout.decode()

    manage("migrate", "--skip-checks", "-v0")
    key = json.loads(manage("create_client", "Web", "--test", "--json"))["apiKey"]
    [command] = re.findall(r"(?m)^web: (.+)$", (ROOT / "Procfile").read_text())
    with (var / "web.log").open("wb") as log:
        server = ProcessGroup(["sh", "-c", f"exec {command}"], cwd=ROOT, env=environment, stdout=log, stderr=log)
    running = Web(int(environment["PORT"]), key)
    try:
        wait_for(running.is_up, 60, "the web process answers")
        yield running
    finally:
        server.stop(30)


def test_the_server_is_the_one_that_production_starts() -> None:
    [command] = re.findall(r"(?m)^web: (.+)$", (ROOT / "Procfile").read_text())
    assert shlex.split(command)[0] == "granian"


# With the cookie, Django looks for its double in the form: it reads the body before it knows who is there.
FORM = b"content-type: application/x-www-form-urlencoded\r\nCookie: csrftoken=" + b"a" * 32 + b"\r\n"
ENDLESS = {
    "chunked, without a key": b"POST /cases HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{",
    "a root that takes no POST": b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n{",
    "a form of the staff pages": b"POST /admin/login/ HTTP/1.1\r\n" + FORM + b"Content-Length: 9\r\n\r\na",
    "an unknown address": b"POST /nothing HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "half a header": b"POST /cases HTTP/1.1\r\nx-api",
}


def test_bodies_that_stall_keep_nobody_waiting_and_are_ended(web: Web) -> None:
    with ExitStack() as stack:
        requests = list(ENDLESS.values())
        stalled = [stack.enter_context(web.begin(requests[at % len(requests)])) for at in range(STALLED)]
        time.sleep(0.5)  # all of them are being received now
        for _ in range(5):
            began = time.monotonic()
            assert web.ask("GET", "/healthz")[0] == 200
            assert web.ask("POST", "/cases", json.dumps(CASE))[0] == 201
            assert time.monotonic() - began < 2
        began = time.monotonic()
        statuses = [int(connection.recv(4096).split()[1]) for connection in stalled[:4]]
        assert statuses == [401, 405, 400, 404]
        assert time.monotonic() - began < BODY_SECONDS + 5


def test_a_key_that_is_known_is_told_that_its_body_stalled(web: Web) -> None:
    head = b"POST /cases HTTP/1.1\r\nx-api-key: %s\r\ncontent-type: application/json\r\n" % web.key.encode()
    with web.begin(head + b"Content-Length: 9\r\n\r\n{") as connection:
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert answer.endswith(
        b'{"ok":false,"error":{"code":"REQUEST_TIMEOUT","message":"The body did not arrive in time."}}'
    )


@pytest.mark.parametrize("body", [b"zz\r\n{}\r\n0\r\n\r\n", b"2\r\n{}zz\r\n", b"2\r\n{}\r\nzz\r\n"])
def test_a_malformed_chunk_is_refused(web: Web, body: bytes) -> None:
    head = b"POST /cases HTTP/1.1\r\nx-api-key: %s\r\ncontent-type: application/json\r\n" % web.key.encode()
    with web.begin(head + b"Transfer-Encoding: chunked\r\n\r\n" + body) as connection:
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"message":"The body is incomplete or malformed."' in answer


def test_chunked_bodies_have_the_limits_of_their_routes(web: Web) -> None:
    def chunks(size: int) -> Iterator[bytes]:
        yield b'{"text": "'
        for _ in range(size // 100_000):
            yield b"x" * 100_000
        yield b'"}'

    status, created = web.ask("POST", "/cases", iter([json.dumps(CASE).encode()]), encode_chunked=True)
    assert status == 201
    reply = f"/sandbox/cases/{created['data']['caseId']}/reply"
    status, answer = web.ask("POST", reply, chunks(3_000_000), encode_chunked=True)
    assert (status, answer["error"]["details"][0]["path"]) == (400, "text")  # read whole: a text has a limit of its own
    assert web.ask("POST", "/cases", chunks(3_000_000), encode_chunked=True)[0] == 413
