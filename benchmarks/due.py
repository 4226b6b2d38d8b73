"""What it costs to find and hand out due rows, in a table of a million cases that wait for their time.

- `due-look`: one look of the clock for due rows of all kinds, while nothing is due (ms).
- `due`: cases a second that `work.claim` and `work.release` take and give back in batches, divided by those of the
  same two statements without turns, leases' bookkeeping or an ORM: a bare SKIP LOCKED sweep in psycopg that writes the
  same columns of the same rows, each statement a transaction that is on disk when it ends.
- `due-longest-transaction`: the longest that one claim or one release took (ms).

Both sides' statements stay prepared, ours as in a worker. What a step does to its row lies between the two statements,
and is not counted on either side. Fails where four processes that sweep the table at once do not take each row exactly
once.
"""

import argparse
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.ground import installation
from benchmarks.measure import Figure, medians, seconds, show

ROOT = Path(__file__).resolve().parent.parent
BATCH = 100  # rows a claim
CLIENTS = 20
LOOKS = 100
SWEEPERS = 4

CLAIM = """
WITH picked AS MATERIALIZED (
    SELECT id FROM cases_case
    WHERE due_at <= statement_timestamp() AND lost_leases < 3
      AND (lease_until IS NULL OR lease_until <= statement_timestamp())
    ORDER BY due_at LIMIT %s FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE cases_case SET lease_token = %s, lease_until = statement_timestamp() + interval '30 s',
    lost_leases = lost_leases + 1
FROM picked WHERE cases_case.id = picked.id RETURNING cases_case.id, lost_leases
"""
RELEASE = """
UPDATE cases_case SET lease_token = NULL, lease_until = NULL, lost_leases = 0, failures = 0, failing_since = NULL,
    last_error = ''
WHERE id = ANY(%s) AND lease_token = %s
"""


class Table:
    """A million cases, some of which a benchmark makes due."""

    def __init__(self, url: str, rows: int) -> None:
        self.connection = psycopg.connect(url, autocommit=True)
        self._fill(rows)

    def _fill(self, rows: int) -> None:
        """Copies of one case, in turns of CLIENTS clients, all of which are due in weeks."""
        from cases.factories import CaseFactory, ClientFactory
        from cases.models import Case, Status

        clients = [ClientFactory().pk for _ in range(CLIENTS)]
        case = CaseFactory(status=Status.RUNNING)
        own = {
            "id": "gen_random_uuid()",
            "client_id": f"('{{{','.join(map(str, clients))}}}'::uuid[])[1 + mod(number, {CLIENTS})]",
            "due_at": "now() + interval '30 days' + number * interval '1 s'",
        }
        columns = [str(field.column) for field in Case._meta.local_fields]
        values = ", ".join(own.get(column, column) for column in columns)
        self.connection.execute(
            f"INSERT INTO cases_case ({', '.join(columns)})"
            f" SELECT {values} FROM cases_case, generate_series(1, {rows}) AS number WHERE id = %s",
            [case.pk],
        )
        self.connection.execute("UPDATE cases_case SET due_at = NULL WHERE id = %s", [case.pk])
        self.connection.execute("VACUUM ANALYZE")

    def make_due(self, rows: int) -> None:
        """So many of them, of all clients."""
        self.connection.execute(
            "UPDATE cases_case SET due_at = now() - interval '1 hour' WHERE id IN"
            " (SELECT id FROM cases_case WHERE due_at > now() ORDER BY due_at LIMIT %s)",
            [rows],
        )

    def done(self, pks: list[Any]) -> None:
        """What steps would do to the rows: nothing is left to do for them."""
        self.connection.execute("UPDATE cases_case SET due_at = NULL WHERE id = ANY(%s)", [pks])


def bare_sweep(connection: psycopg.Connection[Any]) -> Iterator[tuple[list[Any], Callable[[], object]]]:
    """Batches of keys, each with what gives them back."""
    while True:
        token = uuid.uuid4()
        pks = [pk for pk, _ in connection.execute(CLAIM, [BATCH, token]).fetchall()]
        yield pks, partial(connection.execute, RELEASE, [pks, token])


def our_sweep() -> Iterator[tuple[list[Any], Callable[[], object]]]:
    """As `bare_sweep`, by the engine."""
    from cases import work

    while True:
        claims = work.claim("case", BATCH)
        yield [held.pk for held in claims], partial(work.release, claims)


def rate(table: Table, sweep: Iterator[Any], rows: int, longest: list[float] | None = None) -> float:
    """Rows a second that are taken and given back."""
    table.make_due(rows)
    taken, spent = 0, list[float]()
    while True:
        began_at = time.perf_counter()
        pks, release = next(sweep)
        spent.append(time.perf_counter() - began_at)
        if not pks:
            break
        taken += len(pks)
        table.done(pks)
        spent.append(seconds(release))
    if taken != rows:
        raise SystemExit(f"{taken} rows were taken, not {rows}")
    if longest is not None:
        longest.append(max(spent))
    return rows / sum(spent)


def connect_as_workers_do() -> None:
    """From here on, whatever this process has opened before."""
    from django.db import connections

    from cases.database import keep_plans

    connections["default"].close_pool()  # type: ignore[attr-defined]
    keep_plans()


def look() -> float:
    """Milliseconds for one look of the clock."""
    from cases import work

    def looks() -> None:
        for _ in range(LOOKS):
            work.wake_for_due_rows()

    return 1000 * seconds(looks) / LOOKS


def sweep_all() -> None:
    """One of the processes that sweep at once: prints each key that it has taken."""
    import django

    django.setup()
    connect_as_workers_do()
    from cases import work
    from cases.models import Case

    while claims := work.claim("case", BATCH):
        print("\n".join(str(held.pk) for held in claims))
        Case.objects.filter(pk__in=[held.pk for held in claims]).update(due_at=None)
        work.release(claims)


def exactly_once(table: Table, rows: int) -> bool:
    """Whether processes that sweep at once take each row, and none twice."""
    table.make_due(rows)
    command = [sys.executable, "-m", "benchmarks.due", "--sweep"]
    sweepers = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(SWEEPERS)]
    shares = [sweeper.communicate()[0].split() for sweeper in sweepers]
    counts = Counter(pk for share in shares for pk in share)
    print(f"{SWEEPERS} processes took {[len(share) for share in shares]} rows, {len(counts)} different ones of {rows}")
    ended_well = all(sweeper.returncode == 0 for sweeper in sweepers)
    return ended_well and len(counts) == rows and set(counts.values()) == {1}


def main() -> int:
    """Measure and print; 1 where a row was missed or taken twice."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.due", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="with few rows")
    parser.add_argument("--sweep", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.sweep:
        sweep_all()
        return 0
    scheduled, due, swept = (20_000, 500, 2_000) if given.quick else (1_000_000, 3_000, 20_000)
    with installation() as url:
        table = Table(url, scheduled)
        connect_as_workers_do()
        show(Figure("due-look", medians({"look": look})["look"], at_most=2, unit="ms"))
        longest: list[float] = []
        with psycopg.connect(url, autocommit=True) as connection:
            speed = medians(
                {
                    "ours": lambda: rate(table, our_sweep(), due, longest),
                    "bare": lambda: rate(table, bare_sweep(connection), due),
                }
            )
        print(f"{speed['ours']:.0f} rows a second taken and given back, {speed['bare']:.0f} by the bare sweep")
        show(Figure("due", speed["ours"] / speed["bare"], at_least=0.9))
        show(Figure("due-longest-transaction", 1000 * max(longest), at_most=100, unit="ms"))
        is_right = exactly_once(table, swept)
        table.connection.close()
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
