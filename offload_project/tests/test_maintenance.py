"""What the operator's commands share: help for strangers, lengths of time, progress, and being stopped."""

import argparse
import io
import signal
import subprocess
import sys
import time
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import load_command_class

from offload_project.maintenance.command import in_bytes, length
from offload_project.maintenance.progress import Progress
from offload_project.maintenance.stopping import Interrupted, Stop
from offload_project.tests.maintenance import interrupt
from offload_project.tests.processes import Service

COMMANDS = ["purge_cases", "export_case", "erase_counterparty", "requeue_stuck", "rotate_secrets"]


@pytest.mark.parametrize("name", COMMANDS)
def test_its_help_tells_a_stranger_what_it_does_and_shows_how(name: str) -> None:
    text = load_command_class("offload_project", name).create_parser("manage.py", name).format_help()
    examples = text.partition("\nexamples:\n")[2]
    assert examples.count(f"  manage.py {name}") >= 2
    assert max(len(line) for line in text.splitlines()) <= 120
    assert "usage: manage.py" in text
    for told in ("--yes" if name in COMMANDS[:4:2] else name, name):
        assert told in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10m", timedelta(minutes=10)),
        ("12h", timedelta(hours=12)),
        ("365d", timedelta(days=365)),
        ("2w", timedelta(weeks=2)),
        (" 1d ", timedelta(days=1)),
    ],
)
def test_lengths_of_time(text: str, expected: timedelta) -> None:
    assert length(text) == expected


@pytest.mark.parametrize("text", ["", "1", "d", "-1d", "1.5d", "1y", "1d2h", "9999999d", "1²d", "999999999w"])
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="no length of time"):
        length(text)


def test_bytes_for_people() -> None:
    assert [in_bytes(count) for count in (0, 999, 1000, 34_200_000, 10**13, 10**16)] == [
        "0 bytes",
        "999 bytes",
        "1.0 kB",
        "34.2 MB",
        "10.0 TB",
        "10000.0 TB",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_on_a_terminal() -> None:
    stream = Terminal()
    with Progress("cases", 40, stream=stream) as progress:
        progress.advance(40)
    assert "cases: 100%" in stream.getvalue()
    assert "40/40" in stream.getvalue()


def test_a_line_every_now_and_then_elsewhere() -> None:
    stream = io.StringIO()
    with Progress("cases", 25, every=10, stream=stream) as progress:
        assert list(progress.over(range(25))) == list(range(25))
    assert stream.getvalue() == "cases: 10 of 25\ncases: 20 of 25\n"
    with Progress("files", None, every=10, stream=stream) as progress:
        progress.advance(35)
    assert stream.getvalue().endswith("files: 35\n")


def test_the_first_signal_is_a_wish_and_the_second_an_order() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Stop() as stop:
        stop.look()
        interrupt()
        with pytest.raises(Interrupted):
            stop.look()
        with pytest.raises(Interrupted):
            interrupt()
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.engine
@pytest.mark.long
def test_a_real_process_says_what_is_done_and_ends_with_130(on_sqlite: Service, number: int) -> None:
    """The storage hangs at the first file, as a bucket may: the batch is ended, the next one is not begun."""
    script = """
import os, sys, time, django
django.setup()
from offload_project.maintenance import retention
from offload_project.tests.test_maintenance import slow_batches
slow_batches()
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", "purge_cases", "--older-than", "1d", "--yes"])
"""
    service: Any = on_sqlite
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env=service.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("Cases that ended before")
    assert process.stdout.readline() == "begun\n"
    process.send_signal(number)
    time.sleep(0.1)
    _out, err = process.communicate(timeout=30)
    assert (process.returncode, "Traceback" in err) == (130, False)
    assert "Stopped. 1 of 3 cases are deleted." in err


def slow_batches() -> None:
    """In that process: three cases, each a batch, of which each takes a second."""
    from cases.factories import CaseFactory
    from cases.models import Case, Status
    from offload_project.maintenance import retention
    from offload_project.tests.maintenance import age

    while Case.objects.count() < 3:
        age(CaseFactory(status=Status.COMPLETED))
    purge = retention.purge

    def slow(pks: Any, **options: Any) -> Any:
        print("begun", flush=True)  # noqa: T201
        time.sleep(1)
        return purge(pks, **options)

    retention.BATCH, retention.purge = 1, slow
    retention.batches.__defaults__ = (1,)
