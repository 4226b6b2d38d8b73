"""What the API costs beyond the least that Django needs: POST /cases, and GET /cases/{id} with its transcript.

`post`: the real application (offload_project.wsgi, with all its middleware) takes a case with a resultSchema and a
webhook, by a key: authentication, rate, validation, rows, listeners, wake-up. Its floor is a bare view, without
middleware, that does a SELECT of the key and two INSERTs in one transaction. `get`: the same for a case whose thread
has three messages, `includeTranscript=true`; the floor is a SELECT of the key and one of the case. Figures are requests
per second, ours divided by the floor's, so 1 would be no cost at all.

Both sides are WSGI applications of one process, called in turns and one request at a time, on the same durable
database through the same pool: a client in Python would cost as much as what is measured, on both sides, and flatter
the figure. How they compare over HTTP behind the product's server is told besides, for what it is worth.
"""

import argparse
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from io import BytesIO
from typing import Any, ClassVar

from benchmarks.ground import installation
from benchmarks.measure import Figure, medians, seconds, show
from scripts.servers import free_ports

PATIENCE_SECONDS = 60

Application = Callable[..., Any]
Call = Callable[[], None]


def environ(method: str, path: str, key: str, body: bytes = b"", **headers: str) -> dict[str, Any]:
    """A request as a server gives it to a WSGI application, for one use."""
    address, _, query = path.partition("?")
    return {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": address,
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "127.0.0.1:8000",
        "HTTP_X_API_KEY": key,
        "CONTENT_TYPE": "application/json" if body else "",
        "CONTENT_LENGTH": str(len(body)) if body else "",
        "wsgi.input": BytesIO(body),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        **headers,
    }


def call(application: Application, request: dict[str, Any], expected: str) -> None:
    """The answer, taken to its end as a server does. Fails where its status is another one."""
    said = []
    response = application(request, lambda status, headers: said.append(status))
    try:
        body = b"".join(response)
    finally:
        response.close()
    assert said == [expected], (said, body[:300])


def queries(act: Call) -> int:
    """How many statements one call sends."""
    from django.db import connection

    sent = 0

    def count(execute: Any, *arguments: Any) -> Any:
        nonlocal sent
        sent += 1
        return execute(*arguments)

    with connection.execute_wrapper(count):
        act()
    return sent


def rate(act: Call, count: int) -> float:
    """Calls a second, of so many one after the other."""

    def all_of_them() -> None:
        for _ in range(count):
            act()

    return count / seconds(all_of_them)


@dataclass(frozen=True)
class Asked:
    """What both sides are asked, by name: a method, an address and a body."""

    key: str
    requests: dict[str, tuple[str, str, bytes]]
    expected: ClassVar = {"POST": "201 Created", "GET": "200 OK"}

    def in_process(self, application: Application, name: str, *, is_repeatable: bool = False) -> Call:
        """`is_repeatable`: each call has an Idempotency-Key of its own."""
        method, path, body = self.requests[name]

        def act() -> None:
            headers = {"HTTP_IDEMPOTENCY_KEY": uuid.uuid4().hex} if is_repeatable else {}
            call(application, environ(method, path, self.key, body, **headers), self.expected[method])

        return act

    def over_http(self, port: int, name: str) -> Call:
        """The same on one connection that is kept open."""
        method, path, body = self.requests[name]
        connection = HTTPConnection("127.0.0.1", port)
        headers = {"x-api-key": self.key, "content-type": "application/json"}

        def act() -> None:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            assert f"{answer.status} {answer.reason}" == self.expected[method], answer.read()
            answer.read()

        return act


def asked() -> Asked:
    """A key, a case with a thread of three, and the requests."""
    from cases.factories import ApiKeyFactory, CaseFactory, MessageFactory
    from cases.views import NEW_CASE

    key: Any = ApiKeyFactory(is_test=True)
    body = json.dumps({**NEW_CASE, "clientWebhookUrl": "https://hooks.buyer.example/offload"}).encode()
    case = CaseFactory(client=key.client, status="RUNNING", result_schema=NEW_CASE["resultSchema"], constraints=["No."])
    for direction in ("OUT", "IN", "OUT"):
        MessageFactory(case=case, direction=direction, text=3 * "Dear Ann,\n\nplease send us the invoice.\n\nBob")
    requests = {
        "post": ("POST", "/cases", body),
        "bare": ("POST", "/bare", body),
        "get": ("GET", f"/cases/{case.pk}?includeTranscript=true", b""),
    }
    return Asked(key.key, requests)


@contextmanager
def served(application: str) -> Iterator[int]:
    """The application behind the server of the Procfile, one process; gives its port."""
    [port] = free_ports(1)
    options = ["--interface", "asginl", "--no-ws", "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    server = subprocess.Popen([sys.executable, "-m", "granian", *options, application])
    try:
        end = time.monotonic() + PATIENCE_SECONDS
        while not _answers(port):
            if time.monotonic() > end or server.poll() is not None:
                raise SystemExit(f"{application} was not served")
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait(timeout=PATIENCE_SECONDS)


def _answers(port: int) -> bool:
    try:
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        connection.request("GET", "/healthz")
        return connection.getresponse().status in {200, 404}
    except OSError:
        return False


def compared(name: str, acts: dict[str, Call], rounds: int, count: int) -> float:
    """Ours divided by the floor's, in calls a second; prints how it comes about."""
    rates = medians({side: partial(rate, act, count) for side, act in acts.items()}, rounds)
    for side, per_second in rates.items():
        print(f"{name}, {side}: {1000 / per_second:.2f} ms, {per_second / rates['floor']:.2f} of the floor's rate")
    return rates["ours"] / rates["floor"]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.post_get", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few requests, to see that it runs")
    rounds, count = (5, 3) if parser.parse_args().quick else (21, 10)
    with installation(OFFLOAD_RATE_PER_MINUTE="100000000"):  # counted as ever, and never reached
        from benchmarks.floor import Floor
        from offload_project.wsgi import application

        floor, both = Floor(), asked()
        posts = {
            "ours": both.in_process(application, "post"),
            "ours with an Idempotency-Key": both.in_process(application, "post", is_repeatable=True),
            "floor": both.in_process(floor, "post"),
            "bare view of REST framework": both.in_process(floor, "bare"),
        }
        gets = {"ours": both.in_process(application, "get"), "floor": both.in_process(floor, "get")}
        for side, act in [*posts.items(), *gets.items()]:
            act()
            print(f"{side}: {queries(act)} statements")
        show(Figure("post", compared("post", posts, rounds, count), at_least=0.7))
        show(Figure("get", compared("get", gets, rounds, count), at_least=0.7))
        with served("offload_project.asgi:application") as ours, served("benchmarks.floor_server:application") as least:
            for name in ("post", "get"):
                ports = {"ours": ours, "floor": least}
                acts = {side: both.over_http(port, name) for side, port in ports.items()}
                print(f"{name} over HTTP {compared(f'{name} over HTTP', acts, rounds, count):.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
