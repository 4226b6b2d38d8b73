"""How often a name may do something, in one process and in several."""

import multiprocessing
from pathlib import Path

import pytest

from cases.rates import NEIGHBOURS, SLOTS, Counters

AT = 1_800_000_000.0


@pytest.fixture
def counters(tmp_path: Path) -> Counters:
    return Counters(tmp_path / "rates")


def granted(counters: Counters, name: str, count: int, *, at: float = AT, per_minute: int = 60, burst: int = 5) -> int:
    taken = (counters.take(name, per_minute=per_minute, burst=burst, at=at) for _ in range(count))
    return sum(allowance.is_granted for allowance in taken)


def test_a_burst_is_granted_at_once_and_no_more(counters: Counters) -> None:
    left = [counters.take("a", per_minute=60, burst=3, at=AT) for _ in range(4)]
    assert [(a.limit, a.remaining, a.reset_seconds, a.wait_seconds) for a in left] == [
        (3, 2, 1, 0),
        (3, 1, 2, 0),
        (3, 0, 3, 0),
        (3, 0, 3, 1),
    ]


def test_what_was_taken_comes_back_evenly(counters: Counters) -> None:
    assert granted(counters, "a", 10) == 5
    assert granted(counters, "a", 10, at=AT + 2) == 2
    assert granted(counters, "a", 10, at=AT + 2.9) == 0
    assert granted(counters, "a", 10, at=AT + 3600) == 5


@pytest.mark.parametrize(("per_minute", "burst"), [(600, 600), (7, 7), (1, 1), (59, 13), (100_000, 3)])
def test_the_sums_come_out(counters: Counters, per_minute: int, burst: int) -> None:
    assert granted(counters, "a", burst + 5, per_minute=per_minute, burst=burst) == burst


def test_what_is_refused_costs_nothing(counters: Counters) -> None:
    assert granted(counters, "a", 1000) == 5
    assert granted(counters, "a", 10, at=AT + 1) == 1


def test_names_do_not_count_for_each_other(counters: Counters) -> None:
    assert [granted(counters, str(name), 10) for name in range(50)] == [5] * 50


def test_a_clock_that_is_set_back_locks_nobody_out_for_long(counters: Counters) -> None:
    granted(counters, "a", 10)
    assert granted(counters, "a", 10, at=AT - 86_400) == 0
    assert granted(counters, "a", 10, at=AT - 86_400 + 5) == 5


def test_more_names_than_there_is_room_for_push_out_those_that_owe_least(counters: Counters) -> None:
    granted(counters, "busy", 5)
    for name in range(SLOTS * 2):
        counters.take(str(name), per_minute=60, burst=5, at=AT)
    assert granted(counters, "busy", 5) == 0
    assert NEIGHBOURS == 8


def take_many(path: Path) -> int:
    return granted(Counters(path), "a", 100, per_minute=1, burst=150)


def test_processes_count_together(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert sum(pool.map(take_many, [tmp_path / "rates"] * 2, chunksize=1)) == 150


def test_where_the_file_cannot_be_written_a_process_counts_for_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    alone = Counters(tmp_path / "file" / "rates")
    assert "rates are counted for each process by itself" in caplog.text
    assert granted(alone, "a", 10) == 5
