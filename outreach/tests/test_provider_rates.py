"""How often a fleet calls a service that turns calls away, by the test's own clock: outreach/providers/rules.py."""

import heapq
import itertools
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from outreach.models import Provider
from outreach.providers import rules
from outreach.providers.trouble import busy, down

BEGIN = datetime.fromisoformat("2026-11-26T12:00:00+00:00")
PATIENCE_SECONDS, ANSWER_SECONDS = 2.0, 0.2


class Fleet:
    """Workers that would call 100 times a second, and a service that takes `capacity(seconds)` calls a second.

    It answers others with 429 and, where `asks_for` says so, with a Retry-After. Times are in seconds from the begin.
    """

    def __init__(self, capacity: Callable[[float], float], asks_for: Callable[[float], float | None]) -> None:
        self.row = Provider(name="somebody")
        self.good: list[float] = []
        self.bad: list[float] = []
        self._capacity, self._asks_for = capacity, asks_for
        self._tokens, self._filled_at = 1.0, 0.0
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._numbers = itertools.count()

    def run(self, seconds: int) -> "Fleet":
        for number in range(100 * seconds):
            self._at(number / 100, lambda at: self._ask(at, at + PATIENCE_SECONDS))
        while self._events:
            at, _, act = heapq.heappop(self._events)
            self.row.now = BEGIN + timedelta(seconds=at)
            act(at)
        return self

    def _at(self, at: float, act: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (at, next(self._numbers), act))

    def _ask(self, at: float, give_up_at: float) -> None:
        turn = rules.admit(self.row, patience_seconds=max(0.0, give_up_at - at), call_seconds=60)
        if turn.is_ours:
            self._at(at + turn.in_seconds, lambda at: self._call(at, turn, give_up_at))

    def _call(self, at: float, turn: rules.Turn, give_up_at: float) -> None:
        if turn.in_seconds and self.row.ramp_from not in (None, turn.ramp_from):
            self._ask(at, give_up_at)  # as cases do at the gate
            return
        self._tokens = min(max(1.0, self._capacity(at)), self._tokens + (at - self._filled_at) * self._capacity(at))
        self._filled_at = at
        if self._capacity(at) > 0 and self._tokens >= 1:
            self._tokens -= 1
            self.good.append(at)
        else:
            self.bad.append(at)
            self._at(at + ANSWER_SECONDS, lambda now: self._tell(now, began_at=at))

    def _tell(self, at: float, began_at: float) -> None:
        trouble = busy("it answers 429", self._asks_for(at))
        rules.note_trouble(self.row, trouble, began_at=BEGIN + timedelta(seconds=began_at), is_probe=False)


def nothing(_: float) -> None:
    return None


def of(capacity: Callable[[float], float], seconds: int, asks_for: Callable[[float], float | None] = nothing) -> Fleet:
    return Fleet(capacity, asks_for).run(seconds)


def within(times: list[float], begin: float, end: float) -> int:
    return sum(begin <= at < end for at in times)


def test_a_service_gets_about_as_many_calls_as_it_takes() -> None:
    fleet = of(lambda _: 20.0, 300)
    assert within(fleet.good, 60, 300) > 0.6 * 20 * 240
    assert within(fleet.bad, 60, 300) < 10


@pytest.mark.parametrize("capacity", [1.0, 3.0])
def test_so_does_one_that_takes_few(capacity: float) -> None:
    fleet = of(lambda _: capacity, 300)
    assert within(fleet.good, 60, 300) > 0.5 * capacity * 240
    assert within(fleet.bad, 60, 300) < 0.3 * within(fleet.good, 60, 300)


def test_after_a_minute_without_any_answer_a_fleet_is_soon_as_fast_as_before() -> None:
    fleet = of(lambda at: 0.0 if 30 <= at < 90 else 50.0, 180)
    assert within(fleet.bad, 31, 90) < 20
    assert within(fleet.good, 90 + 30, 180) > 0.3 * 50 * 60  # by when the longest pause is over


def test_a_service_that_turns_all_away_is_asked_now_and_then() -> None:
    fleet = of(lambda _: 0.0, 600)
    calls = [at for at in fleet.bad if at > 60]
    assert 30 < max(later - earlier for earlier, later in itertools.pairwise(calls)) < 35
    assert len(calls) < 40


def test_apart_from_pauses_there_is_a_floor() -> None:
    row = Provider(name="somebody")
    row.now = BEGIN
    for _ in range(100):  # each time after calls that went well
        rules.note_trouble(row, busy("it answers 429", 1.0), began_at=row.now, is_probe=False)
        row.now += timedelta(seconds=4)
        assert rules.rate_at(row, row.now) >= rules.FLOOR
    row.next_at = row.now
    waits = [rules.admit(row, patience_seconds=60, call_seconds=60).in_seconds for _ in range(5)]
    assert max(later - earlier for earlier, later in itertools.pairwise(waits)) <= 1 / rules.FLOOR


def test_nobody_calls_before_the_end_of_a_pause_that_was_asked_for() -> None:
    fleet = of(lambda at: 5.0 if at < 20 else 0.0, 400, asks_for=lambda _: 120.0)
    first = min(at for at in fleet.bad if at >= 20)
    assert within(fleet.bad, first + ANSWER_SECONDS, first + 120) == 0
    assert within(fleet.bad, first + 120, first + 130) > 0


def test_what_others_are_told_meanwhile_makes_a_pause_no_shorter() -> None:
    row = Provider(name="somebody")
    row.now = BEGIN
    rules.note_trouble(row, busy("it answers 429", 300.0), began_at=row.now, is_probe=False)
    row.now += timedelta(seconds=1)  # of a process that had not yet heard of it
    rules.note_trouble(row, busy("it answers 429"), began_at=row.now, is_probe=False)
    rules.note_trouble(row, busy("it answers 429", 5.0), began_at=row.now, is_probe=False)
    assert row.paused_until == BEGIN + timedelta(seconds=300)
    for _ in range(rules.DOWN_AFTER):
        rules.note_trouble(row, down("it answers 500"), began_at=row.now, is_probe=False)
    assert row.is_down
    assert row.paused_until == BEGIN + timedelta(seconds=300)
    assert not rules.admit(row, patience_seconds=200, call_seconds=60).is_ours


def test_pauses_that_nobody_asked_for_grow_while_it_is_not_back() -> None:
    row, pauses = Provider(name="somebody"), []
    row.now = BEGIN
    for _ in range(7):
        rules.note_trouble(row, busy("it answers 429"), began_at=row.now, is_probe=False)
        assert row.paused_until is not None
        pauses.append((row.paused_until - row.now).total_seconds())
        row.now = row.paused_until  # the first call after it
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    row.now += timedelta(seconds=6)  # calls went well meanwhile
    rules.note_trouble(row, busy("it answers 429"), began_at=row.now, is_probe=False)
    assert row.paused_until == row.now + timedelta(seconds=1)
    assert row.ramp_knee == 4


def test_the_rate_that_was_found_outlives_a_service_that_is_not_back() -> None:
    row = Provider(name="somebody", ramp_from=BEGIN, ramp_rate=16.0, ramp_knee=16.0, slowed_at=BEGIN)
    for _ in range(20):
        row.now = max(BEGIN, row.paused_until or BEGIN)
        rules.note_trouble(row, busy("it answers 429"), began_at=row.now, is_probe=False)
    assert (row.ramp_rate, row.ramp_knee) == (1.0, 16.0)
    assert row.ramp_from is not None
    rates = [rules.rate_at(row, row.ramp_from + timedelta(seconds=seconds)) for seconds in (0, 2, 8, 18)]
    assert rates == [1, 2, 16, 17]
