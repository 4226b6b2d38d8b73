"""Processes that a benchmark starts, and the memory of each with all that descend from it."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.ground import ROOT

PATIENCE_SECONDS = 300  # a machine may have much else to do


@contextmanager
def process(*command: str) -> Iterator[int]:
    """A `manage.py` command that runs for as long as the block; gives its process id."""
    with running(sys.executable, str(ROOT / "manage.py"), *command) as pid:
        yield pid


@contextmanager
def running(*command: str) -> Iterator[int]:
    """A command that runs for as long as the block, in the root of the project; gives its process id."""
    started = subprocess.Popen(command, cwd=ROOT)
    try:
        yield started.pid
    finally:
        started.terminate()
        try:
            started.wait(timeout=30)
        except subprocess.TimeoutExpired:
            started.kill()


def wait_for_worker() -> None:
    from cases.models import Heartbeat

    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        beating = Heartbeat.objects.filter(role="worker").first()
        if beating and beating.finished_at > beating.started_at:
            return
        time.sleep(0.1)
    raise SystemExit("the worker did not start")


def tree(pid: int) -> list[int]:
    """The process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def memory_mb(pid: int) -> float:
    """Proportional set size of the whole tree: shared pages count once."""
    total = 0
    for member in tree(pid):
        try:
            lines = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def peak_memory(pid: int, until: threading.Event) -> float:
    """The most that it takes until then, in MB, looked at twice a second."""
    peak = memory_mb(pid)
    while not until.wait(0.5):
        peak = max(peak, memory_mb(pid))
    return peak


@contextmanager
def watched(pid: int) -> Iterator[list[float]]:
    """Holds the memory's peak in MB, in a list of one, once the block has ended."""
    done, peak = threading.Event(), list[float]()
    watcher = threading.Thread(target=lambda: peak.append(peak_memory(pid, done)))
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()
