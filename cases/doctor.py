"""What may be wrong below the cases: database, files, broker, worker and clock, keys."""

import shutil
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import requests
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Q

from cases import database, leases, work
from cases.examination import Examination, Finding, fail, ok, warn
from cases.models import ApiKey, Client, Heartbeat, Role

MAX_SKEW = timedelta(seconds=5)
OVERDUE = timedelta(seconds=60)
SOON = timedelta(days=14)
UNUSED = timedelta(days=90)
LOW_DISK_BYTES = 1_000_000_000


def database_is_fit(examination: Examination) -> Iterator[Finding]:
    """It answers, has the tables of this version, and its clock is ours."""
    executor = MigrationExecutor(connection)
    if pending := executor.migration_plan(executor.loader.graph.leaf_nodes()):
        yield fail("database", f"{len(pending)} migrations are pending", "Run `manage.py migrate`.")
    else:
        yield ok("database", f"{connection.vendor} answers, all migrations are applied")
    if not database.is_server():
        yield from _sqlite()
        return
    skew = abs(datetime.now(UTC) - database.now())
    if skew > MAX_SKEW:
        yield warn(
            "clock", f"this machine and the database differ by {skew.total_seconds():.0f} s", "Run an NTP service."
        )
    else:
        yield ok("clock", "this machine and the database agree on the time")


def _sqlite() -> Iterator[Finding]:
    names = Heartbeat.objects.filter(role=Role.WORKER).values_list("name", flat=True)
    hosts = {name.rpartition(":")[0] for name in names}
    if len(hosts) > 1:
        yield fail(
            "database", f"workers of {len(hosts)} machines use SQLite", "Set DATABASE_URL to a PostgreSQL server."
        )
    elif settings.HTTPS:
        yield warn(
            "database", "SQLite serves one machine only", "Set DATABASE_URL to PostgreSQL before you add another."
        )


def files_can_be_kept(examination: Examination) -> Iterator[Finding]:
    """The storage takes, gives back and deletes a probe, and a link of its own leads there."""
    content = uuid.uuid4().hex.encode()
    name = default_storage.save("doctor-probe", ContentFile(content))
    try:
        with default_storage.open(name) as file:
            given_back = file.read()
        if given_back != content:
            yield fail("storage", "what is read is not what was written", "Look at the bucket's configuration.")
        elif isinstance(default_storage, FileSystemStorage) or not default_storage.exists(name):
            yield ok("storage", "a file was written, read and deleted")
        else:
            yield from _link(default_storage.url(name), content)
    finally:
        default_storage.delete(name)
    if isinstance(default_storage, FileSystemStorage) and database.is_server() and settings.HTTPS:
        yield warn(
            "storage", "files are kept on this machine", "Set AWS_STORAGE_BUCKET_NAME before you add another machine."
        )


def _link(url: str, content: bytes) -> Iterator[Finding]:
    response = requests.get(url, timeout=10, allow_redirects=False)
    if response.content == content:
        yield ok("storage", "a file was written, read by a presigned link, and deleted")
    else:
        yield fail(
            "storage",
            f"a presigned link answers {response.status_code}",
            "Set AWS_S3_REGION_NAME and AWS_S3_ENDPOINT_URL as the bucket's provider names them.",
        )


def disk_has_room(examination: Examination) -> Iterator[Finding]:
    """Under var/, where SQLite and files are unless they are elsewhere."""
    free = shutil.disk_usage(settings.VAR_DIR).free
    if free < LOW_DISK_BYTES:
        yield warn("disk", f"{free // 1_000_000} MB are free under {settings.VAR_DIR}", "Make room.")
    else:
        yield ok("disk", f"{free / 1e9:.0f} GB are free")


def work_is_done(examination: Examination) -> Iterator[Finding]:
    """Broker, worker and clock. A row that is due and held by nobody says that one of them is missing."""
    size = work.waiting_wakes()
    yield ok("broker", f"answers; {size} wake-ups wait")
    workers, clocks = (Heartbeat.objects.alive(role).count() for role in (Role.WORKER, Role.CLOCK))
    if workers:
        yield ok("worker", f"{workers} alive")
    else:
        yield fail("worker", "none has finished anything for 60 s", "Start `manage.py worker`.")
    if clocks:
        yield ok("clock process", f"{clocks} alive")
    else:
        remedy = "Start `manage.py clock`: without it follow-ups and repeated attempts wait for other work."
        yield fail("clock process", "none has looked for due work for 60 s", remedy)
    yield from _due_work()


def _due_work() -> Iterator[Finding]:
    """As /readyz has it, and a warning before."""
    oldest = min(filter(None, map(leases.oldest_due, leases.kinds())), default=None)
    waited = database.now() - oldest if oldest else timedelta(0)
    limit = timedelta(seconds=settings.OFFLOAD_READY_OLDEST_DUE_SECONDS)
    if waited < min(OVERDUE, limit or OVERDUE):
        yield ok("due work", "none waits")
        return
    remedy = "Start what is missing, or more workers; `manage.py requeue_stuck` says why a row waits."
    make = fail if limit and waited >= limit else warn
    yield make("due work", f"a row has been due for {waited.total_seconds():.0f} s and nobody has taken it", remedy)


def keys_are_in_order(examination: Examination) -> Iterator[Finding]:
    """API keys that end soon, or that nobody seems to need."""
    now = database.now()
    usable = ApiKey.objects.filter(is_active=True, revoked_at=None, client__is_active=True)
    usable = usable.filter(Q(expires_at=None) | Q(expires_at__gt=now))
    for key in usable.filter(expires_at__lte=now + SOON).select_related("client"):
        yield warn("API keys", f"{key} of {key.client} expires on {key.expires_at:%Y-%m-%d}", "Issue another in time.")
    unused = usable.filter(created_at__lt=now - UNUSED).filter(Q(last_used_at=None) | Q(last_used_at__lt=now - UNUSED))
    if count := unused.count():
        yield warn("API keys", f"{count} usable keys were not used for 90 days", "Revoke those that nobody needs.")
    if not Client.objects.exists():
        yield warn("API keys", "there is no client", "Run `manage.py create_client NAME`.")
    elif not usable.exists():
        yield warn("API keys", "no key is usable", "Issue one in the admin.")
    else:
        yield ok("API keys", f"{usable.count()} usable")
