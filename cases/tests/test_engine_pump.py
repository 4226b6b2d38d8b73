"""What one run of the pump does: rules 6, 8 and 13 of the engine. Real threads on connections of their own."""

import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import OperationalError, connection
from django_q.conf import Conf
from pytest_django import Settings

from cases import leases, pump, width, work
from cases.correspondence import clear_schedule
from cases.factories import ClientFactory
from cases.models import Case, Status
from cases.tests.engine import (  # noqa: F401
    Bench,
    ago,
    bench_fixture,
    done,
    due_case,
    move,
    two_kinds_fixture,
    wait_for,
)

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("bench")]


@pytest.fixture
def pump_thread() -> Iterator[Any]:
    """Runs the pump in a thread; joined at the end."""
    threads = []

    def run(kind: str) -> threading.Thread:
        def target() -> None:
            try:
                work.run_pump(kind)
            finally:
                connection.close()

        threads.append(threading.Thread(target=target))
        threads[-1].start()
        return threads[-1]

    yield run
    for thread in threads:
        thread.join(timeout=30)
        assert not thread.is_alive()


class Gate:
    """Steps that wait until the test lets them go on; counts those inside."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.inside = 0
        self.most = 0
        self._lock = threading.Lock()

    def __call__(self, held: Any) -> None:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.opened.wait(timeout=20)
        with self._lock:
            self.inside -= 1
        done(held)


def slowly(held: Any) -> None:
    time.sleep(0.5)
    done(held)


@pytest.fixture
def gate(pump_thread: Any) -> Iterator[Gate]:
    """Opened at the end at the latest."""
    gate = Gate()
    yield gate
    gate.opened.set()


# --- Rule 6: bounded pumps ------------------------------------------------------------------------


def test_everything_that_is_due_is_advanced_once_and_given_back(bench: Bench) -> None:
    cases = [due_case() for _ in range(10)]
    work.run_pump("case")
    assert sorted(bench.begun) == sorted(case.pk for case in cases)
    assert set(Case.objects.values_list("lease_token", "lost_leases", "due_at")) == {(None, 0, None)}
    assert bench.rung == []


def test_rows_are_advanced_side_by_side(bench: Bench) -> None:
    together = threading.Barrier(4)

    def meet(held: Any) -> None:
        together.wait(timeout=10)
        done(held)

    bench.steps["case"] = meet
    for _ in range(4):
        due_case()
    work.run_pump("case")
    assert not together.broken


def test_no_row_of_a_claim_is_begun_before_all_have_their_threads(bench: Bench) -> None:
    threads: list[int] = []

    def count(held: Any) -> None:
        threads.append(sum(thread.name.startswith("step") for thread in threading.enumerate()))
        time.sleep(0.2)
        done(held)

    bench.steps["case"] = count
    for _ in range(6):
        due_case()
    work.run_pump("case")
    assert threads == [6] * 6


def test_no_more_rows_are_claimed_than_there_are_threads(
    bench: Bench, settings: Settings, pump_thread: Any, gate: Gate
) -> None:
    settings.OFFLOAD_CONCURRENCY = 3
    bench.steps["case"] = gate
    for _ in range(8):
        due_case()
    pump_thread("case")
    wait_for(lambda: gate.inside == 3)
    time.sleep(2 * pump.LOOK_SECONDS)  # it looks again, and must leave the rest to others
    assert Case.objects.filter(lease_token__isnull=False).count() == 3
    assert work.due("case").count() == 5
    gate.opened.set()
    wait_for(lambda: len(bench.begun) == 8)
    assert gate.most == 3


def test_a_pump_is_as_wide_as_helps(
    bench: Bench, pump_thread: Any, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow, noted = width.Width(2, 8), list[BaseException | None]()
    narrow.now = 2
    monkeypatch.setattr(narrow, "note", noted.append)
    monkeypatch.setattr(width, "of_process", lambda kinds: narrow)
    slow_down = TimeoutError("no answer")

    def fail_first(held: Any) -> None:
        gate(held)
        if held.pk == cases[0].pk:
            raise slow_down

    bench.steps["case"] = fail_first
    cases = [due_case(created_at=ago(minutes=60 - number)) for number in range(6)]
    pump_thread("case")
    wait_for(lambda: gate.inside == 2)
    time.sleep(2 * pump.LOOK_SECONDS)
    assert (gate.inside, work.due("case").count()) == (2, 4)
    narrow.now = 4  # it has learned better
    wait_for(lambda: gate.inside == 4)
    gate.opened.set()
    wait_for(lambda: len(noted) == 6)
    assert gate.most == 4
    assert [error for error in noted if error] == [slow_down]


def test_nothing_is_looked_for_while_every_thread_is_at_work(
    bench: Bench, settings: Settings, pump_thread: Any, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OFFLOAD_CONCURRENCY = 2
    bench.steps["case"] = gate
    for _ in range(4):
        due_case()
    pump_thread("case")
    wait_for(lambda: gate.inside == 2)
    looks: list[int] = []
    real_look = leases.kinds_with_due_rows

    def look() -> list[str]:
        looks.append(1)
        return real_look()

    monkeypatch.setattr(leases, "kinds_with_due_rows", look)
    time.sleep(3 * pump.LOOK_SECONDS)
    assert looks == []
    gate.opened.set()
    wait_for(lambda: len(bench.begun) == 4)
    assert looks


def test_a_pump_stops_claiming_and_rings_for_what_is_left(bench: Bench, settings: Settings) -> None:
    settings.OFFLOAD_CONCURRENCY, settings.OFFLOAD_CLAIM_SECONDS = 2, 0.5

    def slow(held: Any) -> None:
        time.sleep(0.2)
        done(held)

    bench.steps["case"] = slow
    for _ in range(30):
        due_case()
    began_at = time.monotonic()
    work.run_pump("case")
    assert 0.5 <= time.monotonic() - began_at < 3
    assert 2 <= len(bench.begun) < 30
    assert bench.rung == ["case"]
    pump.keeper.join()
    assert Case.objects.filter(lease_token__isnull=False).count() == 0


def test_a_slow_step_keeps_its_process_from_beginning_others_at_no_time(
    bench: Bench, settings: Settings, gate: Gate
) -> None:
    settings.OFFLOAD_CLAIM_SECONDS, settings.OFFLOAD_CONCURRENCY = 0.3, 4
    slow = due_case()
    bench.steps["case"] = lambda held: gate(held) if held.pk == slow.pk else done(held)
    for _ in range(3):  # the one worker process that there is, task by task
        quick = due_case()
        work.run_pump("case")
        assert quick.pk in bench.begun
        assert gate.inside == 1
    assert bench.begun.count(slow.pk) == 1
    assert list(Case.objects.filter(lease_token__isnull=False)) == [slow]
    gate.opened.set()
    wait_for(lambda: not Case.objects.filter(lease_token__isnull=False).exists())


def test_steps_that_have_outlived_their_pump_keep_their_leases(bench: Bench, settings: Settings, gate: Gate) -> None:
    settings.OFFLOAD_CLAIM_SECONDS, settings.OFFLOAD_RENEW_SECONDS = 0.2, 0.1
    bench.steps["case"] = gate
    slow = due_case()
    work.run_pump("case")
    until = Case.objects.get(pk=slow.pk).lease_until
    wait_for(lambda: Case.objects.get(pk=slow.pk).lease_until > until)
    gate.opened.set()


def test_steps_that_have_outlived_their_pump_take_threads_from_the_next(
    bench: Bench, settings: Settings, gate: Gate
) -> None:
    settings.OFFLOAD_CLAIM_SECONDS, settings.OFFLOAD_CONCURRENCY = 0.2, 3
    bench.steps["case"] = gate
    for number in range(1, 6):
        due_case()
        work.run_pump("case")
        assert gate.inside == min(number, 3)
    gate.opened.set()


def test_who_waits_for_a_step_that_has_outlived_its_pump_hears_of_its_end(
    bench: Bench, settings: Settings, gate: Gate
) -> None:
    settings.OFFLOAD_CLAIM_SECONDS = 0.2

    def again_and_again(held: Any) -> None:
        gate.opened.wait(timeout=20)  # and the row is due as before

    bench.steps["case"] = again_and_again
    due_case()
    work.run_pump("case")
    assert bench.rung == []
    gate.opened.set()
    pump.keeper.join()
    assert bench.rung == ["case"]


def test_a_step_beyond_its_deadline_does_not_outlive_its_pump(
    bench: Bench, settings: Settings, pump_thread: Any, gate: Gate
) -> None:
    settings.OFFLOAD_CLAIM_SECONDS, settings.OFFLOAD_STEP_SECONDS = 0.2, 0.1
    bench.steps["case"] = gate
    due_case()
    running = pump_thread("case")
    wait_for(lambda: gate.inside == 1)
    time.sleep(0.5)
    assert running.is_alive()  # until django-q2 replaces the process
    gate.opened.set()


def test_a_process_does_not_end_before_its_steps(bench: Bench, settings: Settings, gate: Gate) -> None:
    settings.OFFLOAD_CLAIM_SECONDS = 0.2
    bench.steps["case"] = gate
    due_case()
    work.run_pump("case")
    pump.stopping.set()
    [keeper] = [thread for thread in threading.enumerate() if thread.name == "keeper"]
    assert not keeper.daemon
    gate.opened.set()
    pump.keeper.join()
    assert Case.objects.filter(lease_token__isnull=False).count() == 0
    assert bench.rung == []


def test_rows_that_become_due_meanwhile_are_advanced_too(bench: Bench, pump_thread: Any, gate: Gate) -> None:
    first = due_case()
    bench.steps["case"] = lambda held: gate(held) if held.pk == first.pk else done(held)
    pump_thread("case")
    wait_for(lambda: gate.inside == 1)
    second = due_case()
    wait_for(lambda: second.pk in bench.begun)
    gate.opened.set()


def test_a_full_house_of_one_kind_does_not_keep_another_waiting(
    two_kinds: Bench,
    settings: Settings,
    pump_thread: Any,
    gate: Gate,
) -> None:
    settings.OFFLOAD_CONCURRENCY = 6
    two_kinds.steps["test_case"] = gate
    for _ in range(20):
        due_case(is_test=True)
    pump_thread("test_case")
    wait_for(lambda: gate.inside == 5)  # one thread is kept for the other kind
    late = due_case(is_test=False)
    wait_for(lambda: late.pk in two_kinds.begun)
    assert gate.inside == 5
    gate.opened.set()


def test_one_wake_up_serves_every_kind(two_kinds: Bench) -> None:
    cases = [due_case(is_test=True), due_case(is_test=False)]
    work.run_pump("live_case")
    assert set(two_kinds.begun) == {case.pk for case in cases}
    assert two_kinds.begun[0] == cases[1].pk  # the one that was woken goes first


def test_kinds_share_the_threads_that_nobody_needs(
    two_kinds: Bench,
    settings: Settings,
) -> None:
    settings.OFFLOAD_CONCURRENCY = 6
    assert pump.Pump("test_case")._room_for("test_case") == 5
    assert pump.Pump("test_case")._room_for("live_case") == 5


def test_clients_take_turns_in_a_pump_that_is_full(bench: Bench, settings: Settings) -> None:
    settings.OFFLOAD_CONCURRENCY = 2
    many, one = ClientFactory(), ClientFactory()
    for _ in range(10):
        due_case(client=many, created_at=ago(hours=1))
    last = due_case(client=one)
    work.run_pump("case")
    assert bench.begun.index(last.pk) <= 1


def test_the_cluster_is_left_no_retries_no_order_and_no_delay() -> None:
    wanted = {"timeout": 300, "retry": 360, "ack_failures": True, "max_attempts": 1, "save_limit": -1}
    assert {name: django_settings.Q_CLUSTER[name] for name in wanted} == wanted
    assert (Conf.TIMEOUT, Conf.RETRY, Conf.ACK_FAILURES, Conf.MAX_ATTEMPTS) == (300, 360, True, 1)
    assert (Conf.SCHEDULER, Conf.CATCH_UP) == (False, False)
    work_ends_by = django_settings.OFFLOAD_CLAIM_SECONDS + django_settings.OFFLOAD_STEP_SECONDS
    assert work_ends_by < Conf.TIMEOUT < Conf.RETRY


# --- Rule 8: rows that were lost too often run alone ----------------------------------------------


def test_rows_that_were_lost_thrice_run_alone(bench: Bench) -> None:
    suspects = {move(due_case(), lost_leases=3).pk for _ in range(2)}
    for _ in range(5):
        due_case()
    company = []

    def look(held: Any) -> None:
        if held.pk in suspects:
            time.sleep(2 * pump.LOOK_SECONDS)
            company.append(Case.objects.filter(lease_token__isnull=False).exclude(pk=held.pk).count())
        done(held)

    bench.steps["case"] = look
    work.run_pump("case")
    assert bench.rung == ["case"]  # one is left
    work.run_pump("case")
    assert company == [0, 0]
    assert len(bench.begun) == 7


def test_a_row_that_must_run_alone_waits_for_steps_that_have_outlived_their_pump(
    bench: Bench, settings: Settings, pump_thread: Any, gate: Gate
) -> None:
    settings.OFFLOAD_CLAIM_SECONDS = 0.3
    slow = due_case()
    bench.steps["case"] = lambda held: gate(held) if held.pk == slow.pk else done(held)
    work.run_pump("case")
    suspect = move(due_case(), lost_leases=3)
    running = pump_thread("case")
    time.sleep(0.8)
    assert running.is_alive()  # it begins nothing more, so that there is an end
    assert bench.begun == [slow.pk]
    gate.opened.set()
    running.join(timeout=10)
    assert bench.rung[-1] == "case"
    work.run_pump("case")
    assert bench.begun == [slow.pk, suspect.pk]


def test_it_does_not_wait_until_all_others_are_done(bench: Bench) -> None:
    for _ in range(5):
        due_case()
    suspect = move(due_case(), lost_leases=3)
    work.run_pump("case")
    assert bench.begun[0] == suspect.pk


def test_a_row_that_is_handed_over_is_not_begun(bench: Bench) -> None:
    case = move(due_case(), lost_leases=10)
    bench.steps["case"] = lambda held: pytest.fail("it was begun again")

    work.run_pump("case")
    assert [pk for pk, _ in bench.given_up] == [case.pk]
    assert Case.objects.get().lost_leases == 0


def test_a_step_that_fails_waits_and_the_others_go_on(bench: Bench) -> None:
    cases = [due_case() for _ in range(4)]

    def fail_one(held: Any) -> None:
        if held.pk == cases[1].pk:
            raise ValueError("no")
        done(held)

    bench.steps["case"] = fail_one
    work.run_pump("case")
    rows = {row.pk: row for row in Case.objects.all()}
    assert [rows[case.pk].failures for case in cases] == [0, 1, 0, 0]
    assert [rows[case.pk].due_at is None for case in cases] == [True, False, True, True]
    assert len(bench.begun) == 4


def test_a_decision_that_came_too_late_is_taken_anew(bench: Bench) -> None:
    due_case(status=Status.RUNNING, next_action_at=ago(hours=1))
    seen = []

    def decide(held: Any) -> None:
        seen.append(held.read().version)
        if len(seen) == 1:  # somebody is faster
            with work.transaction():
                case = Case.objects.locked(held.pk)
                case.touch()
                work.reschedule(case)
                case.save()
        with held.decide() as case:
            clear_schedule(case)

    bench.steps["case"] = decide
    work.run_pump("case")
    assert seen == [1, 2]
    row = Case.objects.get()
    assert (row.version, row.next_action_at, row.failures) == (3, None, 0)


def test_a_database_that_can_not_be_reached_for_a_moment_costs_only_that_moment(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.OFFLOAD_RENEW_SECONDS = 0.1
    real_claim, real_renew, outages = leases.claim, leases.renew, []

    def fails_once(real: Any) -> Any:
        def maybe(*args: Any, **options: Any) -> Any:
            if bench.begun and real not in outages:
                outages.append(real)
                raise OperationalError("server closed the connection unexpectedly")
            return real(*args, **options)

        return maybe

    monkeypatch.setattr(leases, "claim", fails_once(real_claim))
    monkeypatch.setattr(leases, "renew", fails_once(real_renew))
    bench.steps["case"] = slowly
    due_case()
    work.run_pump("case")
    assert outages
    assert Case.objects.filter(lease_token=None, lost_leases=0, due_at=None).count() == 1


# --- Rule 13: processes ---------------------------------------------------------------------------


def test_who_is_told_to_stop_claims_no_more_finishes_and_gives_back(bench: Bench, pump_thread: Any, gate: Gate) -> None:
    bench.steps["case"] = gate
    first = due_case()
    running = pump_thread("case")
    wait_for(lambda: gate.inside == 1)
    pump.stopping.set()
    due_case()
    time.sleep(2 * pump.LOOK_SECONDS)
    assert running.is_alive()
    gate.opened.set()
    running.join(timeout=10)
    assert bench.begun == [first.pk]
    assert Case.objects.filter(lease_token__isnull=False).count() == 0
    assert bench.rung == []


def test_all_workers_of_a_cluster_are_told_to_stop() -> None:
    waiting, telling = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # Python 3.12 warns of threads, of which there are none here
        worker = os.fork()
    if worker == 0:
        os.read(waiting, 1)
        os._exit(17 if pump.stopping.is_set() else 1)
    pump.stopping.set()  # after it was forked
    os.write(telling, b"!")
    assert os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) == 17
    os.close(waiting)
    os.close(telling)


def test_a_cluster_that_is_told_to_stop_tells_its_workers_first(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    seen = []
    cluster = SimpleNamespace(sig_handler=lambda number, frame: seen.append((number, pump.stopping.is_set())))
    try:
        work._stop_at_signals(cluster)
        signal.raise_signal(signal.SIGTERM)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert seen == [(signal.SIGTERM, True)]


def test_a_worker_that_starts_forgets_the_connections_of_its_parent_and_keeps_the_plans_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []  # not to the connection of this test, which is not inherited
    for name in ("forget_inherited_connections", "keep_plans"):
        monkeypatch.setattr(work, name, partial(done.append, name))
    work._prepare_worker()
    assert done == ["forget_inherited_connections", "keep_plans"]


def test_a_step_that_talks_holds_no_connection(bench: Bench, pump_thread: Any, settings: Settings, gate: Gate) -> None:
    settings.OFFLOAD_CONCURRENCY = 8
    held_connections = []

    def talk(held: Any) -> None:
        held.read()
        work.let_go_of_connection()
        held_connections.append(connection.connection)
        gate(held)

    bench.steps["case"] = talk
    for _ in range(8):
        due_case()
    pump_thread("case")
    wait_for(lambda: gate.inside == 8)
    in_use = connections_in_use()
    gate.opened.set()
    assert held_connections == [None] * 8
    assert in_use <= 2  # the pump's own and this test's


def connections_in_use() -> int:
    """How many connections of this process are out of PostgreSQL's pool; SQLite has none to count."""
    if connection.vendor != "postgresql":
        return 0
    stats = connection.pool.get_stats()  # type: ignore[attr-defined]
    return int(stats["pool_size"]) - int(stats["pool_available"])


def test_a_thread_closes_its_connection_after_a_step(bench: Bench) -> None:
    wrappers = []

    def step(held: Any) -> None:
        done(held)
        wrappers.append(connection._connections[connection._alias])  # type: ignore[attr-defined]
        assert wrappers[-1].connection is not None

    bench.steps["case"] = step
    due_case()
    work.run_pump("case")
    assert [wrapper.connection for wrapper in wrappers] == [None]


def test_a_pump_at_work_says_so(bench: Bench, settings: Settings) -> None:
    settings.OFFLOAD_RENEW_SECONDS = 0.1
    signs: list[float] = []
    bench.steps["case"] = slowly
    due_case()
    pump.Pump("case", on_life=lambda: signs.append(time.monotonic())).run()
    assert 3 <= len(signs) <= 7


def test_a_pump_that_finds_nothing_says_nothing() -> None:
    pump.Pump("case", on_life=lambda: pytest.fail("it is not busy")).run()
