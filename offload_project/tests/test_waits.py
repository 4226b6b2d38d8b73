"""A small run of the benchmark that `make waits` is: model calls wait side by side."""

import re
import subprocess
import sys

import pytest

from benchmarks.side_by_side import fault
from offload_project.tests.processes import ROOT


@pytest.mark.long
def test_eight_evaluations_wait_side_by_side() -> None:
    command = [
        sys.executable,
        "-m",
        "benchmarks.side_by_side",
        "--cases",
        "8",
        "--model-seconds",
        "0.5",
        "--at-most",
        "8",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^8 evaluations: \d+\.\d s, at most 8 in flight$", done.stdout, re.MULTILINE)
    assert re.search(r"\d+ MB idle, [1-9]\d* MB with 8 waits$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("in_flight", "ratio", "expected"),
    [
        (64, 3.0, ""),
        (64, 3.01, "64 evaluations took 3.01 times as long as one; at most 3 is allowed."),
        (63, 1.0, "Only 63 of 64 evaluations were in flight at once."),
    ],
)
def test_the_bounds_of_the_benchmark(in_flight: int, ratio: float, expected: str) -> None:
    assert fault(64, in_flight, ratio, at_most=3) == expected
