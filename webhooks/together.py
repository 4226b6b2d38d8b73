"""Work that the threads of a process do together, so that one transaction serves many of them."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from cases.database import UNAVAILABLE

T = TypeVar("T")
R = TypeVar("R")

MOST_AT_ONCE = 100
JOIN_SECONDS = 0.005


class Together(Generic[T, R]):
    """`do`, which takes many at once, as a function of one for many threads.

    Whoever comes while nobody is at it does it, after a moment in which those that come at the same time can join; who
    comes later waits, and one of them then does it for all that wait. So under load each call serves many. `do` gives a
    result for each.

    What it raises is raised to whom it concerns: where the database is UNAVAILABLE that is everybody, after any other
    error each is tried alone.
    """

    def __init__(self, do: Callable[[Sequence[T]], Sequence[R]]) -> None:
        self._do = do
        self._waiting: list[_Entry[T, R]] = []
        self._is_led = False
        self._lock = threading.Lock()

    def __call__(self, item: T) -> R:
        """The result for this one, which is final: what `do` has committed is committed."""
        entry = _Entry[T, R](item)
        with self._lock:
            self._waiting.append(entry)
            leads, self._is_led = not self._is_led, True
        if not leads:
            entry.wait()
        if not entry.is_done:
            self._lead()
        return entry.result()

    def _lead(self) -> None:
        """Do it for those that wait, the caller first among them, and hand over to the next one."""
        time.sleep(JOIN_SECONDS)
        with self._lock:
            batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
        try:
            self._serve(batch)
        finally:
            with self._lock:
                successor = self._waiting[0] if self._waiting else None
                self._is_led = successor is not None
            for entry in batch[1:]:
                entry.wake()
            if successor:
                successor.wake()

    def _serve(self, batch: "list[_Entry[T, R]]") -> None:
        try:
            results = self._do([entry.item for entry in batch])
        except BaseException as error:  # noqa: BLE001 (whatever it is, it belongs to the threads that wait)
            if len(batch) == 1 or isinstance(error, UNAVAILABLE) or not isinstance(error, Exception):
                for entry in batch:
                    entry.error = error
            else:
                for entry in batch:
                    self._serve([entry])
        else:
            for entry, result in zip(batch, results, strict=True):
                entry.results.append(result)


class _Entry(Generic[T, R]):
    """One item, and the thread that waits for its result."""

    def __init__(self, item: T) -> None:
        self.item = item
        self.results: list[R] = []
        self.error: BaseException | None = None
        self._asleep = threading.Lock()
        self._asleep.acquire()

    @property
    def is_done(self) -> bool:
        return bool(self.results) or self.error is not None

    def result(self) -> R:
        if self.error is not None:
            raise self.error
        return self.results[0]

    def wait(self) -> None:
        self._asleep.acquire()

    def wake(self) -> None:
        self._asleep.release()
