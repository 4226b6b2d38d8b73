"""How fast webhooks go out: `deliver` and `deliver-sick`.

`deliver`: deliveries per second of a real pump in this process, with OFFLOAD_CONCURRENCY threads (32, of which the
other kinds of work keep 8) on a durable PostgreSQL: claimed, signed, their address checked, sent, attempts stored. Over
the requests per second of as many threads of this process that post the same bytes, under the same headers, to the same
receiver with `requests.Session`, one session a thread. 40 endpoints of 40 clients, each called by at most
OFFLOAD_WEBHOOK_CONCURRENCY (4) at a time; every fourth case has two events, of which the second waits for the first.
All URLs have literal addresses, so that neither side asks the DNS.

`deliver-sick`: deliveries per second of 36 endpoints that answer after 50 ms (so that threads, too, are short), until
the last one is stored, while of 4 others 2 hang and 2 answer 500, over the same while those 4 are well, too. The 4 have
as many events as each of the 36. The pump has known the sick ones for a while: of those that hang one rests, and the
other's rest is just over, so that a call of it hangs for the whole round (in truth for 15 s in every five minutes).
"""

import argparse
import queue
import sys
import threading
import time
import uuid
from datetime import timedelta
from typing import Any

from benchmarks.ground import installation
from benchmarks.measure import Figure, medians, seconds, show
from benchmarks.receiver import Receiver, receiver

THREADS = 32
ENDPOINTS = 40
END = {"status": "COMPLETED", "result_status": "goal_achieved"}
BODY = {
    "event_type": "case.completed",
    "timestamp": 1772366400123,
    "data": {
        "status": "COMPLETED",
        "channel": "EMAIL",
        "attemptCount": 2,
        "attachments": [],
        "clientReferenceId": "PO-7",
        "metadata": {"team": "north"},
        "resultStatus": "goal_achieved",
        "result": {
            "delivery_date": "2026-03-12",
            "remarks": "The goods leave on Monday; two boxes follow a week later.",
        },
    },
}


class Wrong(Exception):
    """Something was lost or done twice."""


# --- Rows -----------------------------------------------------------------------------------------


def make_endpoints(ports: list[int]) -> list[Any]:
    """A client with a secret and one endpoint for each port."""
    from cases import work
    from cases.models import Client
    from webhooks import signing
    from webhooks.models import Endpoint

    made = []
    for number, port in enumerate(ports):
        client = Client.objects.create(name=f"Client {number}")
        signing.new_secret(client)
        origin = f"http://127.0.0.1:{port}"
        made.append(Endpoint.objects.create(client=client, origin=origin, created_at=work.now()))
    return made


def make_deliveries(endpoints: list[Any], count: int, path: str = "/well") -> list[Any]:
    """So many due deliveries, in turns for each endpoint; every fourth case has two of them."""
    from cases import work
    from cases.factories import CaseFactory
    from cases.models import Case
    from webhooks import payloads
    from webhooks.models import Delivery

    now, cases, deliveries = work.now(), list[Any](), list[Any]()
    while len(deliveries) < count:
        endpoint = endpoints[len(cases) % len(endpoints)]
        case = CaseFactory.build(client=endpoint.client, **END, our_address=f"{uuid.uuid4()}@x.invalid")
        cases.append(case)
        for sequence in range(1, 3 if len(cases) % 4 == 0 and len(deliveries) < count - 1 else 2):
            event_id = f"evt_{case.pk}_{sequence}"
            row = Delivery(client=endpoint.client, case=case, endpoint=endpoint, event_id=event_id, sequence=sequence)
            row.event_type, row.url = "case.completed", endpoint.origin + path
            row.body = payloads.encode({"event_id": event_id, **BODY})
            row.created_at = row.next_attempt_at = now - timedelta(seconds=1)
            row.due_at = row.next_attempt_at if sequence == 1 else None
            deliveries.append(row)
    with work.transaction():
        Case.objects.bulk_create(cases)
        Delivery.objects.bulk_create(deliveries)
    return deliveries


def check_delivered(deliveries: list[Any], receiver: Receiver) -> None:
    """Raises Wrong unless each of them arrived once, and says so with one stored attempt, in the order of its case."""
    from django.db.models import F

    from webhooks.models import Attempt, Delivery

    pks = [row.pk for row in deliveries]
    done = Delivery.objects.filter(pk__in=pks, state="DELIVERED", attempt_count=1).count()
    attempts = Attempt.objects.filter(delivery__in=pks, status=200, number=1).count()
    late = Delivery.objects.filter(pk__in=pks, sequence=2, case__deliveries__sequence=1)
    late = late.filter(case__deliveries__delivered_at__gt=F("delivered_at"))
    taken = receiver.taken()
    if (done, attempts, *taken) != (len(pks),) * 4 or late.exists():
        raise Wrong(f"Of {len(pks)} events {taken} arrived, {done} are delivered, {attempts} attempts are stored.")


# --- deliver --------------------------------------------------------------------------------------


def pumped(endpoints: list[Any], count: int, receiver: Receiver) -> float:
    """Deliveries per second of one pump."""
    from webhooks import tasks

    deliveries = make_deliveries(endpoints, count)
    lasted = seconds(tasks.pump_deliveries)
    check_delivered(deliveries, receiver)
    return count / lasted


def posted(endpoints: list[Any], count: int, receiver: Receiver) -> float:
    """Requests per second of a bare loop in as many threads."""
    import requests
    from requests.adapters import HTTPAdapter

    from webhooks import payloads

    todo: queue.SimpleQueue[tuple[str, bytes, dict[str, str]]] = queue.SimpleQueue()
    for number in range(count):
        event_id = f"evt_{uuid.uuid4()}_1"
        headers = {
            "webhook-id": event_id,
            "webhook-timestamp": "1772366400",
            "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            "Content-Type": "application/json",
        }
        url = f"{endpoints[number % len(endpoints)].origin}/well"
        todo.put((url, payloads.encode({"event_id": event_id, **BODY}), headers))

    def post() -> None:
        with requests.Session() as session:
            session.mount("http://", HTTPAdapter(pool_connections=len(endpoints)))
            while True:
                try:
                    url, body, headers = todo.get_nowait()
                except queue.Empty:
                    return
                session.post(url, data=body, headers=headers, timeout=15).raise_for_status()

    threads = [threading.Thread(target=post) for _ in range(THREADS)]

    def all_of_them() -> None:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    lasted = seconds(all_of_them)
    if receiver.taken() != (count, count):
        raise Wrong("The bare loop's requests did not all arrive once.")
    return count / lasted


# --- deliver-sick ---------------------------------------------------------------------------------

HANGING_SECONDS = 5.0  # instead of 15, since each round waits for the call that hangs


def rate_of_well_ones(endpoints: list[Any], count: int, *, are_sick: bool) -> float:
    """Deliveries per second of all but the first four endpoints, of which two hang and two fail if they are sick."""
    from webhooks import tasks
    from webhooks.models import Delivery

    others, well = endpoints[:4], endpoints[4:]
    each = count // len(well)
    make_deliveries(others[:2], 2 * each, "/hangs" if are_sick else "/also?ms=50")
    make_deliveries(others[2:], 2 * each, "/fails" if are_sick else "/also?ms=50")
    deliveries = make_deliveries(well, count, "/well?ms=50")
    set_rests(others, are_sick=are_sick)
    is_left = Delivery.objects.filter(endpoint__in=well, state="WAITING")
    pump = threading.Thread(target=tasks.pump_deliveries)
    began_at = time.perf_counter()
    pump.start()
    while is_left.exists():
        time.sleep(0.05)
        if not pump.is_alive() and is_left.exists():
            raise Wrong("The pump has ended before all was delivered.")
    lasted = time.perf_counter() - began_at
    pump.join()
    Delivery.objects.filter(endpoint__in=others).delete()
    if Delivery.objects.filter(pk__in=[row.pk for row in deliveries], state="DELIVERED").count() != count:
        raise Wrong("Not every event has arrived.")
    return count / lasted


def set_rests(others: list[Any], *, are_sick: bool) -> None:
    """The first two have been hanging for a while, or are well."""
    from cases import work
    from webhooks.endpoints import LONGEST_REST, WELL
    from webhooks.models import Endpoint

    now = work.now()
    Endpoint.objects.filter(pk__in=[endpoint.pk for endpoint in others]).update(**WELL)
    for endpoint, until in zip(others[:2], (now, now + LONGEST_REST), strict=True):
        if are_sick:
            Endpoint.objects.filter(pk=endpoint.pk).update(failures=6, failing_since=now, rests_until=until)


# --- What it takes --------------------------------------------------------------------------------


def statements(endpoints: list[Any], count: int) -> None:
    """Print how many statements and transactions a delivery takes, claim and release included."""
    from collections import Counter

    from django.db.backends.signals import connection_created

    from webhooks import tasks

    kinds: Counter[str] = Counter()
    lock = threading.Lock()

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        with lock:
            kinds[" ".join(sql.split()[:1])] += 1
        return execute(sql, params, many, context)

    def watch(connection: Any, **_: Any) -> None:
        if note not in connection.execute_wrappers:
            connection.execute_wrappers.append(note)

    connection_created.connect(watch)
    try:
        make_deliveries(endpoints, count)
        kinds.clear()
        tasks.pump_deliveries()
    finally:
        connection_created.disconnect(watch)
    words = ", ".join(f"{kind} {number / count:.2f}" for kind, number in kinds.most_common())
    print(f"statements per delivery: {kinds.total() / count:.2f} ({words})")


def main() -> int:
    """Measure and print; 1 where an event was lost or came twice."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deliver", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few of everything")
    given = parser.parse_args()
    rounds, count = (1, 80) if given.quick else (5, 2000)
    environment = {
        "OFFLOAD_WEBHOOK_ALLOW_CIDRS": "127.0.0.0/8",
        "OFFLOAD_CONCURRENCY": str(THREADS),
        "OFFLOAD_WEBHOOK_CONCURRENCY": "4",
    }
    with installation(**environment), receiver(ENDPOINTS) as server:
        from webhooks import tasks

        endpoints = make_endpoints(server.ports)
        try:
            sides = {
                "pump": lambda: pumped(endpoints, count, server),
                "requests": lambda: posted(endpoints, count, server),
            }
            rates = medians(sides, rounds)
            statements(endpoints, 200)
            vars(tasks)["LIMIT_SECONDS"] = HANGING_SECONDS
            sick = medians(
                {
                    "well": lambda: rate_of_well_ones(endpoints, count * 9 // 20, are_sick=False),
                    "sick": lambda: rate_of_well_ones(endpoints, count * 9 // 20, are_sick=True),
                },
                rounds,
            )
        except Wrong as wrong:
            print(wrong, file=sys.stderr)
            return 1
    print(f"{rates['pump']:.0f} deliveries a second; a bare loop posts {rates['requests']:.0f}")
    show(Figure("deliver", rates["pump"] / rates["requests"], at_least=0.7))
    print(f"{sick['well']:.0f} a second of 36 endpoints with all 40 well; {sick['sick']:.0f} with 4 sick ones")
    show(Figure("deliver-sick", sick["sick"] / sick["well"], at_least=0.95))
    return 0


if __name__ == "__main__":
    sys.exit(main())
