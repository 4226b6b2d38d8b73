"""The bell: rule 7 of the engine."""

import time
import uuid
from typing import Any

import pytest
from django.db import transaction
from django_q.models import OrmQ
from django_q.tasks import async_task
from pytest_django import Settings

from cases import pump, services, work
from cases.factories import ApiKeyFactory, CaseFactory
from cases.models import Case, Status
from cases.tests.engine import Bench, ago, ahead, bench_fixture, due_case, move, two_kinds_fixture  # noqa: F401

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]

POSTED: dict[str, Any] = {
    "channel": "EMAIL",
    "goal": {"objective": "Ask."},
    "counterparty": {"address": "ann@supplier.example", "name": "Ann"},
    "sender_persona": {"name": "Bob"},
}


class Undone(Exception):
    """What happens in the middle of a transaction."""


def touch(case: Case) -> None:
    """A change that leaves the case due."""
    locked = Case.objects.locked(case.pk)
    locked.touch()
    work.reschedule(locked)
    locked.save()


def test_the_bell_rings_after_the_commit_and_not_before(bench: Bench) -> None:
    case = due_case()
    with work.transaction():
        touch(case)
        assert bench.rung == []
    assert bench.rung == ["case"]


def test_it_does_not_ring_for_what_was_undone(bench: Bench) -> None:
    case = due_case()

    def undo() -> None:
        with work.transaction():
            touch(case)
            raise Undone

    with pytest.raises(Undone):
        undo()
    assert bench.rung == []
    assert Case.objects.get().version == 1


def test_it_rings_once_the_outermost_transaction_has_committed(bench: Bench) -> None:
    case = due_case()
    with transaction.atomic():
        with work.transaction():
            touch(case)
        assert bench.rung == []
    assert bench.rung == ["case"]


def test_a_new_case_rings(bench: Bench) -> None:
    services.create_case(ApiKeyFactory(is_test=True), **POSTED)
    assert bench.rung == ["case"]


@pytest.mark.parametrize("status", [Status.RUNNING, Status.COMPLETED])
def test_a_change_that_leaves_nothing_to_do_does_not_ring(bench: Bench, status: Status) -> None:
    with work.transaction():
        touch(CaseFactory(status=status))
    assert bench.rung == []


def test_each_kind_has_its_own_bell(two_kinds: Bench) -> None:
    work.wake("test_case")
    work.wake("live_case")
    assert two_kinds.rung == ["test_case", "live_case"]


def test_many_at_once_ring_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "WAKE_SECONDS", 5.0)
    case = due_case()
    for _ in range(20):
        with work.transaction():
            touch(case)
    assert bench.rung == ["case"]


def test_later_ones_ring_again(bench: Bench) -> None:
    work.wake("case")
    time.sleep(work.WAKE_SECONDS * 1.5)
    work.wake("case")
    assert bench.rung == ["case", "case"]


def test_a_pump_at_work_needs_no_bell(bench: Bench) -> None:
    pump._at_work.set()
    try:
        work.wake("case")
        assert bench.rung == []
        pump.stopping.set()  # it looks no more
        work.wake("case")
        assert bench.rung == ["case"]
    finally:
        pump._at_work.clear()


def test_a_broker_that_fails_undoes_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(task: str, **_: Any) -> None:
        raise ConnectionError("no broker")

    monkeypatch.setattr(work, "async_task", refuse)
    case = services.create_case(ApiKeyFactory(is_test=True), **POSTED)
    assert case in work.due("case")


# --- The clock's look -----------------------------------------------------------------------------


def test_the_clock_rings_for_what_is_due(bench: Bench) -> None:
    due_case()
    work.wake_for_due_rows()
    assert bench.rung == ["case"]


def test_the_clock_rings_for_a_row_whose_holder_is_gone(bench: Bench) -> None:
    move(due_case(), lease_until=ago(seconds=1), lease_token=uuid.uuid4())
    work.wake_for_due_rows()
    assert bench.rung == ["case"]


def test_the_clock_rings_for_the_kinds_that_need_it(two_kinds: Bench) -> None:
    due_case(is_test=False)
    work.wake_for_due_rows()
    assert two_kinds.rung == ["live_case"]


@pytest.mark.parametrize(
    "fields",
    [
        {"lease_until": ahead, "lease_token": uuid.uuid4()},
        {"due_at": ahead},
        {"due_at": None},
        {"status": Status.COMPLETED, "result_status": "goal_achieved", "due_at": None},
    ],
    ids=["held", "not yet", "nothing to do", "ended"],
)
def test_the_clock_is_silent_where_there_is_nothing_to_claim(bench: Bench, fields: dict[str, Any]) -> None:
    move(due_case(), **{name: ahead(seconds=9) if value is ahead else value for name, value in fields.items()})
    work.wake_for_due_rows()
    assert bench.rung == []


@pytest.mark.parametrize(("waiting", "rings"), [(4, True), (5, False)])
def test_the_clock_is_silent_while_the_queue_is_long(
    bench: Bench, settings: Settings, waiting: int, rings: bool
) -> None:
    settings.OFFLOAD_WORKERS = 2
    due_case()
    for _ in range(waiting):
        async_task("cases.work.beat")
    work.wake_for_due_rows()
    assert bench.rung == (["case"] if rings else [])


def test_wake_ups_that_somebody_has_taken_do_not_make_the_queue_long(bench: Bench) -> None:
    due_case()
    for _ in range(9):
        async_task("cases.work.beat")
    OrmQ.objects.update(lock=ahead(seconds=300))  # taken, and perhaps lost with who took them
    work.wake_for_due_rows()
    assert bench.rung == ["case"]
