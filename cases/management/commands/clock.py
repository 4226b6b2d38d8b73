import logging
import os
import socket
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import Error as DatabaseError
from django.db import close_old_connections

from cases import chores, work
from cases.daemon import Complaints, Termination

logger = logging.getLogger(__name__)

BEAT_SECONDS = 10.0  # a sixth of what the doctor waits for


class Command(BaseCommand):
    help = "Wakes the workers for what is due, once a second, until SIGTERM. Any number of clocks may run."

    def handle(self, *args: Any, **options: Any) -> None:
        beat = Beat()
        run(Termination(), settings.OFFLOAD_CLOCK_SECONDS, beat)
        beat.stop()


class Beat:
    """This clock's sign of life, for the doctor and for staff: at most one write in BEAT_SECONDS."""

    def __init__(self) -> None:
        self.name = f"clock {socket.gethostname()[:80]}:{os.getpid()}"
        self._next_at = 0.0

    def __call__(self) -> None:
        """Raises whatever the database does, as a look may."""
        if time.monotonic() >= self._next_at:
            work.say_clock_looks(self.name)
            self._next_at = time.monotonic() + BEAT_SECONDS

    def stop(self) -> None:
        """Take it back: the clock was told to stop."""
        if self._next_at:
            try:
                work.forget_cluster(self.name)
            except DatabaseError:
                logger.warning("the clock's heartbeat can't be removed", exc_info=True)


def run(termination: Termination, every_seconds: float, beat: Beat | None = None) -> None:
    """Look at the beginning of each interval, however long a look takes; a look that was missed is not made up for."""
    complaints, began_at = Complaints(logger), time.monotonic()
    while not termination.requested:
        look(complaints, beat)
        passed = time.monotonic() - began_at
        termination.wait(every_seconds - passed % every_seconds)


def look(complaints: Complaints, beat: Beat | None = None) -> None:
    """See that every chore has its row, and wake the workers for due rows. What fails may work at the next look."""
    try:
        chores.plan()
        work.wake_for_due_rows()
        if beat:
            beat()
    except Exception as error:  # noqa: BLE001 (the database's errors, and whatever the client of a broker raises)
        complaints.about("can't look for due rows", error)
    else:
        complaints.are_over()
    finally:
        close_old_connections()
