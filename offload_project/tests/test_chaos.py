"""The run under fire in small, and that its judge finds what it has to find."""

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conftest import require
from scripts.chaos import __main__ as chaos
from scripts.chaos import faults, plans, promises
from scripts.chaos.model import verdict
from scripts.chaos.plans import Plan
from scripts.chaos.post import ANSWER, ASKS, DATE, REFUSES, TALKS, Mail
from scripts.chaos.promises import CaseRow, Event, Facts
from scripts.chaos.receiver import Told

# --- In small -----------------------------------------------------------------------------------------------------


@pytest.mark.crash
@pytest.mark.parametrize("phases", [("fire",), pytest.param(chaos.PHASES, marks=pytest.mark.long)], ids=["fire", "all"])
def test_the_promises_hold_under_fire(
    phases: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory, capsys: Any
) -> None:
    """Real processes, a few of which are killed; `make chaos` does it at length."""
    require("postgres")
    require("redis")
    require("faketime")
    home = tmp_path_factory.mktemp("chaos")
    verdicts = chaos.carry_out(home, 5, chaos.SMALL, phases)
    said = promises.table(verdicts)
    with capsys.disabled():
        sys.stdout.write(f"\n{said}\n")
    assert all(verdict.holds for verdict in verdicts), f"{said}\n{_logs(home)}"


def _logs(home: Path) -> str:
    """The end of each process's log, warnings and worse."""
    marks = ("WARNING", "ERROR", "CRITICAL")
    lines = [(log.stem, line) for log in home.glob("*.log") for line in log.read_text(errors="replace").splitlines()]
    return "\n".join(f"{name}: {line[:400]}" for name, line in lines if any(mark in line for mark in marks))[-8000:]


# --- The schedule -------------------------------------------------------------------------------------------------


def test_the_schedule_follows_from_the_seed_alone() -> None:
    first = faults.schedule(7, 200, 600)
    assert first == faults.schedule(7, 200, 600)
    assert first != faults.schedule(8, 200, 600)
    assert sum(fault.what in faults.KILLS for fault in first) == 200
    assert {fault.what for fault in first} == faults.KILLS.keys() | faults.OTHERS.keys()
    assert all(0 <= fault.at <= 600 and 0 <= fault.choice < 1 for fault in first)
    assert [fault.at for fault in first] == sorted(fault.at for fault in first)


def test_so_do_the_plans() -> None:
    drawn = plans.drawn(7, 1000)
    assert drawn == plans.drawn(7, 1000)
    assert drawn != plans.drawn(8, 1000)
    assert {plan.name for plan in drawn} == plans.KINDS.keys() - {"silent"}
    assert {plan.transport for plan in drawn} == {"agentmail", "email"}
    assert len({plan.address for plan in drawn}) == 1000


# --- The judge ----------------------------------------------------------------------------------------------------

DATE_PLAN = Plan("date", 1, "agentmail")
ASKS_PLAN = Plan("asks", 2, "email")
REFUSED_PLAN = Plan("refuses", 3, "agentmail")


def mail(plan: Plan, key: str, words: str, at: float = 100.0) -> Mail:
    return Mail(plan.transport, plan.address, key, words, at)


def told(event_id: str, case_id: str, **other: Any) -> Told:
    return Told(
        **{"event_type": "?", "is_signed": True, "digest": event_id, **other}, event_id=event_id, case_id=case_id
    )


def good() -> Facts:
    """Three cases of which nothing bad can be said, after five kills."""
    rows = [
        CaseRow("c1", DATE_PLAN.reference, "COMPLETED", "goal_achieved", 0, 110.0),
        CaseRow("c2", ASKS_PLAN.reference, "COMPLETED", "goal_achieved", 0, 120.0),
        CaseRow("c3", REFUSED_PLAN.reference, "FAILED", "failed_rejected", 0, 130.0),
    ]
    return Facts(
        plans=[DATE_PLAN, ASKS_PLAN, REFUSED_PLAN],
        acknowledged={DATE_PLAN.reference: "c1", ASKS_PLAN.reference: "c2", REFUSED_PLAN.reference: "c3"},
        rows=rows,
        mails=[
            mail(DATE_PLAN, "k1", "a"),
            mail(ASKS_PLAN, "k2", "a"),
            mail(ASKS_PLAN, "k3", "b"),
            mail(REFUSED_PLAN, "k4", "a"),
        ],
        began={"k1": 99.0, "k2": 99.0, "k3": 99.0, "k4": 99.0},
        events=[
            Event("e1", "c1", "case.completed", 1),
            Event("e2", "c2", "case.input_needed", 1),
            Event("e3", "c2", "case.completed", 2),
            Event("e4", "c3", "case.failed", 1),
        ],
        told=[told("e2", "c2"), told("e1", "c1"), told("e1", "c1"), told("e3", "c2"), told("e4", "c3")],
        kills=5,
        at_their_end={"c1": {"status": "COMPLETED"}},
        in_the_end={"c1": {"status": "COMPLETED"}},
    )


def judged(facts: Facts) -> list[str]:
    """What speaks against the promises of the load."""
    verdicts = [
        promises.nothing_lost(facts),
        promises.one_mail_per_decision(facts, "agentmail"),
        promises.one_mail_per_decision(facts, "email"),
        promises.terminal_is_terminal(facts),
        promises.events_arrive(facts),
    ]
    return [found for verdict in verdicts for found in verdict.found]


def test_where_all_is_well_nothing_is_found() -> None:
    assert judged(good()) == []


def test_a_case_that_is_lost_is_found() -> None:
    facts = good()
    facts.rows = facts.rows[1:]
    facts.events, facts.told = facts.events[1:], [one for one in facts.told if one.event_id != "e1"]
    assert judged(facts) == ["date-load-1: acknowledged as c1, there are []"]
    assert promises.nothing_lost(facts).figure == "5 kills, 3 cases: 1 lost, 0 stuck"


def test_a_case_that_is_there_twice_is_found() -> None:
    facts = good()
    facts.rows = [*facts.rows, replace(facts.rows[0], id="c9", status="RUNNING", result_status=None)]
    assert judged(facts) == [
        "date-load-1: acknowledged as c1, there are ['c1', 'c9']",
        "date-load-1 c9: ended ('RUNNING', None)",
    ]


def test_a_case_with_the_wrong_end_is_found_and_one_that_was_cancelled_in_vain() -> None:
    facts = good()
    facts.rows = [*facts.rows[:2], replace(facts.rows[2], result_status="BOUNCED")]
    facts.stuck = ["case c1"]
    assert judged(facts) == ["refuses-load-3 c3: ended ('FAILED', 'BOUNCED')", "stuck: case c1"]
    plan = Plan("cancelled", 1, "email")
    row = CaseRow("c1", plan.reference, "COMPLETED", "goal_achieved", 0, 1.0)
    facts = Facts([plan], {plan.reference: "c1"}, [row], [], cancelled={"c1": 200})
    assert promises.nothing_lost(facts).found == (
        "cancelled-load-1 c1: was cancelled, and ended ('COMPLETED', 'goal_achieved')",
    )
    assert promises.nothing_lost(replace(facts, cancelled={"c1": 409})).holds


def test_a_case_that_was_never_acknowledged_is_found() -> None:
    facts = good()
    facts.acknowledged = {reference: pk for reference, pk in facts.acknowledged.items() if pk != "c3"}
    assert judged(facts) == ["refuses-load-3 was never acknowledged"]


def test_a_doubled_mail_is_found() -> None:
    facts = good()
    facts.mails = [*facts.mails, mail(DATE_PLAN, "k1", "a")]
    assert judged(facts) == ["date-load-1@supplier.example k1: 2 times"]
    facts.mails = [*good().mails, mail(DATE_PLAN, "k9", "a")]
    facts.began = {**facts.began, "k9": 99.0}
    assert judged(facts) == [
        "date-load-1@supplier.example: the same words as 2 mails",
        "date-load-1: 2 mails, not 1 to 1",
    ]


def test_by_smtp_a_mail_may_be_repeated_as_often_as_something_was_killed() -> None:
    facts = good()
    facts.mails = [*facts.mails, *5 * [mail(ASKS_PLAN, "k2", "a")]]
    assert judged(facts) == []
    facts.mails = [*facts.mails, mail(ASKS_PLAN, "k2", "a")]
    assert judged(facts) == ["6 repeats in 5 kills"]
    facts.mails = [*good().mails, mail(ASKS_PLAN, "k5", "b")]
    facts.began = {**facts.began, "k5": 99.0}
    assert judged(facts)[0] == "asks-load-2@supplier.example: the same words as 2 mails"


def test_a_mail_that_is_missing_is_found() -> None:
    facts = good()
    facts.mails = [one for one in facts.mails if one.key != "k3"]
    assert judged(facts) == ["asks-load-2: 1 mails, not 2 to 2"]


@pytest.mark.parametrize(
    ("at", "began", "is_found"), [(111.0, 109.0, False), (111.0, 110.5, True), (116.0, 109.0, True)]
)
def test_a_mail_after_the_end_is_found_unless_it_was_on_its_way(at: float, began: float, is_found: bool) -> None:
    facts = good()
    facts.mails = [mail(DATE_PLAN, "k1", "a", at), *facts.mails[1:]]
    facts.began = {**facts.began, "k1": began}
    late = [f"date-load-1@supplier.example: a mail {at - 110:.1f} s after its end"]
    assert judged(facts) == (late if is_found else [])


def test_a_change_after_the_end_is_found() -> None:
    facts = good()
    facts.in_the_end = {"c1": {"status": "COMPLETED", "attachments": []}}
    assert judged(facts) == ["c1: attachments changed"]
    facts.in_the_end = {}
    assert judged(facts) == ["c1: status changed"]


def test_events_that_are_missing_out_of_order_unsigned_changed_or_unknown_are_found() -> None:
    facts = good()
    facts.told = [told("e3", "c2"), told("e2", "c2"), told("e4", "c3", is_signed=False), told("e9", "c1")]
    facts.told += [told("e4", "c3", digest="other")]
    assert judged(facts) == [
        "e1 was never delivered",
        "case c2: its events came out of order",
        "e4: a wrong signature",
        "e4: 2 different bodies",
        "e9: nobody knows of it",
    ]
    facts = good()
    facts.events = [*facts.events, Event("e5", "c1", "case.failed", 2)]
    facts.told = [*facts.told, told("e5", "c1")]
    assert judged(facts) == ["date-load-1: 2 events tell of its end"]


def test_two_winners_are_found_and_in_calm_none_too() -> None:
    assert promises.one_winner({"q": Counter({202: 1, 409: 19})}, calm=True).holds
    assert promises.one_winner({"q": Counter({202: 0, 409: 4, 0: 1})}, calm=False).holds
    for statuses in ({202: 2, 409: 18}, {409: 20}, {202: 1, 409: 18, 500: 1}):
        assert not promises.one_winner({"q": Counter(statuses)}, calm=True).holds
    assert not promises.one_winner({"q": Counter({202: 2, 409: 3})}, calm=False).holds


def test_the_table_says_what_is_broken() -> None:
    held, broken = promises.Verdict("R1", "0 lost"), promises.Verdict("R2 x", "3 twice", ("a", "b", "c"))
    assert promises.table([held, broken], shown=2).splitlines() == [
        "held    R1    0 lost",
        "BROKEN  R2 x  3 twice",
        "          - a",
        "          - b",
        "          - and 1 more",
    ]


# --- The model ----------------------------------------------------------------------------------------------------


def thread(*texts: str, answers: tuple[str, ...] = ()) -> dict[str, Any]:
    theirs = [{"id": f"m{number}", "from": "counterparty", "text": text} for number, text in enumerate(texts)]
    ours = {"id": "o", "from": "us", "text": f"When? {DATE}"}
    return {"thread": [ours, {"left_out": "2 mails"}, *theirs], "answers": [{"text": text} for text in answers]}


@pytest.mark.parametrize(
    ("data", "decision"),
    [
        (thread(), "WAIT"),
        (thread(f"Hello,\n{DATE}"), "GOAL_ACHIEVED"),
        (thread(ASKS), "INPUT_NEEDED"),
        (thread(ASKS, answers=("Anything.",)), "INPUT_NEEDED"),
        (thread(ASKS, answers=(f"{ANSWER} (3)",)), "REPLY"),
        (thread(ASKS, DATE, answers=(ANSWER,)), "GOAL_ACHIEVED"),
        (thread(TALKS), "REPLY"),
        (thread(REFUSES), "REJECTED"),
    ],
)
def test_what_the_model_makes_of_a_thread(data: dict[str, Any], decision: str) -> None:
    assert verdict(data)["decision"] == decision
