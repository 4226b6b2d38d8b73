"""Redis and SQS as brokers: what goes through them, and that nobody waits for one that is away."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import redis
from django.db import connection
from django_q.brokers import Broker, get_broker
from django_q.conf import Conf
from django_q.signing import SignedPackage
from pytest_django import DjangoAssertNumQueries, Settings

from cases import work
from cases.brokers import RedisBroker, SqsBroker
from cases.orm_broker import OrmBroker
from cases.tests.engine import Bench, bench_fixture, due_case  # noqa: F401 (a fixture)
from scripts import servers

Make = Callable[[], Broker]


@pytest.fixture(params=["redis", "sqs"])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes brokers on one empty queue of a real server."""
    if request.param == "redis":
        monkeypatch.setattr(Conf, "REDIS", request.getfixturevalue("redis_url"))
        kind: type[Broker] = RedisBroker
    else:
        environment = request.getfixturevalue("sqs")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, environment[name])
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", environment["SQS_ENDPOINT_URL"])
        monkeypatch.setattr(Conf, "SQS", {"aws_region": servers.REGION, "receive_message_wait_time_seconds": 1})
        kind = SqsBroker
    name = f"test-{os.getpid()}-{time.monotonic_ns()}"
    yield lambda: kind(name)
    kind(name).delete_queue()


@pytest.fixture(params=["redis", "sqs"])
def away(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Broker:
    """A broker at whose address nobody listens."""
    [port] = servers.free_ports(1)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", f"http://127.0.0.1:{port}")
    monkeypatch.setattr(Conf, "REDIS", f"redis://127.0.0.1:{port}/0")
    monkeypatch.setattr(Conf, "SQS", {"aws_region": servers.REGION, "receive_message_wait_time_seconds": 1})
    return RedisBroker("test") if request.param == "redis" else SqsBroker("test")


def test_a_wake_up_is_taken_once_and_counted_until_then(make: Make) -> None:
    ours, theirs = make(), make()
    assert ours.queue_size() == 0
    ours.enqueue("first")
    assert (ours.queue_size(), theirs.queue_size()) == (1, 1)
    ((receipt, package),) = theirs.dequeue()
    assert package in {"first", b"first"}
    assert (ours.queue_size(), theirs.queue_size()) == (0, 0)
    if receipt is not None:
        theirs.acknowledge(receipt)
        assert ours.lock_size() == 0
    assert ours.dequeue() is None


def test_a_forked_process_has_connections_of_its_own(make: Make) -> None:
    """Pusher and monitor of a cluster inherit one broker, and use it at once."""
    broker = make()
    broker.enqueue("from the parent")
    child = os.fork()
    if child == 0:
        with_error = 1
        try:
            for number in range(20):
                broker.enqueue(f"{number}")
            with_error = 0
        finally:
            os._exit(with_error)
    sizes = [broker.queue_size() for _ in range(20)]
    assert os.waitpid(child, 0)[1] == 0
    assert sizes == sorted(sizes)
    assert broker.queue_size() == 21


def test_nobody_waits_for_a_broker_that_is_away(away: Broker) -> None:
    assert away.ping()
    for act in (lambda: away.enqueue("x"), away.dequeue, away.queue_size):
        began_at = time.monotonic()
        with pytest.raises(Exception, match=r"connect|Connect|refused"):
            act()
        assert time.monotonic() - began_at < 5


def test_after_a_failure_requests_do_not_ask_the_broker_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def refuse(task: str, **_: Any) -> None:
        asked.append(task)
        raise ConnectionError("no broker")

    monkeypatch.setattr(work, "async_task", refuse)
    monkeypatch.setattr(work, "_broker", lambda: None)
    monkeypatch.setattr(work, "_rest_until", 0.0)
    monkeypatch.setattr(work, "WAKE_SECONDS", 0.0)
    monkeypatch.setattr(work, "REST_SECONDS", 3600.0)
    for _ in range(3):
        work.wake("case")
    assert len(asked) == 1
    monkeypatch.setattr(work, "_rest_until", 0.0)  # as after an hour
    work.wake("case")
    assert len(asked) == 2


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_a_cluster_whose_broker_is_away_looks_for_itself(
    away: Broker, bench: Bench, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.OFFLOAD_CLOCK_SECONDS = 0.01
    broker = work._with_beats(away)
    broker.dequeue()  # the first is a beat
    assert broker.dequeue() == []
    due_case()
    ((receipt, package),) = broker.dequeue()
    assert receipt is None
    assert SignedPackage.loads(package)["func"] == "bench.pump_case"
    assert caplog.text.count("this cluster looks for due rows by itself") == 1


def test_redis_keeps_no_statistics_of_ours(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Conf, "REDIS", redis_url)
    RedisBroker("test").set_stat("a key", "a value", 3)
    with closing(redis.from_url(redis_url)) as client:
        assert client.get("a key") is None


@pytest.mark.django_db(transaction=True)
def test_a_wake_up_in_the_database_takes_one_statement_on_the_connection_at_hand(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    broker = OrmBroker("test")
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    at_hand = connection.connection
    with django_assert_num_queries(1):
        broker.enqueue("package")
    assert connection.connection is at_hand
    assert broker.queue_size() == 1
    assert [package for _, package in broker.dequeue()] == ["package"]


def test_the_database_is_the_broker_where_no_other_is_named(db: None) -> None:
    assert type(get_broker()) is OrmBroker
