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
import sys
from collections.abc import Callable
from io import BytesIO
from typing import Any

from benchmarks.ground import installation
from benchmarks.measure import Figure, medians, seconds, show

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


def call(application: Application, request: dict[str, Any], expected: str) -> bytes:
    """The body of the answer, taken to its end as a server does. Fails where its status is another one."""
    said = []
    response = application(request, lambda status, headers: said.append(status))
    try:
        body = b"".join(response)
    finally:
        response.close()
    assert said == [expected], (said, body[:300])
    return body


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


def sides() -> tuple[dict[str, Call], dict[str, Call]]:
    """What is asked of both, by the name of the side: POSTs, and GETs."""
    from benchmarks.floor import Floor
    from cases.factories import ApiKeyFactory, CaseFactory, MessageFactory
    from cases.views import NEW_CASE
    from offload_project.wsgi import application

    key: Any = ApiKeyFactory(is_test=True)
    floor = Floor()
    body = json.dumps({**NEW_CASE, "clientWebhookUrl": "https://hooks.buyer.example/offload"}).encode()
    case = CaseFactory(client=key.client, status="RUNNING", result_schema=NEW_CASE["resultSchema"], constraints=["No."])
    for direction in ("OUT", "IN", "OUT"):
        MessageFactory(case=case, direction=direction, text="Dear Ann,\n\nplease send us the invoice.\n\nBob " * 3)

    def post(app: Application, path: str = "/cases") -> Call:
        return lambda: _ignore(call(app, environ("POST", path, key.key, body), "201 Created"))

    def get(app: Application) -> Call:
        path = f"/cases/{case.pk}?includeTranscript=true"
        return lambda: _ignore(call(app, environ("GET", path, key.key), "200 OK"))

    posts = {"ours": post(application), "floor": post(floor), "bare view of REST framework": post(floor, "/bare")}
    return posts, {"ours": get(application), "floor": get(floor)}


def _ignore(body: bytes) -> None:
    pass


def measure(name: str, acts: dict[str, Call], rounds: int, count: int) -> None:
    """Print the figure, and how it comes about."""
    for act in acts.values():
        act()
    asked = {side: queries(act) for side, act in acts.items()}
    rates = medians({side: lambda act=act: rate(act, count) for side, act in acts.items()}, rounds)
    for side, per_second in rates.items():
        ratio = per_second / rates["floor"]
        print(f"{name}, {side}: {1000 / per_second:.2f} ms, {asked[side]} statements, {ratio:.2f} of the floor's rate")
    show(Figure(name, rates["ours"] / rates["floor"], at_least=0.7))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.post_get", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few requests, to see that it runs")
    given = parser.parse_args()
    rounds, count = (5, 10) if given.quick else (9, 100)
    with installation(OFFLOAD_RATE_PER_MINUTE="100000000"):  # counted as ever, and never reached
        posts, gets = sides()
        measure("post", posts, rounds, count)
        measure("get", gets, rounds, count)
    return 0


if __name__ == "__main__":
    sys.exit(main())
