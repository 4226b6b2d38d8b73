"""A small run of the benchmark that `make waits` is: model calls wait side by side."""

import re
import subprocess
import sys

from offload_project.tests.processes import ROOT


def waits(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "benchmarks.waits", "--cases", "8", "--model-seconds", "0.5", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_eight_evaluations_wait_side_by_side() -> None:
    done = waits("--at-most", "8")  # one after the other they would take more, on a machine however busy
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^8 evaluations: \d+\.\d s, at most 8 in flight$", done.stdout, re.MULTILINE)
    assert re.search(r"\d+ MB idle, [1-9]\d* MB with 8 waits$", done.stdout, re.MULTILINE)


def test_it_fails_where_the_bound_does_not_hold() -> None:
    done = waits("--at-most", "0.01")
    assert done.returncode == 1
    assert "Too slow" in done.stderr
