"""Every benchmark of `make bench` runs, small, and prints its figures; what they say is for `make bench`."""

import subprocess
import sys
from functools import partial

import pytest

from benchmarks import measure
from benchmarks.__main__ import ALL
from benchmarks.measure import Figure, medians
from conftest import require
from offload_project.tests.processes import ROOT

FIGURES = {  # of which each benchmark prints at least these
    "post_get": {"post", "get"},
    "pipeline": {"pipeline", "pipeline-vs-django-q2"},
    "waits": {"waits"},
    "due": {"due", "due-look", "due-longest-transaction"},
    "deliver": {"deliver", "deliver-sick"},
    "start": {"start-p50-idle", "start-p99-idle", "start-p50-busy", "start-p99-busy"},
    "memory": {"memory-growth"},
    "growth": {"growth-post", "growth-get"},
}


@pytest.mark.parametrize("name", ALL)
def test_it_runs(name: str) -> None:
    require("postgres")
    require("redis")
    command = [sys.executable, "-m", f"benchmarks.{name}", "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    printed = {line.split()[0]: line.split()[1] for line in done.stdout.splitlines() if len(line.split()) > 1}
    assert FIGURES[name] <= {*printed}, done.stdout
    assert all(float(printed[figure]) > 0 for figure in FIGURES[name])


def test_sides_take_turns_and_their_first_round_is_not_counted() -> None:
    values = {"ours": iter([100.0, 1.0, 9.0, 2.0]), "floor": iter([100.0, 5.0, 5.0, 6.0])}
    asked = list[str]()

    def side(name: str) -> float:
        asked.append(name)
        return next(values[name])

    found = medians({name: partial(side, name) for name in values}, rounds=3)
    assert found == {"ours": 2.0, "floor": 5.0}
    assert asked == ["ours", "floor", "floor", "ours", "ours", "floor", "floor", "ours"]


@pytest.mark.parametrize(
    ("figure", "line"),
    [
        (Figure("post", 0.7, at_least=0.7), "post 0.7   (at least 0.7: holds)"),
        (Figure("post", 0.69, at_least=0.7), "post 0.69   (at least 0.7: MISSED)"),
        (Figure("due-look", 2.1, at_most=2, unit="ms"), "due-look 2.1 ms   (at most 2: MISSED)"),
        (Figure("memory-web-idle", 71.26, unit="MB"), "memory-web-idle 71.26 MB"),
    ],
)
def test_a_figure_tells_its_goal(figure: Figure, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    measure.show(figure)
    assert capsys.readouterr().out == f"{line}\n"
