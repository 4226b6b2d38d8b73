"""How benchmarks measure: sides in turns, medians of rounds, ratios. A machine's mood then falls on all sides alike."""

import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

GOALS = "BENCH_GOALS"  # in the environment: a file to which each figure is written besides, for `make bench`


@dataclass(frozen=True)
class Figure:
    """One line of a benchmark: what was measured, and what it ought to be at least or at most."""

    name: str
    value: float
    at_least: float | None = None
    at_most: float | None = None
    unit: str = ""  # of a figure that is no ratio

    @property
    def holds(self) -> bool:
        """Whether it reaches its goal; a figure without one always does."""
        low = self.at_least is None or self.value >= self.at_least
        return low and (self.at_most is None or self.value <= self.at_most)

    def __str__(self) -> str:
        goal = f"at least {self.at_least:g}" if self.at_least is not None else ""
        goal = f"at most {self.at_most:g}" if self.at_most is not None else goal
        verdict = f"   ({goal}: {'holds' if self.holds else 'MISSED'})" if goal else ""
        return f"{self.name} {self.value:.4g}{' ' + self.unit if self.unit else ''}{verdict}"


def show(figure: Figure) -> Figure:
    """Print the figure as `name ratio`, with its goal; returns it."""
    print(figure, flush=True)
    if path := os.environ.get(GOALS):
        with open(path, "a") as lines:
            lines.write(f"{figure}\n")
    return figure


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    began_at = time.perf_counter()
    work()
    return time.perf_counter() - began_at


def medians(sides: Mapping[str, Callable[[], float]], rounds: int = 5) -> dict[str, float]:
    """The median of what each side gives in `rounds` rounds. In each round all sides run, one after the other, and
    another one begins; a first round, in which caches fill, is not counted.
    """
    names, given = list(sides), {name: list[float]() for name in sides}
    for number in range(rounds + 1):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            value = sides[name]()
            if number:
                given[name].append(value)
    return {name: statistics.median(values) for name, values in given.items()}
