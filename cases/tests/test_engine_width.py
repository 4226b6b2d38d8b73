"""How many rows a pump advances side by side: cases/width.py, with a clock that the test moves."""

import pytest
from pytest_django import Settings

from cases import width
from cases.leases import StepFailed
from cases.width import Width

pytestmark = pytest.mark.engine


class Process:
    """A process of which the test says how long it has run, and how busy it was."""

    def __init__(self, least: int = 8, most: int = 32) -> None:
        self.time = self.used = 100.0
        self.width = Width(least, most, clock=lambda: self.time, processor=lambda: self.used)

    def passes(self, *, busy: float = 0.1, in_use: int = 0, seconds: float = width.INTERVAL_SECONDS) -> int:
        """The width after this time."""
        self.time += seconds
        self.used += busy * seconds
        self.width.adapt(in_use)
        return self.width.now


def test_it_begins_with_all() -> None:
    assert Process().width.now == 32


def test_a_processor_that_is_used_up_takes_a_quarter_away_but_never_more_than_to_the_floor() -> None:
    process = Process()
    assert [process.passes(busy=0.95, in_use=32) for _ in range(6)] == [24, 18, 13, 9, 8, 8]


def test_a_process_that_waits_gets_an_eighth_back_each_time_up_to_the_most() -> None:
    process = Process()
    for _ in range(6):
        process.passes(busy=1.0)
    assert [process.passes(in_use=99) for _ in range(8)] == [12, 16, 20, 24, 28, 32, 32, 32]


def test_nothing_grows_that_nobody_uses() -> None:
    process = Process()
    process.passes(busy=1.0, in_use=32)
    assert [process.passes(in_use=23), process.passes(in_use=24)] == [24, 28]


def test_threads_that_were_all_in_use_for_a_moment_count() -> None:
    process = Process()
    process.passes(busy=1.0)
    process.passes(in_use=24, seconds=0.1)
    assert process.passes(in_use=0) == 28


@pytest.mark.parametrize(
    ("turned_away", "others", "now"), [(2, 6, 16), (2, 7, 32), (1, 0, 32), (1, 3, 32), (8, 0, 16), (0, 8, 32)]
)
def test_a_quarter_that_is_turned_away_halves_it(turned_away: int, others: int, now: int) -> None:
    process = Process()
    for _ in range(turned_away):
        process.width.note(TimeoutError())
    for number in range(others):
        process.width.note(ValueError("no") if number % 2 else None)
    assert process.passes(in_use=32) == now


def test_what_happened_before_counts_once() -> None:
    process = Process()
    for _ in range(4):
        process.width.note(TimeoutError())
    assert [process.passes(), process.passes(), process.passes(in_use=16)] == [16, 16, 20]


def test_it_changes_no_more_often_than_that() -> None:
    process = Process()
    assert [process.passes(busy=1.0, seconds=width.INTERVAL_SECONDS / 5) for _ in range(9)] == [32] * 4 + [24] * 5


def test_a_pause_between_pumps_says_nothing() -> None:
    process = Process()
    process.width.note(TimeoutError())
    process.width.note(TimeoutError())
    assert process.passes(busy=1.0, in_use=32, seconds=2 * width.INTERVAL_SECONDS) == 32
    assert process.passes() == 32  # nor later


class ReadTimeout(OSError):
    """As HTTP clients name theirs."""


def caused_by(cause: Exception) -> Exception:
    error = RuntimeError("the model did not answer")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (StepFailed("429", retry_after_seconds=30), True),
        (StepFailed("500"), False),
        (TimeoutError(), True),
        (ReadTimeout(), True),
        (caused_by(ReadTimeout()), True),
        (caused_by(ValueError("no")), False),
        (ValueError("Timeout"), False),
    ],
)
def test_what_counts_as_turned_away(error: Exception, is_one: bool) -> None:
    assert width.is_turned_away(error) is is_one


@pytest.mark.parametrize(
    ("most", "floor", "least"), [(32, 0, 8), (32, 32, 32), (32, 99, 32), (32, 12, 12), (8, 0, 5), (2, 0, 5)]
)
def test_the_settings_say_between_what(settings: Settings, most: int, floor: int, least: int) -> None:
    settings.OFFLOAD_CONCURRENCY, settings.OFFLOAD_CONCURRENCY_FLOOR = most, floor
    found = width.of_process(5)
    assert (found.least, found.most) == (least, max(most, 5))
    assert width.of_process(5) is found  # what it has learned is kept from pump to pump


def test_with_a_floor_as_high_as_the_most_nothing_ever_changes() -> None:
    process = Process(least=32)
    process.width.note(TimeoutError())
    process.width.note(TimeoutError())
    assert [process.passes(busy=1.0, in_use=32) for _ in range(3)] == [32] * 3
