"""Charts of days as SVG: bars and lines in numbers that a template writes down, and the same as a table.

A chart is as many units wide as DAY times its days and HEIGHT units high, and is stretched to whatever room it gets;
so it holds no text. What words it needs stand beside it in HTML.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from cases.admin import spans

DAY, HEIGHT = 12, 100
Words = Callable[[float], str]


@dataclass(frozen=True)
class Value:
    """A number of one day, and the address of the list behind it. None: there is no such number."""

    number: float | None
    url: str


@dataclass(frozen=True)
class Series:
    """A number for each day. `tone` is the class that gives its colour; `stack` the place of its bars within a day."""

    words: str
    tone: str
    values: Sequence[Value]
    stack: int = 0


@dataclass(frozen=True)
class Shape:
    """A rectangle that can be pointed at; without a tone it is not seen."""

    x: float
    y: float
    width: float
    height: float
    tone: str
    title: str
    url: str


@dataclass(frozen=True)
class Line:
    points: str  # as SVG wants them
    tone: str
    is_dot: bool = False  # a day between two days without a value


@dataclass(frozen=True)
class Chart:
    """All that templates/admin/home/_chart.html needs."""

    name: str
    title: str
    summary: str  # what somebody hears who can't see it
    days: Sequence[date]
    series: Sequence[Series]
    shapes: Sequence[Shape]
    lines: Sequence[Line]
    top: str  # at the upper end of the axis
    middle: str
    words: Words

    @property
    def width(self) -> int:
        return DAY * len(self.days)

    @property
    def height(self) -> int:
        return HEIGHT

    @property
    def middle_day(self) -> date:
        return self.days[len(self.days) // 2]

    @property
    def is_empty(self) -> bool:
        return not self.shapes

    @property
    def rows(self) -> list[tuple[date, list[tuple[str, str]]]]:
        """The table, the latest day first: of each day its values in words, each with the address of its list."""
        return [
            (day, [(_said(series.values[at], self.words), series.values[at].url) for series in self.series])
            for at, day in reversed(list(enumerate(self.days)))
        ]


def bars(
    name: str, title: str, days: Sequence[date], series: Sequence[Series], *, summary: str, least: float = 2
) -> Chart:
    """Bars side by side, one for each `stack`; series of the same stack stand on top of each other.

    The axis does not end before `least`: half of what is counted is a whole number then.
    """
    stacks = max(one.stack for one in series) + 1
    sums = [
        sum(one.values[at].number or 0 for one in series if one.stack == stack)
        for stack in range(stacks)
        for at in range(len(days))
    ]
    top = end_of_axis(max(least, *sums))
    width = (DAY - 2) / stacks
    shapes = []
    for at, day in enumerate(days):
        reached = [0.0] * stacks
        for one in series:
            value, x = one.values[at], at * DAY + 1 + one.stack * width
            height = HEIGHT * (value.number or 0) / top
            if height:
                y = HEIGHT - reached[one.stack] - height
                title_ = f"{day:%a %d %b}: {number(value.number or 0)} {one.words}"
                shapes.append(Shape(x, round(y, 2), round(width, 2), round(height, 2), one.tone, title_, value.url))
            reached[one.stack] += height
    return Chart(name, title, summary, days, series, shapes, [], number(top), number(top / 2), number)


def lines(name: str, title: str, days: Sequence[date], series: Sequence[Series], *, summary: str) -> Chart:
    """Lines of lengths of time in seconds; a day without a value is a gap. The whole of a day can be pointed at."""
    top = spans.end_of_axis(max((value.number or 0 for one in series for value in one.values), default=0) or 1)
    drawn = [
        Line(" ".join(points if len(points) > 1 else points * 2), one.tone, len(points) == 1)
        for one in series
        for points in _stretches(one.values, top)
    ]
    shapes = [
        Shape(at * DAY, 0, DAY, HEIGHT, "", f"{day:%a %d %b}: {_all_said(series, at)}", series[0].values[at].url)
        for at, day in enumerate(days)
        if any(one.values[at].number is not None for one in series)
    ]
    return Chart(name, title, summary, days, series, shapes, drawn, spans.short(top), spans.short(top / 2), spans.short)


def _stretches(values: Sequence[Value], top: float) -> list[list[str]]:
    """The points of each run of days that have a value."""
    stretches: list[list[str]] = [[]]
    for at, value in enumerate(values):
        if value.number is None:
            stretches.append([])
        else:
            stretches[-1].append(f"{at * DAY + DAY / 2:g},{HEIGHT - HEIGHT * value.number / top:.2f}")
    return [points for points in stretches if points]


def _all_said(series: Sequence[Series], at: int) -> str:
    return ", ".join(f"{one.words} {_said(one.values[at], spans.short)}" for one in series)


def _said(value: Value, words: Words) -> str:
    return "–" if value.number is None else words(value.number)


def number(value: float) -> str:
    """A number as people read it: `1 250`, `2.5`."""
    return f"{value:,.0f}".replace(",", "\u202f") if value == int(value) else f"{value:.4g}"


def end_of_axis(most: float) -> float:
    """The first of 1, 2, 4, 6, 8, 10, 20 … that is not smaller; smaller ones than 1 where that is needed."""
    if most <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= most * (1 - 1e-9))
