"""What is done every now and then: by one worker, again after a failure, and only while it is configured."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from cases import chores, leases, work
from cases.daemon import Complaints
from cases.management.commands import clock
from cases.models import Chore
from cases.testing import run_due

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]
runs: list[tuple[float, datetime | None]] = []
faults: list[Exception] = []


def sweep(seconds: float, last_at: datetime | None) -> None:
    runs.append((seconds, last_at))
    if faults:
        raise faults.pop()


@pytest.fixture(autouse=True)
def configured(settings: Any) -> None:
    runs.clear()
    faults.clear()
    settings.OFFLOAD_CHORES = {"sweep": ("cases.tests.test_chores.sweep", 900)}


def make_due() -> None:
    at = work.now()
    Chore.objects.update(next_at=at, due_at=at, retry_at=None)


def test_a_chore_is_due_at_once_and_then_every_so_often() -> None:
    chores.plan()
    chores.plan()
    run_due("chore")
    [(seconds, last_at)] = runs
    assert 100 < seconds <= 110
    assert last_at is None
    chore = Chore.objects.get()
    assert chore.done_at is not None
    assert chore.due_at == chore.done_at + timedelta(minutes=15)
    chores.plan()
    run_due("chore")
    assert len(runs) == 1
    make_due()
    run_due("chore")
    assert runs[1][1] == chore.done_at


def test_one_of_many_does_it() -> None:
    chores.plan()
    [held] = work.claim("chore", 10)
    assert work.claim("chore", 10) == []
    work.release([held])


def test_a_run_that_fails_is_tried_again_from_where_the_last_one_succeeded() -> None:
    chores.plan()
    run_due("chore")
    before = Chore.objects.get()
    faults.append(leases.StepFailed("no", retry_after_seconds=600))
    make_due()
    assert len(run_due("chore", failing=leases.StepFailed)) == 1
    failed = Chore.objects.get()
    assert (failed.done_at, failed.failures) == (before.done_at, 1)
    assert failed.due_at is not None
    assert 590 <= (failed.due_at - work.now()).total_seconds() <= 600
    make_due()
    run_due("chore")
    assert runs[-1][1] == before.done_at
    assert Chore.objects.get().failures == 0


def test_a_chore_that_is_not_configured_any_more_is_forgotten(settings: Any) -> None:
    chores.plan()
    settings.OFFLOAD_CHORES = {}
    run_due("chore")  # a worker that knows less than the clock
    assert runs == []
    assert Chore.objects.get().due_at is not None
    Chore.objects.update(done_at=work.now() - timedelta(hours=23))
    chores.plan()
    assert Chore.objects.exists()  # a newer release may do it
    Chore.objects.update(done_at=work.now() - timedelta(hours=25))
    chores.plan()
    assert not Chore.objects.exists()


def test_one_that_kills_its_process_is_left_alone_for_an_hour() -> None:
    chores.plan()
    Chore.objects.update(lost_leases=leases.HANDED_OVER_AT)
    run_due("chore")
    chore = Chore.objects.get()
    assert runs == []
    assert chore.due_at is not None
    assert 3590 <= (chore.due_at - work.now()).total_seconds() <= 3600


def test_the_clock_plans_them() -> None:
    clock.look(Complaints(clock.logger))
    assert Chore.objects.get().name == "sweep"


@pytest.mark.parametrize(("asked", "least", "most"), [(0.0, 60, 72), (30.0, 60, 72), (300.0, 300, 300)])
def test_a_failure_that_names_a_pause_is_given_it(asked: float, least: float, most: float) -> None:
    chores.plan()
    faults.append(leases.StepFailed("busy", retry_after_seconds=asked))
    run_due("chore", failing=leases.StepFailed)
    chore = Chore.objects.get()
    assert chore.retry_at is not None
    assert least - 1 <= (chore.retry_at - work.now()).total_seconds() <= most + 1
