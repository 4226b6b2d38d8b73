"""Threads that do things together: who waits for whom, and whose error is whose."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import OperationalError

from webhooks.together import Together


class Doubling:
    """Doubles numbers; what it is asked for is noted. The first call lasts until it is let go."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.is_at_it, self.may_go_on = threading.Event(), threading.Event()

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.asked.append(list(numbers))
        if len(self.asked) == 1:
            self.is_at_it.set()
            assert self.may_go_on.wait(10)
        if -1 in numbers:
            raise OperationalError("gone")
        if 0 in numbers:
            raise ValueError("nought")
        return [2 * number for number in numbers]


def waiting_behind_one(doubling: Doubling, numbers: Sequence[int]) -> list[int | BaseException]:
    """What each of these gets, all of whom come while a first one, 1, is being done."""
    together = Together(doubling)
    with ThreadPoolExecutor(len(numbers) + 1) as threads:
        first = threads.submit(together, 1)
        assert doubling.is_at_it.wait(10)
        others = [threads.submit(together, number) for number in numbers]
        while len(together._waiting) < len(numbers):
            pass
        doubling.may_go_on.set()
        assert first.result(10) == 2
        return [each.exception(10) or each.result() for each in others]


def test_whoever_comes_meanwhile_is_served_by_one_call_and_gets_what_is_theirs() -> None:
    doubling = Doubling()
    assert waiting_behind_one(doubling, [2, 3, 4, 5]) == [4, 6, 8, 10]
    assert [sorted(numbers) for numbers in doubling.asked] == [[1], [2, 3, 4, 5]]


def test_nobody_waits_for_others_to_come() -> None:
    doubling = Doubling()
    doubling.may_go_on.set()
    together = Together(doubling)
    assert [together(3), together(4)] == [6, 8]
    assert doubling.asked == [[3], [4]]


def test_an_error_is_raised_to_whom_it_concerns() -> None:
    doubling = Doubling()
    two, nought, three = waiting_behind_one(doubling, [2, 0, 3])
    assert (two, three) == (4, 6)
    assert isinstance(nought, ValueError)
    assert sorted(doubling.asked[2:]) == [[0], [2], [3]]


def test_where_the_database_is_away_all_hear_of_it_and_nothing_is_repeated() -> None:
    doubling = Doubling()
    answers = waiting_behind_one(doubling, [2, -1, 3])
    assert [type(answer) for answer in answers] == [OperationalError] * 3
    assert len(doubling.asked) == 2


def test_after_an_error_the_next_one_is_served() -> None:
    doubling = Doubling()
    doubling.may_go_on.set()
    together = Together(doubling)
    with pytest.raises(ValueError, match="nought"):
        together(0)
    assert together(7) == 14
