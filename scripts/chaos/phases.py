"""Promises that need a situation of their own, at the same installation after the fire."""

import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from scripts.chaos import processes
from scripts.chaos.clients import Client, answer_at_once, at_once
from scripts.chaos.facts import rows_of
from scripts.chaos.plans import GOAL, Plan, of_group
from scripts.chaos.post import DATE
from scripts.chaos.promises import Verdict
from scripts.chaos.quiet import work_left
from scripts.chaos.services import Installation
from scripts.chaos.waiting import PATIENCE_SECONDS, comes_true

POSTS_AT_ONCE = 50
ANSWERS_AT_ONCE = 20
REPEATS = 10
DRAIN_SECONDS = 60.0


def _posted(client: Client, plans: list[Plan]) -> list[str]:
    """The ids of the cases that were posted, in the order of the plans."""
    with ThreadPoolExecutor(16) as threads:
        return list(threads.map(client.post, plans))


# --- R3 -----------------------------------------------------------------------------------------------------------


def idempotent_post(service: Installation, client: Client, crashes: int) -> Verdict:
    """R3: one key at once; another body; after 24 hours; after a crash midway."""
    plan, key = of_group("once", "silent", 1)[0], uuid.uuid4().hex
    body = plan.body(client.url)
    answers = at_once(POSTS_AT_ONCE, lambda n: _post(client, body, key, n))
    ids = {data["caseId"] for status, data in answers if status == 201}
    statuses = Counter(status for status, _ in answers)
    found = [] if statuses.keys() <= {201, 409} and len(ids) == 1 else [f"{dict(statuses)}, {len(ids)} cases"]
    found += [] if len(rows_of(service, "once")) == 1 else [f"{len(rows_of(service, 'once'))} rows for one key"]
    if (status := _post(client, {**body, "maxAttempts": 1}, key)[0]) != 422:
        found.append(f"another body: {status}")
    service.rows(f"UPDATE cases_idempotencykey SET created_at = created_at - interval '24 h' WHERE key = '{key}'")
    status, data = _post(client, body, key)
    if status != 201 or data["caseId"] in ids:
        found.append(f"after 24 hours: {status} {data}")
    survived = [_crash_midway(service, client, number) for number in range(crashes)]
    found += [fault for faults in survived for fault in faults]
    figure = f"{POSTS_AT_ONCE} at once: {len(ids)} case; 422; a new one after 24 h; {crashes} crashes midway"
    return Verdict("R3 idempotent POST", figure, tuple(found))


def _post(client: Client, body: dict[str, Any], key: str, number: int = 0) -> tuple[int, Any]:
    return client.request("POST", "/cases", body, web=("agentmail", "email")[number % 2], key=key)


def _crash_midway(service: Installation, client: Client, number: int) -> list[str]:
    """Ten keys are being posted as web server or database is killed; each has one case afterwards, soon."""
    plans = of_group(f"crash{number}", "silent", 10, ["agentmail"])
    killer = threading.Timer(0.05 + 0.02 * number, _kill, [service, number])
    killer.start()
    began_at = time.monotonic()
    ids = _posted(client, plans)
    seconds = time.monotonic() - began_at
    killer.join()
    rows = Counter(row.reference for row in rows_of(service, f"crash{number}"))
    found = [f"{plan.reference}: {rows[plan.reference]} cases" for plan in plans if rows[plan.reference] != 1]
    if not all(ids):
        found.append(f"crash {number}: {ids.count('')} keys were never answered, in {seconds:.0f} s")
    return found


def _kill(service: Installation, number: int) -> None:
    web = service.units["web-a"].pid
    if number % 2:
        service.postgres.kill()
    elif web:
        processes.kill(web, *processes.below(web))


# --- R10 ----------------------------------------------------------------------------------------------------------


def answers_at_once(service: Installation, client: Client, questions: int) -> dict[str, Counter[int]]:
    """Twenty answers to each of so many questions at the same moment; their statuses by question."""
    _posted(client, of_group("winner", "asks", questions))
    asked = {row.id for row in rows_of(service, "winner")}

    def heard() -> dict[str, str]:
        told = service.receiver("since", 0)
        return {one.case_id: one.input_request_id for one in told if one.case_id in asked and one.input_request_id}

    comes_true(lambda: len(heard()) == questions)
    return {
        question: Counter(answer_at_once(client, case_id, question, ANSWERS_AT_ONCE))
        for case_id, question in heard().items()
    }


# --- R12 ----------------------------------------------------------------------------------------------------------


def repeated_and_shuffled(service: Installation, client: Client, count: int) -> Verdict:
    """R12: the provider's events ten times each, shuffled, and the same ones once: both come to the same."""
    ends = {}
    for group, repeats in (("told1", 1), ("told10", REPEATS)):
        service.post("tell", repeats)
        plans = of_group(group, "silent", count)
        _posted(client, plans)
        if not comes_true(lambda: len(_running(service, group)) == count):  # noqa: B023 (called within the round)
            return Verdict(
                "R12 events repeated and shuffled", f"{group}: the first mails did not go out", ("no mails",)
            )
        for plan in plans:
            service.post("deliver", plan.address)
            service.post("delay", plan.address)
            service.post("write", plan.address, DATE, True)
        comes_true(lambda: not service.post("waiting") and not work_left(service))
        ends[group] = _came_to(service, group)
    service.post("tell", 1)
    once, often = ends["told1"], ends["told10"]
    wanted = Counter({(*GOAL, 3, 1, 1): count})  # our mail, the notice, the answer; one file; one evaluation
    found = [f"told {name}: {dict(seen)}" for name, seen in (("once", once), ("ten times", often)) if seen != wanted]
    figure = f"{count} cases, {REPEATS} times each: {sum(often.values())} ended as when told once"
    return Verdict("R12 events repeated and shuffled", figure, tuple(found))


def _running(service: Installation, group: str) -> list[str]:
    return [row.id for row in rows_of(service, group) if row.status == "RUNNING"]


def _came_to(service: Installation, group: str) -> Counter[tuple[Any, ...]]:
    """Status, result status, messages, files and evaluations of each case of the group, counted."""
    evaluations = service.model("counted")
    messages = dict(service.rows("SELECT case_id::text, count(*) FROM cases_message GROUP BY case_id"))
    return Counter(
        (row.status, row.result_status, messages.get(row.id, 0), row.files, evaluations.get(row.reference, 0))
        for row in rows_of(service, group)
    )


# --- S4 -----------------------------------------------------------------------------------------------------------


def flood_of_bounces(service: Installation, client: Client, reports: int, seconds: float) -> Verdict:
    """S4: so many reports within so many seconds, half of them mere delay notices: each case hears of several."""
    plans = of_group("flood", "silent", max(4, reports // 10))
    _posted(client, plans)
    comes_true(lambda: len(_running(service, "flood")) == len(plans))
    before = len(service.post("sent"))
    bounced, delayed = plans[::2], plans[1::2]
    half = reports // 2
    service.post(
        "flood",
        [bounced[number % len(bounced)].address for number in range(half)],
        [delayed[number % len(delayed)].address for number in range(reports - half)],
        seconds,
    )
    comes_true(lambda: not service.post("waiting"), seconds + PATIENCE_SECONDS)
    all_in_at = time.monotonic()
    is_drained = comes_true(lambda: not work_left(service), 2 * DRAIN_SECONDS)
    drained_in = time.monotonic() - all_in_at
    ends = {row.reference: row.result_status for row in rows_of(service, "flood")}
    found = [f"{plan.reference}: {ends[plan.reference]} by a delay notice" for plan in delayed if ends[plan.reference]]
    found += [f"{plan.reference}: {ends[plan.reference]}" for plan in bounced if ends[plan.reference] != "BOUNCED"]
    sent = len(service.post("sent")) - before
    found += [f"{sent} mails went out"] if sent else []
    found += [f"not drained within {DRAIN_SECONDS:.0f} s"] if not is_drained or drained_in > DRAIN_SECONDS else []
    kept = service.rows("SELECT state, count(*) FROM outreach_inboundpayload GROUP BY state")
    figure = f"{reports} in {seconds:.0f} s: {sent} mails, drained {drained_in:.0f} s after the last; {dict(kept)}"
    return Verdict("S4 a flood of bounces", figure, tuple(found))
