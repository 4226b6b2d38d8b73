"""How many evaluations one worker has in flight: `make waits`.

A real worker and clock on an embedded database, the real SDK, and a stand-in model that takes three seconds. Prints the
time for one case, the time for 64, their ratio, and the memory of the whole worker tree meanwhile. Fails where not all
are in flight at once, or where 64 take longer than three times as long as one.
"""

import argparse
import os
import secrets
import sys
import tempfile
import threading
import time
from contextlib import ExitStack

from benchmarks.trees import PATIENCE_SECONDS, memory_mb, peak_memory, process, wait_for_worker
from evaluation.model_server import ModelServer, Request, Step, says

CONCURRENCY = 96  # a quarter is kept for the other kinds of work


def configure(home: str, model_url: str) -> None:
    """The settings of this process and of those that it starts."""
    os.environ.update(
        DJANGO_SETTINGS_MODULE="offload_project.settings",
        OFFLOAD_VAR_DIR=home,
        DATABASE_URL=f"sqlite:///{home}/waits.sqlite3",
        SECRET_KEY=secrets.token_urlsafe(50),
        ALLOWED_HOSTS="127.0.0.1",
        OFFLOAD_BASE_URL="http://127.0.0.1:8000",
        OFFLOAD_CONCURRENCY=str(CONCURRENCY),
        OFFLOAD_WORKERS="1",
        OFFLOAD_LOG_LEVEL="WARNING",
        OPENAI_BASE_URL=model_url,
        OPENAI_API_KEY="none",
        OFFLOAD_MODEL="stand-in",
    )


def evaluations(count: int) -> float:
    """Seconds until so many cases, all with a new reply, have been judged."""
    from cases import work
    from cases.factories import CaseFactory, MessageFactory
    from cases.models import Event, Status

    before = Event.objects.filter(type="verdict").count()
    with work.transaction():  # all at once, so that none is done before the last has come
        for _ in range(count):
            case = CaseFactory(status=Status.RUNNING)
            MessageFactory(case=case)
            MessageFactory(case=case, direction="IN")
    started = time.monotonic()
    while Event.objects.filter(type="verdict").count() - before < count:
        if time.monotonic() - started > PATIENCE_SECONDS:
            raise SystemExit(f"{count} evaluations did not end within {PATIENCE_SECONDS} s")
        time.sleep(0.05)
    return time.monotonic() - started


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.side_by_side", description=__doc__)
    parser.add_argument("--cases", type=int, default=64, help="evaluations side by side")
    parser.add_argument("--model-seconds", type=float, default=3.0, help="what the model takes for one")
    parser.add_argument("--at-most", type=float, default=3.0, help="how many times as long as one all may take")
    return parser.parse_args()


def fault(cases: int, in_flight: int, ratio: float, at_most: float) -> str:
    """What is wrong with the figures; empty: nothing."""
    if in_flight < cases:
        return f"Only {in_flight} of {cases} evaluations were in flight at once."
    if ratio > at_most:
        return f"{cases} evaluations took {ratio:.2f} times as long as one; at most {at_most:g} is allowed."
    return ""


def main() -> int:
    """Measure and print; 1 where a bound does not hold."""
    given = arguments()

    def script(_: Request) -> Step:
        return says({"decision": "WAIT", "reason": "Nothing yet."}, wait_seconds=given.model_seconds)

    with ExitStack() as stack:
        server = stack.enter_context(ModelServer(script))
        configure(stack.enter_context(tempfile.TemporaryDirectory(prefix="waits-")), server.url)
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        worker = stack.enter_context(process("worker"))
        stack.enter_context(process("clock"))
        wait_for_worker()
        idle = memory_mb(worker)
        one = evaluations(1)
        done, peak = threading.Event(), [0.0]
        watcher = threading.Thread(target=lambda: peak.append(peak_memory(worker, done)))
        watcher.start()
        many = evaluations(given.cases)
        done.set()
        watcher.join()
    ratio = many / one
    print(f"one evaluation on a {given.model_seconds:g} s model: {one:.1f} s")
    print(f"{given.cases} evaluations: {many:.1f} s, at most {server.most_at_once} in flight")
    print(f"waits-{given.cases}-to-1 {ratio:.2f}")
    print(f"worker tree, proportional set size: {idle:.0f} MB idle, {max(peak):.0f} MB with {given.cases} waits")
    wrong = fault(given.cases, server.most_at_once, ratio, given.at_most)
    print(wrong, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
