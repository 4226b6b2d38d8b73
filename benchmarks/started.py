"""A kind of work that says when it is begun, for `benchmarks.start`."""

import os
import time
from pathlib import Path
from typing import Any

from django.conf import settings

from cases import work
from cases.models import Case

SLOW = "slow"  # the reference of a case that waits for somebody, again and again
SLOW_SECONDS = 3.0


def told_in() -> Path:
    """Where each begun step leaves a line: key, and seconds since the epoch."""
    return Path(settings.VAR_DIR) / "started"


def step(held: work.Claim[Any]) -> None:
    """Say that it is begun; there is nothing more to do. Or wait, as for a model, and be due again."""
    began_at = time.time()
    if held.read().client_reference_id == SLOW:
        work.let_go_of_connection()
        time.sleep(SLOW_SECONDS)
        return
    line = os.open(told_in(), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(line, f"{held.pk} {began_at}\n".encode())
    os.close(line)
    with held.write():
        Case.objects.filter(pk=held.pk).update(due_at=None)


def give_up(held: work.Claim[Any], cause: str) -> None:
    """Such work is not begun in vain."""
    raise AssertionError(cause)


CASES = work.Kind(
    name="case", model=Case, step=step, give_up=give_up, task="outreach.tasks.pump_cases", turns_by="client_id"
)
