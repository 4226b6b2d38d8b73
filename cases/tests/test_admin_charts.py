"""Charts: what stands at which place, and what is said of it."""

from datetime import date

import pytest

from cases.admin import charts, spans
from cases.admin.charts import Line, Series, Shape, Value

DAYS = [date(2026, 3, 10), date(2026, 3, 11)]


def values(*numbers: float | None) -> list[Value]:
    return [Value(number, f"?{at}") for at, number in enumerate(numbers)]


def test_bars_stand_beside_and_on_top_of_each_other() -> None:
    chart = charts.bars(
        "cases",
        "Cases",
        DAYS,
        [
            Series("posted", "info", values(4, 0)),
            Series("completed", "ok", values(2, None), stack=1),
            Series("failed", "bad", values(1, 8), stack=1),
        ],
        summary="…",
    )
    assert (chart.top, chart.middle, chart.width, chart.is_empty) == ("8", "4", 24, False)
    assert chart.shapes == [
        Shape(1, 50, 5, 50, "info", "Tue 10 Mar: 4 posted", "?0"),
        Shape(6, 75, 5, 25, "ok", "Tue 10 Mar: 2 completed", "?0"),
        Shape(6, 62.5, 5, 12.5, "bad", "Tue 10 Mar: 1 failed", "?0"),
        Shape(18, 0, 5, 100, "bad", "Wed 11 Mar: 8 failed", "?1"),
    ]
    assert chart.rows == [
        (DAYS[1], [("0", "?1"), ("–", "?1"), ("8", "?1")]),
        (DAYS[0], [("4", "?0"), ("2", "?0"), ("1", "?0")]),
    ]


def test_a_line_has_gaps_and_dots() -> None:
    days = [*DAYS, date(2026, 3, 12), date(2026, 3, 13), date(2026, 3, 14)]
    chart = charts.lines(
        "answers",
        "Time to answer",
        days,
        [Series("median", "info", values(1800, None, 3600, 0, None)), Series("most", "warn", values(*[None] * 5))],
        summary="…",
    )
    assert (chart.top, chart.middle) == ("1 h", "30 min")
    assert chart.lines == [Line("6,50.00 6,50.00", "info", is_dot=True), Line("30,0.00 42,100.00", "info")]
    assert [(shape.x, shape.title) for shape in chart.shapes] == [
        (0, "Tue 10 Mar: median 30 min, most –"),
        (24, "Thu 12 Mar: median 1 h, most –"),
        (36, "Fri 13 Mar: median 0 s, most –"),
    ]


def test_nothing_is_an_empty_chart() -> None:
    assert charts.bars("cases", "Cases", DAYS, [Series("posted", "info", values(0, None))], summary="…").is_empty
    assert charts.lines("answers", "…", DAYS, [Series("median", "info", values(None, None))], summary="…").is_empty


def test_answers_that_took_no_time_are_a_line() -> None:
    chart = charts.lines("answers", "…", DAYS, [Series("median", "info", values(0, None))], summary="…")
    assert (chart.is_empty, chart.lines) == (False, [Line("6,100.00 6,100.00", "info", is_dot=True)])


@pytest.mark.parametrize(
    ("most", "end"), [(0, 1), (1, 1), (3, 4), (5, 6), (11, 20), (51, 60), (999, 1000), (0.03, 0.04)]
)
def test_an_axis_ends_at_a_round_number(most: float, end: float) -> None:
    assert charts.end_of_axis(most) == pytest.approx(end)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (90, "1.5 min"),
        (3600, "1 h"),
        (35_000, "9.7 h"),
        (35_990, "10 h"),
        (86_400 * 12, "12 d"),
    ],
)
def test_lengths_of_time_are_short(seconds: float, words: str) -> None:
    assert spans.short(seconds) == words


def test_an_axis_of_time_ends_at_a_length_that_people_count_in() -> None:
    assert [spans.end_of_axis(seconds) for seconds in (1, 60, 61, 90_000, 10**9)] == [10, 60, 120, 172_800, 10**9]
