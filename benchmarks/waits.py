"""How many model calls are in flight per GB of memory: a worker of ours, plain django-q2, and Celery with threads.

A model call takes three seconds at a server in a process of its own, which counts how many it has at once. Ours: a real
worker on a durable PostgreSQL, OFFLOAD_CONCURRENCY=700 (about a quarter of it is kept for the other kinds of work, so
516 cases at once) in one process, which judges 600 cases that all have a new reply: claim, read, prompt, call, write.
Beside it the same call as a bare task: django-q2 with 16 worker processes, and Celery on Redis with --pool=threads -c
512. Memory is the proportional set size of the whole tree of processes, at its peak; 1 GB = 1024 MB.

The more a machine has to do besides, the fewer calls can be begun before the first one ends: on a busy one the figures
say less about memory than about the processor. For 64 cases on SQLite: `python -m benchmarks.side_by_side`.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks.ground import ROOT, installation
from benchmarks.measure import Figure, show
from benchmarks.rows import key_of, multiply
from benchmarks.slow_model import SlowModel, slow_model
from benchmarks.trees import PATIENCE_SECONDS, memory_mb, process, running, wait_for_worker, watched
from scripts.servers import redis_server

GOAL = 1_500


@dataclass(frozen=True)
class Size:
    """How much each side is given."""

    concurrency: int  # ours; of it about a quarter is kept for other kinds of work
    threads: int  # Celery's
    processes: int  # django-q2's
    seconds: float  # the model's
    rounds: int

    @property
    def cases(self) -> int:
        """More than fit at once."""
        return int(self.concurrency * 0.85)


FULL, QUICK = Size(700, 512, 16, 3.0, 2), Size(64, 32, 2, 0.5, 1)


def measured(name: str, model: SlowModel, pid: int, work: Callable[[], None], rounds: int) -> float:
    """The best of the rounds: calls in flight per GB."""
    idle, best = memory_mb(pid), 0.0
    for _ in range(rounds):
        model.counts()
        with watched(pid) as peak:
            work()
        in_flight = model.counts().peak
        print(f"{name}: {in_flight} in flight, {idle:.0f} MB idle, {peak[0]:.0f} MB at the peak", flush=True)
        best = max(best, in_flight / peak[0] * 1024)
    return best


def finish(model: SlowModel, count: int) -> Callable[[], None]:
    """Wait until the model has been asked so often since this was called, and has answered all."""
    wanted = model.glance().requests + count

    def wait() -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while (counts := model.glance()).requests < wanted or counts.now:
            if time.monotonic() > end:
                raise SystemExit(f"the model was asked {counts.requests} times, not {wanted}")
            time.sleep(0.3)

    return wait


# --- Ours -----------------------------------------------------------------------------------------


def make_cases(count: int) -> None:
    """Cases of one client that have had an answer, and are left alone until `arm`."""
    from cases.factories import CaseFactory, MessageFactory
    from cases.models import Case, Status

    case = CaseFactory(status=Status.RUNNING)
    multiply(case, count, id=key_of("case"), due_at="NULL", next_action_at="now() + interval '9 days'")
    for word, message in (
        ("asked", MessageFactory(case=case)),
        ("answered", MessageFactory(case=case, direction="IN", text="We look for it, and write again tomorrow.")),
    ):
        names = {"message_id": f"'<{word}' || n || '@firm.example>'", "idempotency_key": f"'{word}' || n"}
        multiply(message, count, **names, id=key_of(word), case_id=key_of("case"))
    Case.objects.filter(pk=case.pk).update(due_at=None)


def arm() -> None:
    """All answers are unread again, and all cases due."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE cases_message SET read_at = NULL WHERE direction = 'IN' AND message_id LIKE '<answered%'"
        )
        cursor.execute(
            "UPDATE cases_case SET due_at = clock_timestamp(), retry_at = NULL "
            "WHERE id IN (SELECT case_id FROM cases_message WHERE message_id LIKE '<answered%')"
        )


def verdicts() -> int:
    from cases.models import Event

    return Event.objects.filter(type="verdict").count()


def judge(count: int) -> None:
    """Have all cases judged, once each."""
    before, end = verdicts(), time.monotonic() + PATIENCE_SECONDS
    arm()
    while (done := verdicts() - before) < count:
        if time.monotonic() > end:
            raise SystemExit(f"{done} of {count} cases were judged within {PATIENCE_SECONDS} s")
        time.sleep(0.3)


def ours(model: SlowModel, size: Size) -> float:
    make_cases(size.cases)
    with process("worker") as worker, process("clock"):
        wait_for_worker()
        per_gb = measured("offload", model, worker, lambda: judge(size.cases), size.rounds)
    print(f"offload: {model.glance().requests} calls for {verdicts()} verdicts", flush=True)
    return per_gb


# --- The others -----------------------------------------------------------------------------------


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """What is started in this block has these besides."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def tasks(whose: str, count: int, model: SlowModel) -> Callable[[], None]:
    """Have so many tasks carried out."""

    def work() -> None:
        wait = finish(model, count)
        subprocess.run([sys.executable, "-m", "benchmarks.plain_waits", whose, str(count)], cwd=ROOT, check=True)
        wait()

    return work


def django_q(model: SlowModel, size: Size) -> float:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS plain")
    url = os.environ["DATABASE_URL"]
    url += f"{'&' if '?' in url else '?'}options=-csearch_path%3Dplain"
    with environment(
        DJANGO_SETTINGS_MODULE="benchmarks.waits_settings",
        DATABASE_URL=url,
        OPENAI_BASE_URL=model.url,
        WAITS_WORKERS=str(size.processes),
        PYTHONPATH=str(ROOT),
    ):
        admin = [sys.executable, "-m", "django"]
        subprocess.run([*admin, "migrate", "--verbosity", "0"], cwd=ROOT, check=True)
        with running(*admin, "qcluster") as cluster:
            tasks("django-q2", size.processes, model)()  # each has loaded what it needs
            return measured("django-q2", model, cluster, tasks("django-q2", 3 * size.processes, model), size.rounds)


def celery(model: SlowModel, size: Size) -> float:
    with redis_server() as broker, environment(WAITS_BROKER=broker, OPENAI_BASE_URL=model.url, PYTHONPATH=str(ROOT)):
        command = [
            sys.executable,
            "-m",
            "celery",
            "-A",
            "benchmarks.plain_waits",
            "worker",
            "--pool=threads",
            "--loglevel=ERROR",
        ]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        with running(*command, *quiet, "-c", str(size.threads)) as worker:
            tasks("celery", 1, model)()
            count = int(size.threads * 1.2)
            return measured("celery", model, worker, tasks("celery", count, model), size.rounds)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.waits", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few calls of half a second")
    size = QUICK if parser.parse_args().quick else FULL
    with ExitStack() as stack:
        model = stack.enter_context(slow_model(size.seconds))
        stack.enter_context(
            installation(
                OFFLOAD_CONCURRENCY=str(size.concurrency),
                OFFLOAD_WORKERS="1",
                OFFLOAD_LOG_LEVEL="ERROR",
                OPENAI_BASE_URL=model.url,
                OPENAI_API_KEY="none",
                OFFLOAD_MODEL="slow",
            )
        )
        per_gb = {"offload": ours(model, size), "django-q2": django_q(model, size), "celery": celery(model, size)}
    show(Figure("waits-per-gb", per_gb["offload"], at_least=GOAL, unit="/GB"))
    show(Figure("waits-per-gb-django-q2", per_gb["django-q2"], unit="/GB"))
    show(Figure("waits-per-gb-celery", per_gb["celery"], unit="/GB"))
    show(Figure("waits-to-django-q2", per_gb["offload"] / per_gb["django-q2"], at_least=1))
    show(Figure("waits-to-celery", per_gb["offload"] / per_gb["celery"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
