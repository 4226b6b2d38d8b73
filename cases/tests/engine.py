"""A bench for tests of the engine: rows are cases, and what a step does is up to the test."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections
from pytest_django import Settings

from cases import database, leases, pump, work
from cases.factories import CaseFactory
from cases.leases import Claim, Kind
from cases.models import Case
from cases.models.due import DueManager

Step = Callable[[Claim[Any]], None]


def done(held: Claim[Any]) -> None:
    """A step after which nothing is left to do."""
    with held.write() as case:
        Case.objects.filter(pk=case.pk).update(due_at=None)


@dataclass
class Bench:
    """What the steps of the test's kinds do, and what became of it."""

    steps: dict[str, Step] = field(default_factory=dict)  # by kind; none: `done`
    begun: list[Any] = field(default_factory=list)  # pk of each row whose step was begun, in this order
    given_up: list[tuple[Any, str]] = field(default_factory=list)  # pk and cause
    rung: list[str] = field(default_factory=list)  # the wake-ups that the broker got

    def advance(self, held: Claim[Any]) -> None:
        self.begun.append(held.pk)
        self.steps.get(held.kind.name, done)(held)

    def give_up(self, held: Claim[Any], cause: str) -> None:
        self.given_up.append((held.pk, cause))


bench = Bench()


class Some(DueManager):
    """The cases that belong to one of the bench's kinds."""

    def __init__(self, **fields: Any) -> None:
        super().__init__()
        self.fields = fields
        self.model = Case

    def get_queryset(self) -> Any:
        return super().get_queryset().filter(**self.fields)


def _kind(name: str, **only: Any) -> Kind[Any]:
    return Kind(
        name=name,
        model=Case if not only else type(name, (), {"_default_manager": Some(**only)}),
        step=lambda held: bench.advance(held),
        give_up=lambda held, cause: bench.give_up(held, cause),
        task=f"bench.pump_{name}",
        turns_by="client_id",
    )


CASES = _kind("case")
TEST_CASES = _kind("test_case", is_test=True)
LIVE_CASES = _kind("live_case", is_test=False)


@contextmanager
def kinds_are(settings: Settings, **paths: str) -> Iterator[None]:
    """Work with these kinds only."""
    settings.OFFLOAD_WORK_KINDS = paths
    leases.kinds.cache_clear()
    try:
        yield
    finally:
        leases.kinds.cache_clear()


@pytest.fixture(name="bench")
def bench_fixture(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """One kind of row, `case`; no wake-up goes to a broker."""
    bench.__init__()  # type: ignore[misc]
    monkeypatch.setattr(work, "async_task", lambda task, **_: bench.rung.append(task.removeprefix("bench.pump_")))
    monkeypatch.setattr(work, "_last_wake", {})
    monkeypatch.setattr(work, "_rest_until", 0.0)
    monkeypatch.setattr(pump, "stopping", pump.SharedFlag())
    monkeypatch.setattr(pump, "keeper", keeper := pump.Keeper())
    with kinds_are(settings, case="cases.tests.engine.CASES"):
        try:
            yield bench
        finally:
            keeper.join()


@pytest.fixture(name="two_kinds")
def two_kinds_fixture(bench: Bench, settings: Settings) -> Iterator[Bench]:
    """Two kinds of row: `test_case` for those of test keys, `live_case` for the others."""
    kinds = {"test_case": "cases.tests.engine.TEST_CASES", "live_case": "cases.tests.engine.LIVE_CASES"}
    with kinds_are(settings, **kinds):
        yield bench


def due_case(**fields: Any) -> Case:
    """A new case, which is due at once."""
    case: Case = CaseFactory(**fields)
    assert case.due_at is not None
    return case


def move(case: Case, **fields: Any) -> Case:
    """Change the row behind everybody's back, as tests do to let time pass; the case as it stands then."""
    Case.objects.filter(pk=case.pk).update(**fields)
    moved: Case = Case.objects.get(pk=case.pk)
    return moved


def ago(**length: float) -> Any:
    """So long before now, in the database's time."""
    return database.now() - timedelta(**length)


def ahead(**length: float) -> Any:
    """So long after now, in the database's time."""
    return database.now() + timedelta(**length)


def claim_one(kind: str = "case") -> Claim[Any]:
    """The one due row."""
    (held,) = work.claim(kind, 10)
    return held


def in_threads(count: int, act: Callable[[int], Any]) -> list[Any]:
    """Call act(0) … act(count - 1) at the same moment, each on a connection of its own; their results in this order."""
    results: list[Any] = [None] * count
    errors: list[BaseException] = []
    barrier = threading.Barrier(count)

    def run(number: int) -> None:
        try:
            connection.ensure_connection()
            barrier.wait(timeout=10)
            results[number] = act(number)
        except BaseException as error:  # noqa: BLE001 (handed to the test)
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    if errors:
        raise errors[0]
    return results


def wait_for(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """The condition's first true answer; fails the test where there is none in time."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
    return answer
