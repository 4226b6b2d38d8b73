"""The processes that run for ever: the supervisor of a cluster, and the clock."""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError
from django_q.brokers import get_broker
from django_q.models import OrmQ
from django_q.signing import SignedPackage
from pytest_django import Settings

from cases import daemon, database, supervisor, work
from cases.daemon import Complaints, Termination
from cases.management.commands import clock
from cases.models import Heartbeat, Role
from cases.supervisor import ProcessGroup, Pulse, Supervisor
from cases.tests.engine import ago, ahead, wait_for

pytestmark = [pytest.mark.engine, pytest.mark.django_db]


class Script(Termination):
    """Told to stop not by a signal, but at the n-th wait or when a condition comes true. Does not really wait."""

    def __init__(self, waits: int = 1000, until: Callable[[], Any] = lambda: False, pause: float = 0.0) -> None:
        self.requested = False
        self.waits: list[float] = []
        self.at_most = waits
        self.until = until
        self.pause = pause

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        time.sleep(self.pause)
        self.requested = self.requested or len(self.waits) >= self.at_most or bool(self.until())
        return self.requested


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The supervisor's own clock; `at.seconds` moves it."""
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(supervisor, "time", SimpleNamespace(monotonic=lambda: now.seconds, sleep=time.sleep))
    return now


@pytest.fixture
def pulse(at: SimpleNamespace, settings: Settings) -> Pulse:
    """Of a cluster that has beaten just now."""
    settings.OFFLOAD_STALL_SECONDS = 15.0
    settings.OFFLOAD_CLAIM_SECONDS, settings.OFFLOAD_STEP_SECONDS = 20.0, 120.0
    work.register_cluster("here:1")
    pulse = Pulse("here:1")
    beat(pulse)
    return pulse


def beat(pulse: Pulse) -> None:
    beating = Heartbeat.objects.get(name=pulse.name)
    Heartbeat.objects.filter(name=pulse.name).update(finished_at=beating.finished_at + timedelta(seconds=1))
    pulse.look()


def has_stopped(pulse: Pulse) -> bool:
    pulse.look()
    return pulse.has_stopped()


# --- Judging a cluster ----------------------------------------------------------------------------


def test_a_cluster_that_finishes_nothing_hangs(pulse: Pulse, at: SimpleNamespace) -> None:
    at.seconds += 14.9
    assert not has_stopped(pulse)
    at.seconds += 0.2
    assert has_stopped(pulse)


def test_each_beat_is_a_sign_of_life(pulse: Pulse, at: SimpleNamespace) -> None:
    for _ in range(10):
        at.seconds += 14
        beat(pulse)
        assert not has_stopped(pulse)


def test_a_new_cluster_may_take_longer(at: SimpleNamespace, settings: Settings) -> None:
    settings.OFFLOAD_STALL_SECONDS = 15.0
    work.register_cluster("here:1")
    pulse = Pulse("here:1")
    at.seconds += 44
    assert not has_stopped(pulse)
    at.seconds += 2
    assert has_stopped(pulse)


def test_a_busy_cluster_does_not_hang(pulse: Pulse, at: SimpleNamespace) -> None:
    Heartbeat.objects.update(busy_until=ahead(seconds=60))
    for _ in range(10):
        at.seconds += 14
        assert not has_stopped(pulse)


def test_who_was_busy_may_be_silent_for_as_long_as_others(pulse: Pulse, at: SimpleNamespace) -> None:
    Heartbeat.objects.update(busy_until=ahead(seconds=60))
    at.seconds += 100
    assert not has_stopped(pulse)
    Heartbeat.objects.update(busy_until=ago(seconds=1))
    at.seconds += 14
    assert not has_stopped(pulse)
    at.seconds += 2
    assert has_stopped(pulse)


def test_a_dead_monitor_can_not_hide_behind_a_busy_pump_for_ever(pulse: Pulse, at: SimpleNamespace) -> None:
    Heartbeat.objects.update(busy_until=ahead(seconds=600))
    for _ in range(155):
        at.seconds += 1
        assert not has_stopped(pulse)
    at.seconds += 1
    assert has_stopped(pulse)


def test_neither_a_wrong_clock_nor_an_outage_is_held_against_it(pulse: Pulse, at: SimpleNamespace) -> None:
    Heartbeat.objects.update(finished_at=ago(hours=3))
    assert not has_stopped(pulse)
    at.seconds += 100
    pulse.forgive()
    assert not has_stopped(pulse)


def test_a_heartbeat_that_somebody_removed_is_opened_anew(pulse: Pulse) -> None:
    Heartbeat.objects.all().delete()
    assert not has_stopped(pulse)
    assert Heartbeat.objects.count() == 1


# --- The heartbeat --------------------------------------------------------------------------------


@pytest.fixture
def in_cluster(monkeypatch: pytest.MonkeyPatch) -> Heartbeat:
    """This process belongs to a cluster whose heartbeat is an hour old."""
    monkeypatch.setattr(work, "_cluster_name", "here:1")
    monkeypatch.setattr(work, "_last_beat", 0.0)
    work.register_cluster("here:1")
    Heartbeat.objects.update(finished_at=ago(hours=1))
    return Heartbeat.objects.get()


def test_a_finished_wake_up_renews_it(in_cluster: Heartbeat) -> None:
    work._say_finished()
    in_cluster.refresh_from_db()
    assert abs(in_cluster.finished_at - database.now()) < timedelta(seconds=5)


def test_many_wake_ups_renew_it_once(in_cluster: Heartbeat) -> None:
    work._say_finished()
    Heartbeat.objects.update(finished_at=in_cluster.finished_at)
    work._say_finished()
    assert Heartbeat.objects.get().finished_at == in_cluster.finished_at


def test_a_pump_says_that_it_is_busy_until_after_its_next_sign(in_cluster: Heartbeat, settings: Settings) -> None:
    settings.OFFLOAD_RENEW_SECONDS = 10.0
    work._say_busy()
    in_cluster.refresh_from_db()
    assert in_cluster.busy_until is not None
    assert ahead(seconds=11) < in_cluster.busy_until < ahead(seconds=16)
    assert work.heartbeat("here:1") == (in_cluster.finished_at, True)


def test_a_heartbeat_that_can_not_be_written_kills_nobody(
    in_cluster: Heartbeat, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(work, "transaction", refuse)
    work._say_finished()
    work._say_busy()


def test_outside_a_cluster_nobody_beats() -> None:
    work._say_finished()
    work._say_busy()
    work.beat()
    assert not Heartbeat.objects.exists()


def test_the_heartbeats_of_dead_supervisors_are_kept_for_a_day() -> None:
    for name, hours in (("alive", 0), ("dead", 23), ("long dead", 25)):
        work.register_cluster(name)
        Heartbeat.objects.filter(name=name).update(finished_at=ago(hours=hours))
    work.forget_old_clusters()
    assert set(Heartbeat.objects.values_list("name", flat=True)) == {"alive", "dead"}


def test_a_cluster_beats_by_itself_and_not_through_the_queue(settings: Settings) -> None:
    settings.OFFLOAD_STALL_SECONDS = 0.4
    broker = work._with_beats(get_broker())
    ((ack_id, package),) = broker.dequeue()
    assert ack_id is None  # nobody has to acknowledge it
    assert SignedPackage.loads(package)["func"] == "cases.work.beat"
    assert OrmQ.objects.count() == 0
    assert broker.dequeue() is None  # too early for the next
    time.sleep(0.1)
    assert broker.dequeue() is not None


def test_wake_ups_get_through_between_beats() -> None:
    broker = work._with_beats(get_broker())
    broker.dequeue()
    pk = broker.enqueue("package")
    OrmQ.objects.update(lock=ago(seconds=1))
    assert broker.dequeue() == [(pk, "package")]


# --- A group of processes -------------------------------------------------------------------------

# The first process exits at SIGTERM, as a cluster does; its child, which does not, notes it down.
FAMILY = """
import os, signal, sys, time
if os.fork() == 0:
    signal.signal(signal.SIGTERM, lambda *_: open(sys.argv[1], "w").close())
    time.sleep(600)
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.2), sys.exit(0)))
open(sys.argv[1] + ".ready", "w").close()
time.sleep(600)
"""


@pytest.fixture
def family(tmp_path: Any) -> Iterator[ProcessGroup]:
    script = tmp_path / "family.py"
    script.write_text(FAMILY)
    group = ProcessGroup([sys.executable, str(script), str(tmp_path / "told")])
    wait_for((tmp_path / "told.ready").exists)
    time.sleep(0.2)  # for the child to set its handlers
    yield group
    group.kill()


def test_no_process_of_a_killed_group_is_left(family: ProcessGroup) -> None:
    assert len(family.members()) == 2
    family.kill()
    assert family.members() == []
    assert family.has_exited()


def test_a_group_whose_leader_is_gone_is_killed_too(family: ProcessGroup) -> None:
    os.kill(family.id, signal.SIGKILL)
    wait_for(family.has_exited)
    assert len(family.members()) == 1  # the child is left
    family.kill()
    assert family.members() == []


def test_a_group_is_asked_to_finish_before_it_is_killed(family: ProcessGroup, tmp_path: Any) -> None:
    family.stop(seconds=5)
    assert family.leader.returncode == 0
    assert not (tmp_path / "told").exists()  # SIGTERM is for the first process, which knows how to stop the others
    assert family.members() == []


def test_a_group_that_does_not_finish_is_killed(tmp_path: Any) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); "
    group = ProcessGroup([sys.executable, "-c", f"{deaf} open({str(tmp_path / 'up')!r}, 'w'); time.sleep(600)"])
    wait_for((tmp_path / "up").exists)
    began_at = time.monotonic()
    group.stop(seconds=0.3)
    assert time.monotonic() - began_at < 10
    assert group.leader.returncode == -signal.SIGKILL
    assert group.members() == []


def test_a_group_is_not_signalled_with_its_parent(family: ProcessGroup) -> None:
    assert os.getpgid(family.id) == family.id != os.getpgrp()


# --- Supervising ----------------------------------------------------------------------------------


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ProcessGroup]]:
    """The groups that a supervisor starts; none is left at the end."""
    groups: list[ProcessGroup] = []

    def start(command: list[str]) -> ProcessGroup:
        groups.append(ProcessGroup(command))
        return groups[-1]

    monkeypatch.setattr(supervisor, "ProcessGroup", start)
    monkeypatch.setattr(supervisor, "PAUSE_SECONDS", (0.01, 0.04))
    monkeypatch.setattr(supervisor, "close_old_connections", lambda: None)
    yield groups
    assert not any(group.members() for group in groups)


SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


def test_a_cluster_that_hangs_is_replaced(
    started: list[ProcessGroup], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OFFLOAD_STALL_SECONDS = 0.2
    monkeypatch.setattr(supervisor, "START_SECONDS", 0.1)
    Supervisor("here:1", SLEEP, Script(until=lambda: len(started) == 3, pause=0.02)).run()
    assert len(started) == 3
    assert started[0].leader.returncode == -signal.SIGKILL
    assert not Heartbeat.objects.exists()


def test_a_cluster_that_exits_is_replaced_after_a_growing_pause(started: list[ProcessGroup]) -> None:
    termination = Script(until=lambda: len(started) == 5, pause=0.05)
    looker = Supervisor("here:1", [sys.executable, "-c", "raise SystemExit(3)"], termination)
    looker.look_seconds = 0.5
    looker.run()
    pauses = [seconds for seconds in termination.waits if seconds != 0.5]
    assert pauses[:5] == [0.0, 0.01, 0.02, 0.04, 0.04]
    assert started[0].leader.returncode == 3


def test_an_outage_of_the_database_kills_no_cluster(
    started: list[ProcessGroup], settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings.OFFLOAD_STALL_SECONDS = 0.1
    monkeypatch.setattr(supervisor, "START_SECONDS", 0.1)
    real, looks = work.heartbeat, []

    def fail_for_a_while(name: str) -> Any:
        looks.append(name)
        if 1 < len(looks) < 20:
            raise OperationalError("connection refused")
        Heartbeat.objects.update(finished_at=ago(seconds=-len(looks)))  # it beats whenever it can
        return real(name)

    monkeypatch.setattr(work, "heartbeat", fail_for_a_while)
    Supervisor("here:1", SLEEP, Script(until=lambda: len(looks) == 25, pause=0.05)).run()
    assert len(started) == 1
    complaints = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert complaints == ["the heartbeat can't be read: OperationalError: connection refused"]
    assert any(record.message.startswith("works again") for record in caplog.records)


def test_no_cluster_is_started_without_the_database(
    started: list[ProcessGroup], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(work, "register_cluster", refuse)
    termination = Script(waits=4)
    Supervisor("here:1", SLEEP, termination).run()
    assert started == []
    assert termination.waits == [0.0, 0.01, 0.02, 0.04]


def test_who_supervises_removes_old_heartbeats(started: list[ProcessGroup]) -> None:
    work.register_cluster("long dead")
    Heartbeat.objects.update(finished_at=ago(hours=25))
    Supervisor("here:1", SLEEP, Script(waits=4)).run()
    assert not Heartbeat.objects.exists()


# --- Being told to stop ---------------------------------------------------------------------------


@pytest.fixture
def termination() -> Iterator[Termination]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield Termination()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_wait(termination: Termination, number: int) -> None:
    timer = threading.Timer(0.2, os.kill, (os.getpid(), number))
    timer.start()
    began_at = time.monotonic()
    assert termination.wait(30)
    assert time.monotonic() - began_at < 5
    assert termination.requested
    assert termination.wait(30)  # and all later ones
    timer.join()


def test_without_a_signal_the_whole_time_is_waited(termination: Termination) -> None:
    began_at = time.monotonic()
    assert not termination.wait(0.1)
    assert time.monotonic() - began_at >= 0.1


def test_what_lasts_is_not_logged_every_second(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(daemon, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    complaints = Complaints(logging.getLogger("test"))
    with caplog.at_level(logging.INFO):
        for _ in range(121):
            complaints.about("can't look", OSError("refused"))
            now.seconds += 1
        complaints.about("can't look", OSError("something else"))
        complaints.are_over()
        complaints.are_over()
    assert [record.message for record in caplog.records] == [
        *["can't look: OSError: refused"] * 3,
        "can't look: OSError: something else",
        "works again; before: can't look: OSError: something else",
    ]


# --- The clock ------------------------------------------------------------------------------------


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When the clock looked, on a clock of the test's own; each look takes 0.25 s."""
    now, seen = SimpleNamespace(seconds=100.0), []

    def look(complaints: Complaints, beat: Any) -> None:
        seen.append(now.seconds)
        now.seconds += 0.25

    def wait(self: Script, seconds: float) -> bool:
        now.seconds += seconds
        self.waits.append(seconds)
        self.requested = len(self.waits) >= self.at_most
        return self.requested

    monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    monkeypatch.setattr(clock, "look", look)
    monkeypatch.setattr(Script, "wait", wait)
    return seen


def test_the_clock_does_not_drift(looks: list[float]) -> None:
    clock.run(Script(waits=5), 1.0)
    assert looks == [100.0, 101.0, 102.0, 103.0, 104.0]


def test_looks_that_were_missed_are_not_made_up_for(looks: list[float]) -> None:
    clock.run(Script(waits=4), 0.2)
    assert looks == pytest.approx([100.0, 100.4, 100.8, 101.2])


def test_the_clock_survives_whatever_fails(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    errors: list[Exception | None] = [OperationalError("no database"), ConnectionError("no broker"), None]

    def look() -> None:
        error = errors.pop(0)
        if error:
            raise error

    monkeypatch.setattr(work, "wake_for_due_rows", look)
    monkeypatch.setattr(clock, "close_old_connections", lambda: None)
    clock.run(Script(waits=3), 0.001)
    assert errors == []
    assert [record.levelname for record in caplog.records if record.name == clock.__name__][:2] == ["ERROR", "ERROR"]


def test_the_clock_command_ends_when_told_to(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    settings.OFFLOAD_CLOCK_SECONDS = 0.01
    monkeypatch.setattr(clock, "Termination", lambda: Script(waits=2))
    monkeypatch.setattr(clock, "look", lambda complaints, beat: None)
    call_command("clock")


def test_the_clock_shows_signs_of_life_until_it_is_told_to_stop(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.OFFLOAD_CLOCK_SECONDS = 0.01
    seen: list[str] = []
    script = Script(waits=3, until=lambda: seen.extend(Heartbeat.objects.values_list("role", flat=True)))
    monkeypatch.setattr(clock, "Termination", lambda: script)
    monkeypatch.setattr(clock, "close_old_connections", lambda: None)
    call_command("clock")
    assert seen == ["clock"] * 2  # at the third wait it is told to stop
    assert not Heartbeat.objects.exists()


def test_a_clock_writes_its_heartbeat_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    beat, now = clock.Beat(), SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    beat()
    Heartbeat.objects.update(finished_at=ago(hours=1))
    beat()
    assert not Heartbeat.objects.alive(Role.CLOCK).exists()
    now.seconds += clock.BEAT_SECONDS
    beat()
    assert Heartbeat.objects.alive(Role.CLOCK).count() == 1
    assert not Heartbeat.objects.alive(Role.WORKER).exists()


def test_a_clock_that_finds_no_database_shows_no_life(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_database() -> None:
        raise OperationalError("no database")

    monkeypatch.setattr(work, "wake_for_due_rows", no_database)
    monkeypatch.setattr(clock, "close_old_connections", lambda: None)
    clock.run(Script(waits=2), 0.001, clock.Beat())
    assert not Heartbeat.objects.exists()
