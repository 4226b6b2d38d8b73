"""Keeps one django-q2 cluster running, and replaces it when it hangs. `manage.py worker` is this.

Each cluster is forked from this process, and is the leader of a process group: see cases/forks.py for why.

A cluster hangs for good when one of its processes is killed at the wrong moment: a lock of its queues then stays taken
(upstream issues 23 and 339), and neither its sentinel nor SIGTERM helps. So it is judged from outside by what only a
working one can do, carry out a wake-up from end to end (cases/work.py), and otherwise its whole process group is
killed. Nothing is lost by that: the rows it held are free when their leases end.
"""

import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections
from django.utils.module_loading import import_string

from cases import work
from cases.daemon import Complaints, Termination
from cases.forks import Fork, share_memory

logger = logging.getLogger(__name__)
Work = Callable[[], None] | Sequence[str]

START_SECONDS = 30.0  # a cluster that has not shown any life yet may take so much longer than another
PAUSE_SECONDS = (1.0, 30.0)  # first and longest pause before a cluster is started that never came to life
SWEEP_SECONDS = 3600.0  # how often the heartbeats of dead supervisors are looked for


class ProcessGroup:
    """Work in a session and process group of its own, so that all processes that it starts can be killed at once.

    The work is a command, or a function that a fork of this process calls; `options` are subprocess.Popen's.
    """

    def __init__(self, work: Work, **options: Any) -> None:
        self.leader: Fork | subprocess.Popen[bytes]
        if callable(work):
            self.leader = Fork(work)
        else:
            self.leader = subprocess.Popen(  # noqa: S603 (our own command)
                work, stdin=subprocess.DEVNULL, start_new_session=True, **options
            )
        self.id = self.leader.pid

    def has_exited(self) -> bool:
        """Whether its first process is gone; others of the group may be left."""
        return self.leader.poll() is not None

    def signal(self, number: int) -> bool:
        """Send a signal to every process of the group (0: to none); whether there was any."""
        try:
            os.killpg(self.id, number)
        except ProcessLookupError:
            return False
        return True

    def stop(self, seconds: float) -> None:
        """Ask it to finish what it does, and kill what has not within the time.

        SIGTERM goes to the leader only: django-q2's sentinel would die of it and leave its workers to themselves.
        """
        if not self.has_exited():
            self.leader.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.leader.wait(seconds)
        self.kill()

    def kill(self, patience_seconds: float = 10.0) -> None:
        """Kill every process of the group and wait until none runs any more."""
        deadline = time.monotonic() + patience_seconds
        while self.signal(signal.SIGKILL) and self.members() and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.01)
        self._reap()
        if left := self.members():
            logger.error("processes %s do not end %.0f s after SIGKILL", left, patience_seconds)

    def members(self) -> list[int]:
        """The ids of the processes of the group that run; those that are dead but not yet reaped do not."""
        if not self.signal(0):
            return []
        if not Path("/proc/self/stat").exists():  # not Linux: there whoever inherits the dead reaps them at once
            return [self.id]
        return [pid for pid, state, group in _processes() if group == self.id and state not in "ZX"]

    def _reap(self) -> None:
        self.leader.poll()
        with suppress(ChildProcessError):  # the leader's children are ours to reap where we are PID 1 of a container
            while os.waitpid(-self.id, os.WNOHANG) != (0, 0):
                pass


def _processes() -> Iterator[tuple[int, str, int]]:
    """Id, state and process group of each process; see proc_pid_stat(5)."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            pid, _, rest = path.read_text(errors="replace").partition(" ")
            state, _parent, group = rest.rpartition(")")[2].split()[:3]
            yield int(pid), state, int(group)


class Pulse:
    """Watches the heartbeat of one cluster.

    Silence is counted on this process's own clock, from the last change that was seen: so neither an outage of the
    database, during which nobody could write a heartbeat, nor a machine that slept is held against the cluster.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.last_finished, _ = work.heartbeat(name)
        self.has_beaten = False
        self.forgive()

    def look(self) -> None:
        """Read the heartbeat. Raises DatabaseError, and then nothing is known."""
        finished_at, is_busy = work.heartbeat(self.name)
        if finished_at != self.last_finished:
            self.last_finished, self.has_beaten = finished_at, True
            self.forgive()
        if is_busy:
            self.alive_at = time.monotonic()

    def forgive(self) -> None:
        """Count the silence from now."""
        self.alive_at = self.finishing_at = time.monotonic()

    def has_stopped(self) -> bool:
        """Whether the cluster hangs: neither is it busy, nor does it finish anything.

        Pumps at work may keep all workers from finishing anything for as long as they claim and a step lasts. A cluster
        that finishes nothing for longer hangs, however busy its pumps say they are: nobody acknowledges what they do.
        """
        patience: float = settings.OFFLOAD_STALL_SECONDS + (0 if self.has_beaten else START_SECONDS)
        at, at_work = time.monotonic(), settings.OFFLOAD_CLAIM_SECONDS + settings.OFFLOAD_STEP_SECONDS
        return at - self.alive_at > patience or at - self.finishing_at > patience + at_work


class Supervisor:
    """Runs clusters one after the other until `termination`; `cluster` is the work of one that beats under `name`."""

    def __init__(self, name: str, cluster: Work, termination: Termination) -> None:
        self.name = name
        self.cluster = cluster
        self.termination = termination
        self.complaints = Complaints(logger)
        self.look_seconds = min(1.0, settings.OFFLOAD_STALL_SECONDS / 5)
        self._sweep_at = 0.0

    def run(self) -> None:
        """Returns when told to stop, with no process of a cluster left."""
        pause = 0.0
        while not self.termination.wait(pause):
            came_to_life = self._run_one()
            first, longest = PAUSE_SECONDS
            pause = 0.0 if came_to_life else min(max(first, 2 * pause), longest)
        self._forget()

    def _run_one(self) -> bool:
        """Run one cluster to its end; whether it ever came to life."""
        try:
            work.register_cluster(self.name)
            pulse = Pulse(self.name)
        except DatabaseError as error:
            self.complaints.about("the database can't be reached, no cluster is started", error)
            return False
        finally:
            close_old_connections()
        cluster = ProcessGroup(self.cluster)
        try:
            if self._watch(cluster, pulse):
                logger.info("cluster %s is told to stop", self.name)
                cluster.stop(settings.OFFLOAD_STEP_SECONDS + 5)
        finally:
            cluster.kill()
        return pulse.has_beaten

    def _watch(self, cluster: ProcessGroup, pulse: Pulse) -> bool:
        """Wait until the cluster exits or hangs, or for the word to stop; whether it was that."""
        while not self.termination.wait(self.look_seconds):
            if cluster.has_exited():
                logger.error("cluster %s has exited with status %s", self.name, cluster.leader.returncode)
                return False
            if self._hangs(pulse):
                logger.error("cluster %s shows no sign of life: it is killed and replaced", self.name)
                return False
        return True

    def _hangs(self, pulse: Pulse) -> bool:
        try:
            pulse.look()
            self._sweep()
        except DatabaseError as error:
            self.complaints.about("the heartbeat can't be read", error)
            pulse.forgive()
            return False
        finally:
            close_old_connections()
        self.complaints.are_over()
        return pulse.has_stopped()

    def _sweep(self) -> None:
        if time.monotonic() >= self._sweep_at:
            self._sweep_at = time.monotonic() + SWEEP_SECONDS
            work.forget_old_clusters()

    def _forget(self) -> None:
        try:
            work.forget_cluster(self.name)
        except DatabaseError as error:
            self.complaints.about("the heartbeat can't be removed", error)


def run(termination: Termination) -> None:
    """Supervise clusters of this installation until told to stop."""
    for module in settings.OFFLOAD_SHARED_MODULES:
        import_module(module)
    share_memory()
    import_string(settings.OFFLOAD_METRICS_DOOR)()
    name = f"{socket.gethostname()[:80]}:{os.getpid()}"
    Supervisor(name, partial(work.run_cluster, name, os.getpid()), termination).run()
