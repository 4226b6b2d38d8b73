"""Connections that are kept for the next call: when they are used, and when not."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from webhooks import addresses, connections, sender
from webhooks.tests.receivers import Answer, drips, hangs, keeps_open, read_request, receiver, says
from webhooks.tests.test_sender import certificate, names, trust  # noqa: F401

pytestmark = pytest.mark.usefixtures("loopback_allowed")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(autouse=True)
def idle(monkeypatch: pytest.MonkeyPatch) -> Iterator[connections.Idle]:
    fresh = connections.Idle()
    monkeypatch.setattr(sender, "idle", fresh)
    yield fresh
    fresh.forget_all()


def post(url: str, limit_seconds: float = 3.0) -> sender.Outcome:
    return sender.post(url, b"{}", headers={"webhook-id": "evt_1"}, limit_seconds=limit_seconds)


def one_after_the_other(*answers: Answer) -> Answer:
    """The first connection is treated by the first answer, the second by the second, and so on."""
    left = iter(answers)
    return lambda connection, over: next(left)(connection, over)


def count(idle: connections.Idle) -> int:
    return len(idle._kept)


def test_calls_of_one_origin_share_a_connection(idle: connections.Idle) -> None:
    with receiver(keeps_open(OK, OK, OK)) as endpoint:
        assert [post(endpoint.url).status for _ in range(3)] == [200, 200, 200]
        assert len(endpoint.requests) == 1  # of three, those that came first on a connection
        assert count(idle) == 1
        idle.forget_all()


def test_another_port_or_scheme_is_another_connection(idle: connections.Idle) -> None:
    with receiver(keeps_open(OK, OK)) as one, receiver(keeps_open(OK, OK)) as other:
        for _ in range(2):
            assert (post(one.url).status, post(other.url).status) == (200, 200)
        assert (len(one.requests), len(other.requests)) == (1, 1)
        idle.forget_all()


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n\r\nok",  # ends with the connection
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok",  # too long a length: the rest never comes
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000,  # more than is read
    ],
)
def test_a_connection_that_is_not_good_for_another_call_is_not_kept(raw: bytes, idle: connections.Idle) -> None:
    with receiver(says(raw)) as endpoint:
        assert post(endpoint.url, limit_seconds=1).status == 200
    assert count(idle) == 0


def test_too_short_a_length_spoils_no_later_call() -> None:
    lying = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 Smuggled\r\nContent-Length: 0\r\n\r\n"

    def lies(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(lying[:40])
        time.sleep(0.1)
        connection.sendall(lying[40:])
        over.wait(5)

    with receiver(one_after_the_other(lies, says(OK))) as endpoint:
        assert post(endpoint.url).status == 200
        time.sleep(0.3)
        assert post(endpoint.url).status == 200  # over a new connection: the old one had said something unasked
    assert len(endpoint.requests) == 2


def test_an_endpoint_that_closes_between_two_calls_is_called_anew() -> None:
    with receiver(says(OK)) as endpoint:
        for _ in range(5):
            assert post(endpoint.url).status == 200
            time.sleep(0.05)
    assert len(endpoint.requests) == 5


def test_one_that_closes_as_it_is_called_gets_the_same_request_again() -> None:
    def closes_on_the_second(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(OK)
        read_request(connection)

    with receiver(one_after_the_other(closes_on_the_second, says(OK))) as endpoint:
        assert [post(endpoint.url).status for _ in range(2)] == [200, 200]
    assert len(endpoint.requests) == 2
    assert endpoint.requests[0] == endpoint.requests[1]


def test_a_new_connection_that_fails_is_not_tried_again() -> None:
    with receiver(says(b"")) as endpoint:
        assert post(endpoint.url).error == "RemoteDisconnected: Remote end closed connection without response"
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("then", [hangs, drips(b"HTTP/1.1 200 OK, only very slow")])
def test_the_limit_holds_on_a_kept_connection_and_begins_anew(then: Answer) -> None:
    def well_at_first(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(OK)
        read_request(connection)
        then(connection, over)

    with receiver(well_at_first) as endpoint:
        assert post(endpoint.url, limit_seconds=0.5).status == 200
        time.sleep(0.6)  # longer than the first call's limit
        outcome = post(endpoint.url, limit_seconds=0.7)
    assert outcome.status is None
    assert 700 <= outcome.duration_ms < 2000
    assert len(endpoint.requests) == 1


def test_an_address_that_is_not_among_those_just_checked_is_left(
    monkeypatch: pytest.MonkeyPatch, idle: connections.Idle
) -> None:
    with receiver(keeps_open(OK, OK)) as endpoint:
        url = f"http://hooks.example:{endpoint.port}/hook"
        answers = ["127.0.0.1", "127.0.0.2"]

        def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers.pop(0), port))]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        assert post(url).status == 200
        assert "refused" in post(url).error  # nobody listens at .2, and the one at .1 was not asked
        assert count(idle) == 1
        idle.forget_all()


def test_a_kept_connection_is_not_used_once_its_address_is_refused(
    monkeypatch: pytest.MonkeyPatch, settings: Any, idle: connections.Idle
) -> None:
    with receiver(keeps_open(OK, OK)) as endpoint:
        assert post(endpoint.url).status == 200
        settings.OFFLOAD_WEBHOOK_ALLOW_CIDRS = []
        assert post(endpoint.url).error == "127.0.0.1 is not a public address."
        idle.forget_all()


def test_unused_ones_are_closed_after_a_while_and_when_there_are_many(
    monkeypatch: pytest.MonkeyPatch, idle: connections.Idle
) -> None:
    with receiver(keeps_open(OK, OK)) as endpoint:
        post(endpoint.url)
        later = time.monotonic() + 21
        monkeypatch.setattr(time, "monotonic", lambda: later)
        target = addresses.read_url(endpoint.url)
        assert idle.take(target, addresses.resolve(target), 0.0) is None
        assert count(idle) == 0
        monkeypatch.undo()
    monkeypatch.setattr(connections, "MOST_KEPT", 2)
    with (
        receiver(keeps_open(OK, OK)) as one,
        receiver(keeps_open(OK, OK)) as two,
        receiver(keeps_open(OK, OK)) as three,
    ):
        kept = connections.Idle()
        monkeypatch.setattr(sender, "idle", kept)
        for each in (one, two, three):
            post(each.url)
        assert [place.origin[2] for place in kept._kept] == [two.port, three.port]
        kept.forget_all()


def test_a_forked_child_has_none_and_the_parents_still_works(idle: connections.Idle) -> None:
    os.register_at_fork(after_in_child=idle.forget_all)
    with receiver(keeps_open(OK, OK)) as endpoint:
        assert post(endpoint.url).status == 200
        child = os.fork()
        if child == 0:
            os._exit(count(idle))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert post(endpoint.url).status == 200
        assert len(endpoint.requests) == 1
        idle.forget_all()


def test_tls_connections_are_kept_with_their_checks(
    names: None,  # noqa: F811
    trust: Any,  # noqa: F811
    tmp_path: Any,
    idle: connections.Idle,
) -> None:
    server, authority = certificate(tmp_path, "hooks.example")
    trust(authority)
    with receiver(keeps_open(OK, OK, OK), tls=server) as endpoint:
        url = f"https://hooks.example:{endpoint.port}/hook"
        assert [post(url).status for _ in range(2)] == [200, 200]
        assert post(f"https://other.example:{endpoint.port}/hook").status is None  # a name of its own
        assert endpoint.names == ["hooks.example", "other.example"]
        idle.forget_all()
