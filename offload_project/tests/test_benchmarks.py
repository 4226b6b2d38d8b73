"""The benchmarks run, small, and print their figures; what these say is for `make bench`."""

import re
import subprocess
import sys
from functools import partial

import pytest

from benchmarks import measure
from benchmarks.measure import Figure, medians
from conftest import require
from offload_project.tests.processes import ROOT


def test_a_benchmark_runs_and_its_figures_come_together_at_the_end() -> None:
    """One of them, small; `make bench ARGS=--quick` runs all."""
    require("postgres")
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "deliver"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    together = done.stdout.rpartition("\n\n")[2]
    figures = dict(re.findall(r"^(\S+) ([\d.]+)", together, re.MULTILINE))
    assert {"deliver", "deliver-sick"} <= {*figures}
    assert all(float(value) > 0 for value in figures.values())


def test_one_that_can_not_be_carried_out_is_named() -> None:
    command = [sys.executable, "-m", "benchmarks", "--only", "nothing"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "nothing could not be carried out.")


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
