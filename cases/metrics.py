"""What processes count as they work: counters and histograms, kept in files that all processes of a machine share.

The files are prometheus_client's ("multiprocess mode", https://prometheus.github.io/client_python/multiprocess/), one
set for each process, in OFFLOAD_METRICS_DIR. Whoever is asked for the figures adds them up: offload_project/metrics.py.
The library names the files after process ids and has the directory emptied before each start, since else they pile up.
Nobody could do that here, where web and workers start and end by themselves. So a process takes the lowest slot that no
living process holds, and goes on in its files: there are never more of them than processes that ran at once, and
counters go on over restarts. (The library leaves that to its users: `process_identifier`, upstream issue 509.)

Labels are few and our own words: never a client's text, an address, an id. Counting never fails a step.
"""

import fcntl
import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path

import prometheus_client
from django.conf import settings
from django.db import transaction
from prometheus_client import values
from prometheus_client.metrics import MetricWrapperBase

logger = logging.getLogger(__name__)

# Written out at once: on a full disk the first write to a hole in a mapped file would kill the process (SIGBUS).
FILE_BYTES = {"counter": 64 * 1024, "histogram": 256 * 1024}

SHORT = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds: of requests
LONG = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)  # of what others are asked for

defined: dict[str, MetricWrapperBase] = {}  # by the name under which it is exported
_counters: "list[Counter]" = []


# --- Slots ----------------------------------------------------------------------------------------


class Slot:
    """The number under which this process keeps its files; held by a lock that ends with the process, however it ends.

    A forked child gets one of its own when it first counts something.
    """

    def __init__(self) -> None:
        self._number = -1
        self._pid = -1
        self._lock: int | None = None

    def __call__(self) -> int:
        """The number. Raises OSError where the directory can't be written."""
        if self._pid != os.getpid():
            if self._lock is not None:  # inherited: the parent's, which keeps it by its own descriptor
                os.close(self._lock)
                self._lock = None
            self._number, self._lock = _take_slot(Path(settings.OFFLOAD_METRICS_DIR))
            self._pid = os.getpid()
        return self._number


def _take_slot(directory: Path) -> tuple[int, int]:
    """The lowest number that is free, and the descriptor that holds it."""
    directory.mkdir(parents=True, exist_ok=True)
    for number in count():
        lock = os.open(directory / f"{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        try:
            _write_out(directory, number)
        except BaseException:
            os.close(lock)
            raise
        return number, lock
    raise AssertionError("count() does not end")


def _write_out(directory: Path, number: int) -> None:
    for kind, size in FILE_BYTES.items():
        file = os.open(directory / f"{kind}_{number}.db", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(file).st_size == 0 and hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file, 0, size)
        finally:
            os.close(file)


# --- Counting -------------------------------------------------------------------------------------

_slot = Slot()
_start_lock = threading.Lock()
_is_started = False
_is_broken = False


def _count(act: Callable[[], object]) -> None:
    """Carry out one counting. Figures are not worth a mail: what goes wrong is logged once, and ends the counting here.

    A process that counts nothing has no slot: the library is told of ours before the first value.
    """
    global _is_started, _is_broken
    if _is_broken:
        return
    try:
        with _start_lock:
            if not _is_started:
                values.ValueClass = values.MultiProcessValue(_slot)  # type: ignore[no-untyped-call]
                _is_started = True
        act()
    except Exception:  # a full disk, a broken file
        _is_broken = True
        logger.exception("nothing more is counted in this process: %s", settings.OFFLOAD_METRICS_DIR)


class Counter:
    """A sum that only grows. Its name ends in `_total`.

    A first one, were it the first that Prometheus ever hears of, would be no increase to it. So what alerts look for
    (`expected`: labels) is told as nought before it has happened.
    """

    def __init__(
        self, name: str, meaning: str, labels: Sequence[str], *, expected: Iterable[Mapping[str, str]] = ()
    ) -> None:
        self._metric = prometheus_client.Counter(name, meaning, labels, registry=None)
        self._expected = list(expected)
        defined[name] = self._metric
        _counters.append(self)

    def show_noughts(self) -> None:
        """Have what is expected stand in the figures."""
        _count(lambda: [self._metric.labels(**labels) for labels in self._expected])

    def add(self, amount: float = 1.0, **labels: str) -> None:
        """Add to the sum with these labels."""
        _count(lambda: self._metric.labels(**labels).inc(amount))

    def add_after_commit(self, amount: float = 1.0, **labels: str) -> None:
        """Likewise, once the transaction has committed: what is rolled back has not happened."""
        transaction.on_commit(partial(self.add, amount, **labels), robust=True)


class Histogram:
    """How often something took how long, in seconds."""

    def __init__(self, name: str, meaning: str, labels: Sequence[str], buckets: Sequence[float] = LONG) -> None:
        self._metric = prometheus_client.Histogram(name, meaning, labels, registry=None, buckets=buckets)
        defined[name] = self._metric

    def note(self, seconds: float, **labels: str) -> None:
        """Note one that took so long."""
        _count(lambda: self._metric.labels(**labels).observe(max(0.0, seconds)))


# --- What this room counts ------------------------------------------------------------------------

STEPS = Histogram("offload_step_seconds", "Steps of work and how each ended", ("kind", "outcome"))
EVENTS = Counter(
    "offload_events_total",
    "What has happened to cases, as on their timelines",
    ("type",),
    expected=[{"type": f"case.{word}"} for word in ("created", "completed", "failed", "input_needed")],
)


def show_noughts() -> None:
    """Have this process tell of all that is expected; for whoever is asked for the figures."""
    for counter in _counters:
        counter.show_noughts()


def outcome_of(error: BaseException | None, names: Mapping[type[BaseException], str]) -> str:
    """How a step ended, in one word: `done`, `failed`, or what `names` calls an exception that is no failure."""
    if error is None:
        return "done"
    return next((word for kind, word in names.items() if isinstance(error, kind)), "failed")
