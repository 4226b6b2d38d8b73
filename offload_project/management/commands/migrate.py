"""Django's `migrate`, which on PostgreSQL lets those pass who work on the same database meanwhile."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.core.management.commands.migrate import Command as MigrateCommand
from django.db import DatabaseError, OperationalError, connections

LOCK_MILLISECONDS = 200  # far below deadlock_timeout: of two that wait for each other the migration gives way
TRY_SECONDS = 1800.0
PAUSE_SECONDS = (0.2, 1.0)
IN_THE_WAY = {"55P03", "40P01"}  # lock_not_available, deadlock_detected


class Command(MigrateCommand):
    """A change of a table waits a fifth of a second for it, and keeps others waiting no longer; then it is tried again.

    Without that a change that waits behind a long transaction holds up everybody who comes after it, and one of two
    that wait for each other is killed, which may be a request.
    """

    def handle(self, *args: Any, **options: Any) -> None:
        with giving_way(connections[options["database"]]):
            deadline = time.monotonic() + TRY_SECONDS
            while True:
                try:
                    super().handle(*args, **options)
                except OperationalError as error:
                    if getattr(error.__cause__, "sqlstate", None) not in IN_THE_WAY or time.monotonic() > deadline:
                        raise
                    self.stdout.write("  others use the table; trying again")
                    time.sleep(random.uniform(*PAUSE_SECONDS))
                else:
                    return


@contextmanager
def giving_way(connection: Any) -> Iterator[None]:
    """What waits for a lock on this connection gives up early."""
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = {LOCK_MILLISECONDS}")
    try:
        yield
    finally:
        with suppress(DatabaseError), connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")
