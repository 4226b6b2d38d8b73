"""How many rows a pump advances side by side: as many as it may, and fewer where more would help nobody.

Additive increase, multiplicative decrease, as TCP does it (RFC 5681): each INTERVAL_SECONDS

- three quarters as many, where the process has used up a processor (steps that compute do so one at a time under
  Python's lock; more of them only end later, and hold more memory and leases meanwhile);
- half as many, where a quarter or more of the steps that ended were turned away or timed out: others can't keep up;
- an eighth of the most more, where all were in use: the steps wait for the network, and so does what is due.

It begins with the most, and is kept from run to run of a process's pumps. Not seen: processors that other processes
use up, and other services that answer late but in time.
"""

import time
from collections.abc import Callable, Iterator
from functools import cache

from django.conf import settings

from cases.leases import StepFailed

INTERVAL_SECONDS = 5.0
BUSY = 0.9  # of one processor
TURNED_AWAY = 0.25  # of the steps that ended, and at least two
# What libraries call it; there is no class that all of their errors share.
WORDS = ("Timeout", "RateLimit", "TooManyRequests")


class Width:
    """The number, and what it follows from. For one thread."""

    def __init__(
        self,
        least: int,
        most: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        processor: Callable[[], float] = time.process_time,
    ) -> None:
        self.least, self.most, self.now = least, most, most
        self._clock, self._processor = clock, processor
        self._begin()

    def _begin(self) -> None:
        self._since, self._used_since = self._clock(), self._processor()
        self._ended = self._turned_away = 0
        self._was_full = False

    def note(self, error: BaseException | None) -> None:
        """A step has ended."""
        self._ended += 1
        self._turned_away += error is not None and is_turned_away(error)

    def adapt(self, in_use: int) -> None:
        """Draw conclusions, if it is time to. A pause between two pumps says nothing about either."""
        self._was_full |= in_use >= self.now
        passed = self._clock() - self._since
        if passed < INTERVAL_SECONDS:
            return
        if passed < 2 * INTERVAL_SECONDS:
            self.now = self._better((self._processor() - self._used_since) / passed)
        self._begin()

    def _better(self, busy: float) -> int:
        if self._turned_away >= max(2, TURNED_AWAY * self._ended):
            return max(self.least, self.now // 2)
        if busy >= BUSY:
            return max(self.least, self.now * 3 // 4)
        if self._was_full:
            return min(self.most, self.now + max(1, self.most // 8))
        return self.now


def is_turned_away(error: BaseException) -> bool:
    """Whether another service asked us to come later, or did not answer in time."""
    asked_to_wait = isinstance(error, StepFailed) and error.retry_after_seconds > 0
    return asked_to_wait or any(
        isinstance(each, TimeoutError) or any(word in type(each).__name__ for word in WORDS) for each in _causes(error)
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def of_process(kinds: int) -> Width:
    """The width of this process's pumps, which have a thread for each kind at least."""
    most = max(settings.OFFLOAD_CONCURRENCY, kinds)
    least = settings.OFFLOAD_CONCURRENCY_FLOOR or most // 4
    return _width(min(most, max(least, kinds)), most)


@cache
def _width(least: int, most: int) -> Width:
    return Width(least, most)
