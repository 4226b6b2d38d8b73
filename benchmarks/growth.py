"""What becomes dearer as cases pile up: the cost with 1,000,000 cases in the database, by that with 10,000.

1 is no growth. Both databases lie on one durable server and are asked in turns by one process. In each is the same work
to do: 200 cases and 200 deliveries that are due. All else grows: cases that have ended or wait for their time, a
message, a line of the timeline and a delivery for each. `post` and `get` go through the real application with all its
middleware, `list` is a page of a client's 50 newest cases; `claim` takes 32 due cases as a pump does and gives them
back, `deliver` the same of deliveries; `clock` is the clock's look for due rows of all kinds.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import psycopg

from benchmarks.ground import installation
from benchmarks.measure import Figure, medians, seconds, show
from benchmarks.rows import analyze, key_of, multiply

CLIENTS = 20
DUE = 200
BATCH = 32
AT_MOST = 1.5
SPREAD = "now() - interval '1 day' - n * interval '20 seconds'"  # the times of the copies


@dataclass
class Filled:
    """One of the databases, and what is needed to ask it."""

    cases: int
    wrapper: Any  # Django's, on a connection of its own
    client: Any = None  # the one that asks, and its API key
    key: str = ""

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """What is asked in this block, by this thread, is asked of it."""
        from django.db import connections

        connections["default"] = self.wrapper
        yield


def new_database(url: str, name: str, cases: int) -> Filled:
    """A copy of the migrated database, with nothing in it yet."""
    from django.db import connections
    from django.db.backends.postgresql.base import DatabaseWrapper

    before: Any = connections["default"]  # with a pool, which PostgreSQL's alone has
    before.close()
    before.close_pool()
    with psycopg.connect(urlsplit(url)._replace(path="/template1").geturl(), autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {name}".encode())
        server.execute(f"CREATE DATABASE {name} TEMPLATE {urlsplit(url).path.strip('/')}".encode())
    ours = connections.settings["default"]
    options = {option: value for option, value in ours["OPTIONS"].items() if option != "pool"}
    database = {**ours, "NAME": name, "OPTIONS": options, "CONN_MAX_AGE": None}
    return Filled(cases, DatabaseWrapper(database, "default"))


def fill(filled: Filled) -> None:
    """The rows: some made as tests make them, and copies of these."""
    from cases.factories import ApiKeyFactory, CaseFactory, MessageFactory
    from cases.models import Case, Client, Event, Message, Status
    from webhooks.models import Delivery, Endpoint

    key = ApiKeyFactory(is_test=True)
    filled.key, filled.client = key.key, key.client
    Client.objects.bulk_create([Client(name=f"Client {number}") for number in range(CLIENTS - 1)])
    Endpoint.objects.bulk_create(
        [
            Endpoint(client=client, origin="https://hooks.buyer.example", created_at=client.created_at)
            for client in Client.objects.all()
        ]
    )
    ended = CaseFactory(client=key.client, status=Status.COMPLETED)
    waiting = CaseFactory(client=key.client, status=Status.RUNNING)
    mail = MessageFactory(case=ended)
    event = Event.objects.create(case=ended, type="case.completed", actor="system", at=ended.created_at, data={})
    told = _delivery(ended, event)
    owner, endpoint = _one_of(Client), _one_of(Endpoint)
    late = "now() + interval '1 hour' + n * interval '1 second'"
    now = "now() - n * interval '1 second'"
    who = {"client_id": owner, "counterparty_address": "'mails.' || n || '@firm' || n % 5000 || '.example'"}
    who |= {"created_at": SPREAD, "updated_at": SPREAD}
    sent = {"client_id": owner, "endpoint_id": endpoint, "created_at": SPREAD, "timeline_event_id": "NULL"}
    of_case, many = {"case_id": key_of("case")}, filled.cases
    with bulk(Case, Message, Event, Delivery):
        multiply(ended, many, **who, id=key_of("case"), client_reference_id="'R-' || n")
        multiply(waiting, many // 10, **who, id=key_of("waiting"), due_at=late, next_action_at=late)
        multiply(waiting, DUE, **who, id=key_of("due"), due_at=now, next_action_at=now)
        names = {"idempotency_key": "'k' || n", "message_id": "'<' || n || '@offload.example>'"}
        multiply(mail, many, **of_case, **names, id=key_of("mail"), created_at=SPREAD)
        multiply(event, many, **of_case, at=SPREAD)
        multiply(told, many, **of_case, **sent, id=key_of("told"), event_id="'e' || n")
        of_due = {"case_id": key_of("due"), "event_id": "'d' || n", "id": key_of("telling")}
        multiply(told, DUE, **of_due, **sent, state="'WAITING'", due_at=now, next_attempt_at=now)
    analyze(Case, Message, Event, Delivery)


def _delivery(case: Any, event: Any) -> Any:
    from webhooks.models import Delivery, DeliveryState, Endpoint

    return Delivery.objects.create(
        client=case.client,
        case=case,
        endpoint=Endpoint.objects.get(client=case.client),
        timeline_event=event,
        event_id="e",
        event_type=event.type,
        url="https://hooks.buyer.example/offload",
        body=b"{}",
        sequence=1,
        state=DeliveryState.DELIVERED,
        created_at=case.created_at,
        next_attempt_at=case.created_at,
        delivered_at=case.created_at,
    )


def _one_of(model: Any) -> str:
    """SQL for the key of one of the model's rows, all in turns; those of clients and of their endpoints go together."""
    order = "id" if model._meta.model_name == "client" else "client_id"
    keys = [str(pk) for pk in model.objects.order_by(order).values_list("pk", flat=True)]
    kind = "uuid" if "-" in keys[0] else "bigint"
    return f"(ARRAY{keys}::{kind}[])[1 + n % {len(keys)}]"


@contextmanager
def bulk(*models: Any) -> Iterator[None]:
    """Fill tables without their indexes, which are built at the end as they were."""
    from django.db import connection

    tables = [model._meta.db_table for model in models]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY(%s) AND indexname NOT IN "
            "(SELECT conname FROM pg_constraint)",
            [tables],
        )
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f'DROP INDEX "{name}"')
        cursor.execute("SET session_replication_role = replica")  # references are right by construction
        cursor.execute("SET maintenance_work_mem = '256MB'")
        yield
        cursor.execute("SET session_replication_role = DEFAULT")
        for _, definition in indexes:
            cursor.execute(definition)


def acts(filled: Filled) -> dict[str, Callable[[], Any]]:
    """What is done, by name."""
    from django.test import Client as Browser

    from cases import leases, work
    from cases.models import Case
    from cases.views import NEW_CASE

    browser = Browser(headers={"x-api-key": filled.key}, SERVER_NAME="127.0.0.1")
    body = json.dumps({**NEW_CASE, "clientWebhookUrl": "https://hooks.buyer.example/offload"})
    own = list(
        Case.objects.filter(client=filled.client, result_status__isnull=False).values_list("pk", flat=True)[:5000]
    )
    chosen = random.Random(7)

    def answered(response: Any, status: int) -> None:
        assert response.status_code == status, response.content[:300]

    def batch(kind: str) -> None:
        claims = leases.claim(kind, BATCH)
        assert len(claims) == BATCH, len(claims)
        leases.release(claims)

    def look() -> None:
        with mock.patch.object(work, "wake"):
            work.wake_for_due_rows()

    return {
        "post": lambda: answered(browser.post("/cases", body, content_type="application/json"), 201),
        "get": lambda: answered(browser.get(f"/cases/{chosen.choice(own)}?includeTranscript=true"), 200),
        "list": lambda: answered(browser.get("/cases?limit=50"), 200),
        "claim": lambda: batch("case"),
        "deliver": lambda: batch("delivery"),
        "clock": look,
    }


def costs(sides: list[Filled], rounds: int, count: int) -> list[Figure]:
    """Each act's seconds in the large database by those in the small one."""
    acts_of: dict[int, dict[str, Callable[[], Any]]] = {}
    for side in sides:
        with side.in_use():
            acts_of[side.cases] = acts(side)

    def timed(side: Filled, name: str) -> float:
        act = acts_of[side.cases][name]
        with side.in_use():
            return seconds(lambda: [act() for _ in range(count)])

    figures = []
    for name in acts_of[sides[0].cases]:
        took = medians({str(side.cases): partial(timed, side, name) for side in sides}, rounds)
        small, large = (took[str(side.cases)] / count for side in sides)
        print(f"{name}: {small * 1000:.2f} ms with few cases, {large * 1000:.2f} ms with many")
        figures.append(show(Figure(f"growth-{name}", large / small, at_most=AT_MOST)))
    return figures


def main() -> int:
    """Fill, measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1,000 and 5,000 cases")
    parser.add_argument("--cases", type=int, default=1_000_000, help="in the large database")
    given = parser.parse_args()
    sizes = (1_000, 5_000) if given.quick else (10_000, given.cases)
    # Requests are counted as ever, and the rate is never reached.
    with installation(OFFLOAD_RATE_PER_MINUTE="100000000") as url:
        from django.db import connections

        sides = [new_database(url, f"growth_{cases}", cases) for cases in sizes]
        before = connections["default"]
        for side in sides:
            began_at = time.monotonic()
            with side.in_use():
                fill(side)
            print(f"{side.cases:,} cases: filled in {time.monotonic() - began_at:.0f} s", flush=True)
        costs(sides, rounds=5, count=4 if given.quick else 20)
        for side in sides:
            side.wrapper.close()
        connections["default"] = before
    return 0


if __name__ == "__main__":
    sys.exit(main())
