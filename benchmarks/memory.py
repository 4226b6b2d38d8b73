"""What web and worker take of memory, idle and under the same load five times over: it should come back, not grow.

Proportional set size of each whole tree of processes, in MB (1 MB = 1024 kB), on a durable PostgreSQL. `web` is the
server of the Procfile; a round of load is a number of POST /cases and twice as many GET /cases/{id} by eight clients at
once. `worker` is `manage.py worker` and what it starts, with two worker processes and the agent that needs no model; a
round is that many cases made, whose first mails it writes and sends to the sandbox. Under load: the highest figure of
the first round. Growth: what is taken after the last round, by what is taken after the first one.
"""

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from benchmarks.ground import ROOT, installation
from benchmarks.measure import Figure, show
from benchmarks.trees import PATIENCE_SECONDS, memory_mb, process, running, wait_for_worker, watched
from scripts.servers import free_ports

CLIENTS = 8
ROUNDS = 5
MOST_GROWTH = 1.1


def measured(name: str, pid: int, load: Callable[[], None]) -> None:
    """Print the figures of one tree of processes."""
    show(Figure(f"memory-{name}-idle", idle := memory_mb(pid), unit="MB"))
    after = []
    for number in range(ROUNDS):
        with watched(pid) as peak:
            load()
        if number == 0:
            show(Figure(f"memory-{name}-load", peak[0], unit="MB"))
            show(Figure(f"memory-{name}-load-to-idle", peak[0] / idle))
        after.append(memory_mb(pid))
    print(f"{name} after each round: {', '.join(f'{mb:.0f}' for mb in after)} MB", flush=True)
    show(Figure(f"memory-{name}-growth", after[-1] / after[0], at_most=MOST_GROWTH))


# --- Web ------------------------------------------------------------------------------------------


@contextmanager
def web(port: int) -> Iterator[int]:
    """The server of the Procfile; gives its process id once it answers."""
    lines = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
    os.environ |= {"PORT": str(port), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with running("sh", "-c", f"exec {lines['web']}") as pid:
        end = time.monotonic() + PATIENCE_SECONDS
        while not answers(port):
            if time.monotonic() > end:
                raise SystemExit("the web server did not start")
            time.sleep(0.2)
        yield pid


def answers(port: int) -> bool:
    try:
        return ask(HTTPConnection("127.0.0.1", port), "GET", "/healthz") != b""
    except OSError:
        return False


def ask(connection: HTTPConnection, method: str, path: str, key: str = "", body: str | None = None) -> bytes:
    """The answer's body; fails unless it is a success."""
    headers = {"x-api-key": key, "content-type": "application/json"} if key else {}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    said = answer.read()
    assert answer.status < 300, (answer.status, said[:300])
    return said


def requests(port: int, key: str, posts: int) -> None:
    """So many POSTs, and twice as many GETs of what they have made, by all clients together."""
    from cases.views import NEW_CASE

    def one_client(seed: int) -> None:
        connection, made, chosen = HTTPConnection("127.0.0.1", port, timeout=60), list[str](), random.Random(seed)
        for _ in range(posts // CLIENTS):
            made.append(json.loads(ask(connection, "POST", "/cases", key, json.dumps(NEW_CASE)))["data"]["caseId"])
            for _ in range(2):
                ask(connection, "GET", f"/cases/{chosen.choice(made)}?includeTranscript=true", key)
        connection.close()

    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(one_client, range(CLIENTS)))


# --- Worker ---------------------------------------------------------------------------------------


def cases(count: int) -> None:
    """So many new cases, and all their first mails sent."""
    from cases.factories import ApiKeyFactory
    from cases.models import Case
    from cases.services import create_case

    key = ApiKeyFactory(is_test=True)
    for number in range(count):
        create_case(
            key,
            channel="EMAIL",
            goal={"objective": "Ask for the invoice of March."},
            counterparty={"address": f"ann{number}@supplier.example", "name": "Ann"},
            sender_persona={"name": "Bob"},
        )
    end = time.monotonic() + PATIENCE_SECONDS
    while (sent := Case.objects.filter(client=key.client, attempt_count=1).count()) < count:
        if time.monotonic() > end:
            raise SystemExit(f"only {sent} of {count} first mails were sent within {PATIENCE_SECONDS} s")
        time.sleep(0.2)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="rounds of 16 POSTs and 4 cases")
    is_quick = parser.parse_args().quick
    posts, worked_on = (16, 4) if is_quick else (400, 200)
    (port,) = free_ports(1)
    with installation(OFFLOAD_RATE_PER_MINUTE="100000000", OFFLOAD_LOG_LEVEL="ERROR", OFFLOAD_MODEL=""):
        from cases.factories import ApiKeyFactory
        from cases.models import Case

        key = ApiKeyFactory(is_test=True)
        with web(port) as pid:
            measured("web", pid, lambda: requests(port, key.key, posts))
        Case.objects.update(due_at=None)  # what web has made is not the worker's to do here
        with process("worker") as pid, process("clock"):
            wait_for_worker()
            measured("worker", pid, lambda: cases(worked_on))
    return 0


if __name__ == "__main__":
    sys.exit(main())
