import logging
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import close_old_connections

from cases import chores, work
from cases.daemon import Complaints, Termination

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Wakes the workers for what is due, once a second, until SIGTERM. Any number of clocks may run."

    def handle(self, *args: Any, **options: Any) -> None:
        run(Termination(), settings.OFFLOAD_CLOCK_SECONDS)


def run(termination: Termination, every_seconds: float) -> None:
    """Look at the beginning of each interval, however long a look takes; a look that was missed is not made up for."""
    complaints, began_at = Complaints(logger), time.monotonic()
    while not termination.requested:
        look(complaints)
        passed = time.monotonic() - began_at
        termination.wait(every_seconds - passed % every_seconds)


def look(complaints: Complaints) -> None:
    """See that every chore has its row, and wake the workers for due rows. What fails may work at the next look."""
    try:
        chores.plan()
        work.wake_for_due_rows()
    except Exception as error:  # noqa: BLE001 (the database's errors, and whatever the client of a broker raises)
        complaints.about("can't look for due rows", error)
    else:
        complaints.are_over()
    finally:
        close_old_connections()
