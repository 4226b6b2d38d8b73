"""What a process that runs until it is told to stop needs: the word to stop, and a log that does not repeat itself."""

import logging
import queue
import signal
import time
from contextlib import suppress
from types import FrameType


class Termination:
    """SIGTERM and SIGINT as something to wait for. Made in the main thread, which from then on does not die of them."""

    def __init__(self) -> None:
        # A SimpleQueue may be put to while the same thread waits on it; an Event's lock would deadlock in the handler.
        self._signals: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.requested = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self._signals.put(number)

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until the process is told to stop; whether it has been."""
        if not self.requested:
            with suppress(queue.Empty):
                self._signals.get(timeout=max(0.0, seconds))
        return self.requested


class Complaints:
    """Errors that may last: each is logged as it begins, then once a minute, and once more when it is over."""

    AGAIN_SECONDS = 60.0

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger
        self._current: str | None = None
        self._logged_at = 0.0

    def about(self, what: str, error: BaseException) -> None:
        """Log that `what` failed, unless just that was said within the last minute."""
        text, at = f"{what}: {type(error).__name__}: {error}".strip(), time.monotonic()
        if text != self._current or at - self._logged_at >= self.AGAIN_SECONDS:
            self.logger.error("%s", text)
            self._current, self._logged_at = text, at

    def are_over(self) -> None:
        """Log that it works again, if there was a complaint."""
        if self._current is not None:
            self.logger.info("works again; before: %s", self._current)
            self._current = None
