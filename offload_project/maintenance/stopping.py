"""Ctrl-C and SIGTERM as a wish that long work looks at between two batches, so that none is left half done."""

import signal
from types import FrameType, TracebackType
from typing import Any, Self

INTERRUPTED = 130  # the exit code of whoever was stopped by Ctrl-C: 128 + SIGINT


class Interrupted(Exception):
    """Somebody wants it to stop. What is committed stays; a transaction that is under way rolls back."""


class Stop:
    """Between its beginning and its end the first signal is a wish, and the second one an Interrupted on the spot."""

    NUMBERS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, Any] = {}

    def look(self) -> None:
        """Raises Interrupted if somebody wants it to stop. For the places at which nothing is half done."""
        if self.requested:
            raise Interrupted

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise Interrupted
        self.requested = True

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._receive) for number in self.NUMBERS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
