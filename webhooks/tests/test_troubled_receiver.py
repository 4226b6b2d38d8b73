"""R4 to R8 in one story: a receiver in every kind of trouble, and then well."""

import hashlib
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta

import pytest
from pytest_django import Settings
from standardwebhooks import Webhook

from cases import pump, work
from cases.factories import CaseFactory
from cases.models import Case, Status
from webhooks import connections, sender, signing, tasks
from webhooks.models import Attempt, Delivery, DeliveryState
from webhooks.tests.receivers import Answer, drips, hangs, keeps_open, receiver, says
from webhooks.tests.test_listeners import ask, fail
from webhooks.tests.test_tasks import let_time_pass, work_off

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("loopback_allowed"), pytest.mark.engine]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SHORT = 0.4  # seconds, in place of 15


@pytest.fixture(autouse=True)
def short_limit(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(tasks, "LIMIT_SECONDS", SHORT)
    idle = connections.Idle()
    monkeypatch.setattr(sender, "idle", idle)
    yield
    idle.forget_all()


def head_and_body(request: bytes) -> tuple[dict[str, str], bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}, body


TROUBLES: dict[str, Answer] = {
    "hangs": hangs,
    "drips its head": drips(b"HTTP/1.1 200 OK, only very slow"),
    "closes": says(b""),
    "resets": lambda connection, over: connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"),
    "redirects": says(b"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"),
    "is no HTTP": says(b"220 mail.example ESMTP\r\n"),
    "says no": says(b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 100\r\n\r\nshort"),
    "says too much": says(b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n" + b"x" * 300_000),
}


def test_every_event_arrives_in_order_with_the_same_bytes_signed() -> None:
    troubles = iter(TROUBLES.values())

    def answer(connection: socket.socket, over: threading.Event) -> None:
        next(troubles, keeps_open(OK, OK, seen=endpoint.requests))(connection, over)

    with receiver(answer) as endpoint:
        case: Case = CaseFactory(status=Status.RUNNING, client_webhook_url=endpoint.url)
        for number in range(4):
            ask(case, f"Question {number}?")
        fail(case)
        in_order = list(Delivery.objects.order_by("sequence").values_list("event_id", flat=True))
        secrets = signing.secrets_for(case.client)
        signing.rotate(case.client)
        while work_off():
            let_time_pass()
    assert list(Delivery.objects.values_list("state", flat=True)) == [DeliveryState.DELIVERED] * 5
    assert Attempt.objects.filter(status__range=(200, 299)).count() == 5
    assert Attempt.objects.count() == 5 + len(TROUBLES)
    assert max(Attempt.objects.values_list("duration_ms", flat=True)) < 2000

    bodies, arrived = defaultdict(set), []
    for request in endpoint.requests:
        headers, body = head_and_body(request)
        bodies[headers["webhook-id"]].add(hashlib.sha256(body).hexdigest())
        arrived.append(headers["webhook-id"])
        for secret in (*secrets, *signing.secrets_for(case.client)):
            Webhook(secret).verify(body, headers)
    assert {len(digests) for digests in bodies.values()} == {1}
    assert arrived == sorted(arrived, key=in_order.index)  # no inversion
    assert [arrived.count(event_id) for event_id in in_order] == [1 + len(TROUBLES), 1, 1, 1, 1]


def test_a_receiver_that_is_down_for_76_hours_gets_at_least_ten_attempts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    case: Case = CaseFactory(status=Status.RUNNING, client_webhook_url=f"http://127.0.0.1:{port}/hook")
    fail(case)
    moved = timedelta()
    for _ in range(9):
        assert work_off() == 1
        delivery = Delivery.objects.get()
        moved += delivery.next_attempt_at - work.now()
        let_time_pass()
    assert moved >= timedelta(hours=75)
    assert work_off() == 1
    delivery.refresh_from_db()
    assert delivery.attempts.count() == 10
    assert delivery.state == DeliveryState.EXHAUSTED


@pytest.mark.django_db(transaction=True)
def test_an_endpoint_that_hangs_keeps_nobody_waiting(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "LIMIT_SECONDS", 3.0)
    answered: list[float] = []

    def answers(connection: socket.socket, over: threading.Event) -> None:
        answered.append(time.monotonic())
        connection.sendall(OK.replace(b"200 OK", b"200 OK\r\nConnection: close"))

    with receiver(hangs) as hanging, receiver(answers) as well:
        slow: Case = CaseFactory(status=Status.RUNNING, client_webhook_url=hanging.url)
        for _ in range(12):
            fail(CaseFactory(status=Status.RUNNING, client=slow.client, client_webhook_url=hanging.url))
        for _ in range(5):  # the same client, and all of these younger
            fail(CaseFactory(status=Status.RUNNING, client=slow.client, client_webhook_url=well.url))
        Case.objects.update(due_at=None)
        settings.OFFLOAD_CLAIM_SECONDS, settings.OFFLOAD_CONCURRENCY = 2.0, 12
        settings.OFFLOAD_WEBHOOK_CONCURRENCY = 2
        started = time.monotonic()
        tasks.pump_deliveries()
        pump.keeper.join()  # those that hang outlive it
    assert len(answered) == 5
    assert max(answered) - started < 2.5  # before the first of those that hang has come to its limit
    assert Attempt.objects.filter(status=None).count() == len(hanging.requests) == 2
