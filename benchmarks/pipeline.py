"""Cases per second from CREATED to COMPLETED, with mail and a model that take no time.

Three sides take turns on one durable PostgreSQL server, each in a database of its own, each with two processes:
`product` is `manage.py worker` and `clock`; `sql` carries out the statements of the same steps by psycopg, in the same
transactions, without claims, leases and wake-ups, which are the price of an engine; `django-q2` is a cluster of
django-q2 whose tasks are the steps (plain.py). What a batch takes is counted from the moment at which all its cases are
stored until the last one is completed. A case: the first mail is written, sent and recorded, its answer comes in as raw
bytes, is matched and judged, and the case completes.

Fails where a case of the product, or of django-q2, was lost, or anything in one was done twice.
"""

import argparse
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

from benchmarks.ground import installation
from benchmarks.measure import Figure, medians, show
from benchmarks.replay import Recorder, Replayers, Script, afresh, carry_out

PROCESSES = 2
CONNECTIONS = 4  # of each process that replays; with more, or with one, it is slower
PATIENCE_SECONDS = 300.0
ONCE = ("case.created", "message.queued", "message.sent", "message.received", "verdict", "case.completed")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pipeline", description=__doc__)
    parser.add_argument("--cases", type=int, default=40, help="of one batch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="only to see that it runs")
    given = parser.parse_args()
    if given.quick:
        given.cases, given.rounds = 8, 1
    return given


@dataclass(frozen=True)
class Recorded:
    """One case's statements: how it was stored, and what its steps did."""

    creation: Script
    steps: Script
    fixed: set[str]  # ids that are the same for all cases
    case: str

    def another(self) -> tuple[Script, Script, str]:
        """Both parts for another case, and its id."""
        fresh, names = afresh([*self.creation, *self.steps], self.fixed)
        return fresh[: len(self.creation)], fresh[len(self.creation) :], str(uuid.UUID(names[self.case]))


def record_one() -> Recorded:
    """Take one case through all its steps in this thread."""
    from benchmarks.instant import CASE
    from cases import pump, services, work
    from cases.factories import ApiKeyFactory
    from cases.models import Status

    key = ApiKeyFactory(is_test=True)
    creation, steps = Recorder(), Recorder()
    pump._at_work.set()  # what rings for the engine is the engine's
    with creation.recording():
        case = services.create_case(key, **CASE)
    for kind in ("case", "case", "payload", "case"):
        (held,) = work.claim(kind, 2)
        with steps.recording():
            pump.run_step(held)
        pump.settle({held: None})
    pump._at_work.clear()
    case.refresh_from_db()
    assert case.status == Status.COMPLETED, case.status
    return Recorded(creation.script, steps.script, {key.client_id.hex, key.pk.hex}, case.pk.hex)


# --- Databases ------------------------------------------------------------------------------------


def _beside(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@contextmanager
def copy_of(url: str) -> Iterator[str]:
    """The URL of another database of the server, with the same rows."""
    from django.db import connection, connections

    connections.close_all()
    if hasattr(connection, "close_pool"):
        connection.close_pool()
    name, original = f"bench_{uuid.uuid4().hex[:12]}", urlsplit(url).path.strip("/")
    with psycopg.connect(_beside(url, "template1"), autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{original}"')
        try:
            yield _beside(url, name)
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def process(*command: str, **environment: str) -> Iterator[None]:
    """A command of manage.py with these settings, ended with all that it has started."""
    import os

    from cases.supervisor import ProcessGroup

    group = ProcessGroup(
        [sys.executable, "manage.py", *command], env={**os.environ, **environment}, stdout=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        group.stop(15)


# --- The sides ------------------------------------------------------------------------------------


class Watched:
    """A database in which cases are completed by others."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True)

    def completed(self) -> int:
        row = self.connection.execute("SELECT count(*) FROM cases_case WHERE status = 'COMPLETED'").fetchone()
        return int(row[0]) if row else 0

    def rate(self, cases: int, began_at: float, before: int) -> float:
        """Cases per second, once as many more are completed as were stored."""
        while self.completed() < before + cases:
            if time.perf_counter() - began_at > PATIENCE_SECONDS:
                raise RuntimeError(f"{before + cases - self.completed()} of {cases} cases were not completed in time")
            time.sleep(0.02)
        return cases / (time.perf_counter() - began_at)

    def fault(self) -> str:
        """Which event is missing on a case, or is there twice; empty: none."""
        counted = self.connection.execute(
            "SELECT type, count(*), count(DISTINCT case_id), (SELECT count(*) FROM cases_case) "
            "FROM cases_event WHERE type = ANY(%s) GROUP BY type",
            [list(ONCE)],
        ).fetchall()
        wrong = [row for row in counted if not row[1] == row[2] == row[3]]
        return f"lost or done twice: {wrong}" if wrong or len(counted) != len(ONCE) else ""


def product(watched: Watched, cases: int) -> float:
    """Store a batch as the API does; the workers hear of it as they always do."""
    from benchmarks.instant import CASE
    from cases import services, work
    from cases.models import ApiKey

    key, before = ApiKey.objects.get(), watched.completed()
    with work.transaction():
        for _ in range(cases):
            services.create_case(key, **CASE)
        began_at = time.perf_counter()
    return watched.rate(cases, began_at, before)


def django_q2(watched: Watched, recorded: Recorded, cases: int) -> float:
    """Store the same rows, and one task for each."""
    from django_q.conf import Conf

    before = watched.completed()
    with watched.connection.transaction():
        for _ in range(cases):
            creation, _, case = recorded.another()
            carry_out(watched.connection, creation)
            watched.connection.execute(
                "INSERT INTO django_q_ormq (key, payload, lock) VALUES (%s, %s, now())",
                [Conf.CLUSTER_NAME, first_task(case)],
            )
        began_at = time.perf_counter()
    return watched.rate(cases, began_at, before)


def first_task(case: str) -> Any:
    """As django-q2's async_task would write it."""
    from django_q.signing import SignedPackage

    task = {"id": uuid.uuid4().hex, "name": "compose", "func": "benchmarks.plain.compose", "args": (case,)}
    return SignedPackage.dumps({**task, "kwargs": {}, "started": datetime.now(UTC)})


def sql(watched: Watched, replayers: Replayers, recorded: Recorded, cases: int) -> float:
    """Store the same rows, and carry out what the steps would."""
    scripts = []
    with watched.connection.transaction():
        for _ in range(cases):
            creation, steps, _ = recorded.another()
            carry_out(watched.connection, creation)
            scripts.append(steps)
    return cases / replayers.seconds(scripts)


def main() -> int:
    """Measure and print; 1 where cases were lost or done twice."""
    given = arguments()
    with ExitStack() as stack:
        url = stack.enter_context(
            installation(DJANGO_SETTINGS_MODULE="benchmarks.instant_settings", OFFLOAD_WORKERS=str(PROCESSES))
        )
        recorded = record_one()
        plain_url, sql_url = stack.enter_context(copy_of(url)), stack.enter_context(copy_of(url))
        ours, plain, floor = Watched(url), Watched(plain_url), Watched(sql_url)
        replayers = Replayers(sql_url, PROCESSES, CONNECTIONS)
        stack.callback(replayers.close)
        stack.enter_context(process("worker"))
        stack.enter_context(process("clock"))
        plain_settings = "benchmarks.plain_settings"
        stack.enter_context(process("qcluster", DATABASE_URL=plain_url, DJANGO_SETTINGS_MODULE=plain_settings))
        rates = medians(
            {
                "product": lambda: product(ours, given.cases),
                "sql": lambda: sql(floor, replayers, recorded, given.cases),
                "django-q2": lambda: django_q2(plain, recorded, given.cases),
            },
            given.rounds,
        )
        faults = [f"{name}: {fault}" for name, of in (("product", ours), ("django-q2", plain)) if (fault := of.fault())]
    statements = sum(map(len, recorded.steps))
    print(f"one case: {statements} statements in {len(recorded.steps)} transactions from CREATED to COMPLETED")
    print(", ".join(f"{name} {rate:.1f}" for name, rate in rates.items()), "cases a second")
    show(Figure("pipeline", rates["product"] / rates["sql"], at_least=0.3))
    show(Figure("pipeline-vs-django-q2", rates["product"] / rates["django-q2"], at_least=3))
    for fault in faults:
        print(fault, file=sys.stderr)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
