"""How long work waits to be begun: from the commit that makes a case due to the first line of its step.

Real processes, `manage.py worker` and `clock`, with the broker that needs none (`orm`). It asks its table for wake-ups
every 0.2 s; figures are the wait divided by that. First with nothing else to do; then while 1,000 cases of another
client are held elsewhere, as by other machines, and 40 more keep this worker waiting for 3 s each, again and again.
"""

import argparse
import random
import statistics
import sys
import time
import uuid
from datetime import timedelta
from functools import partial

from benchmarks.ground import installation
from benchmarks.measure import Figure, show
from benchmarks.trees import PATIENCE_SECONDS, process, wait_for_worker

POLL_SECONDS = 0.2  # of the broker; see Q_CLUSTER
HELD, SLOW = 1_000, 40


def keep_busy() -> None:
    """Cases of one client that are held by somebody, and others that this worker waits for."""
    from benchmarks import started
    from cases import work
    from cases.factories import CaseFactory, ClientFactory
    from cases.models import Case

    client, at = ClientFactory(), work.now()
    with work.transaction():
        one = CaseFactory(client=client)
        fields = {field.attname: getattr(one, field.attname) for field in Case._meta.concrete_fields}
        hours = {"lease_until": at + timedelta(hours=1), "lease_token": uuid.uuid4()}
        held = [Case(**{**fields, **hours, "id": uuid.uuid4(), "due_at": at}) for _ in range(HELD)]
        slow = {**fields, "due_at": at, "client_reference_id": started.SLOW}
        Case.objects.filter(pk=one.pk).update(due_at=None)
        Case.objects.bulk_create([*held, *(Case(**{**slow, "id": uuid.uuid4()}) for _ in range(SLOW))])
    end = time.monotonic() + PATIENCE_SECONDS
    while Case.objects.filter(client_reference_id=started.SLOW, lease_until__gt=work.now()).count() < SLOW:
        if time.monotonic() > end:
            raise SystemExit("the worker did not take up the slow cases")
        work.wake("case")
        time.sleep(0.2)


def waits(count: int) -> list[float]:
    """Seconds from commit to start of so many cases, which become due one after the other."""
    from django.db import transaction

    from benchmarks import started
    from cases import work
    from cases.factories import CaseFactory, ClientFactory
    from cases.models import Case

    client, committed = ClientFactory(), dict[str, float]()
    cases = [CaseFactory(client=client) for _ in range(count)]
    Case.objects.filter(client=client).update(due_at=None)

    def note(pk: str) -> None:
        committed[pk] = time.time()

    for case in cases:
        time.sleep(random.uniform(0.3, 0.7))
        with work.transaction():
            transaction.on_commit(partial(note, str(case.pk)))
            Case.objects.filter(pk=case.pk).update(due_at=work.now())
            work.wake_after_commit(case)
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        lines = started.told_in().read_text().splitlines() if started.told_in().exists() else []
        begun = {pk: float(at) for pk, at in map(str.split, lines)}
        if committed.keys() <= begun.keys():
            return [begun[pk] - at for pk, at in committed.items()]
        time.sleep(0.2)
    raise SystemExit(f"{len(committed.keys() - begun.keys())} cases were never begun")


def tell(name: str, seconds: list[float]) -> None:
    """Median and 99th percentile."""
    p50, p99 = statistics.median(seconds), statistics.quantiles(seconds, n=100, method="inclusive")[98]
    print(
        f"{name}: {1000 * p50:.0f} ms, {1000 * p99:.0f} ms at the 99th percentile, {1000 * max(seconds):.0f} ms at most"
    )
    show(Figure(f"start-p50-{name}", p50 / POLL_SECONDS))
    show(Figure(f"start-p99-{name}", p99 / POLL_SECONDS))


def main() -> int:
    """Measure and print; fails where a case is never begun."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="with few cases")
    count = 5 if parser.parse_args().quick else 120
    with installation(DJANGO_SETTINGS_MODULE="benchmarks.start_settings"), process("worker"), process("clock"):
        wait_for_worker()
        tell("idle", waits(count))
        keep_busy()
        tell("busy", waits(count))
    return 0


if __name__ == "__main__":
    sys.exit(main())
