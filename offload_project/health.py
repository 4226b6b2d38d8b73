"""Two questions an orchestrator asks: is the process up (`/healthz`), and is the work done (`/readyz`).

Plain views, kept out of the API's schema: they need no key, and 503 is a documented answer of one of them.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpRequest, HttpResponse

from cases import database, leases
from cases.models import Heartbeat, Role

from .api import Detail, failure, read_only, success

logger = logging.getLogger(__name__)

STORAGE_CHECK_SECONDS = 30.0  # a probe comes every few seconds, and writing to a bucket costs money


@read_only
def healthz(request: HttpRequest) -> HttpResponse:
    """200 as long as this process answers; looks at nothing else."""
    return success({"status": "up"})


@read_only
def readyz(request: HttpRequest) -> HttpResponse:
    """200 where database, storage and a worker are there and no work is left lying, else 503 NOT_READY naming what is
    wrong."""
    checks: dict[str, Callable[[], str | None]] = {
        "database": check_database,
        "storage": check_storage,
        "worker": check_worker,
        "dueWork": check_due_work,
    }
    faults: list[Detail] = [{"path": name, "message": fault} for name, check in checks.items() if (fault := check())]
    if faults:
        names = ", ".join(fault["path"] for fault in faults)
        return failure(503, "NOT_READY", f"Not ready: {names}.", faults)
    return success({"status": "ready", "checks": dict.fromkeys(checks, "up")})


def check_database() -> str | None:
    """What is wrong with the database, in a few words without internals, or None."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        logger.exception("the database does not answer")
        return "does not answer"
    return None


def check_worker() -> str | None:
    """None where some worker has finished a wake-up within the last minute, or is busy with one it may finish."""
    try:
        return None if Heartbeat.objects.alive(Role.WORKER).exists() else "no heartbeat for 60 s"
    except DatabaseError:
        return "unknown: the database does not answer"


def check_due_work() -> str | None:
    """None where no row has been due for OFFLOAD_READY_OLDEST_DUE_SECONDS with nobody taking it; 0: not looked at."""
    limit = settings.OFFLOAD_READY_OLDEST_DUE_SECONDS
    if not limit:
        return None
    try:
        waits = [(at, kind) for kind in leases.kinds() if (at := leases.oldest_due(kind))]
        seconds = (database.now() - min(waits)[0]).total_seconds() if waits else 0.0
    except DatabaseError:
        return "unknown: the database does not answer"
    return f"a {min(waits)[1]} has been due for {seconds:.0f} s" if seconds >= limit else None


def _write_and_delete() -> str | None:
    try:
        default_storage.delete(default_storage.save("readiness-probe", ContentFile(b"ok")))
    except (OSError, BotoCoreError, ClientError):
        logger.exception("the storage can't be written")
        return "can't be written"
    return None


@dataclass
class Remembered:
    """A check whose answer is good for some seconds. Two threads may ask at once; both answers are true."""

    check: Callable[[], str | None]
    seconds: float
    answer: str | None = None
    good_until: float = 0.0

    def __call__(self) -> str | None:
        if time.monotonic() >= self.good_until:
            self.answer = self.check()
            self.good_until = time.monotonic() + self.seconds
        return self.answer


check_storage = Remembered(_write_and_delete, STORAGE_CHECK_SECONDS)
