"""Letting time pass for one case. Rows are moved, never a clock: everybody else's time stays as it is.

What lies ahead of the case is moved nearer. What lies behind it keeps its times, which clients have seen; the timeline
says how much has been skipped, and whoever asks how long ago something was counts it in (`Skipped`).
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from cases import work
from cases.events import SYSTEM, record
from cases.models import Case, Event

SKIPPED = "time.skipped"


@dataclass(frozen=True)
class Skipped:
    """The times that were skipped for a case, each with the moment at which it was."""

    leaps: tuple[tuple[datetime, timedelta], ...] = ()

    @classmethod
    def of(cls, case: Case) -> Self:
        leaps = Event.objects.filter(case=case, type=SKIPPED).values_list("at", "data")
        return cls(tuple((at, timedelta(seconds=data["seconds"])) for at, data in leaps))

    def age(self, moment: datetime, now: datetime) -> timedelta:
        """How long ago the moment is for the case."""
        return sum((length for at, length in self.leaps if moment <= at), now - moment)


def bring_nearer(case_id: uuid.UUID, length: timedelta, *, actor: str = SYSTEM) -> None:
    """Move all that is due for the case so much nearer: follow-ups, pauses after failures, deliveries, notices.

    What no worker waits for stays, so that nothing of a case that has ended changes but when its webhooks go out.
    """
    with work.transaction():
        record(Case.objects.locked(case_id), SKIPPED, actor=actor, seconds=length.total_seconds())
    for kind in work.kinds().values():
        if kind.of_case is not None:
            rows = kind.model._default_manager.filter(**{kind.of_case: case_id})
            for pk in rows.values_list("pk", flat=True):
                _move(kind, pk, length)


def _move(kind: work.Kind[Any], pk: Any, length: timedelta) -> None:
    with work.transaction():
        row = kind.model._default_manager.locked(pk)
        waits = {name: moment for name in (*kind.time_facts, "retry_at") if (moment := getattr(row, name))}
        is_paused_case = isinstance(row, Case) and row.paused_at is not None  # not due; what is planned comes nearer
        if (row.due_at is None and not is_paused_case) or not waits:
            return
        if isinstance(row, Case) and (row.next_action_at or row.deadline_at):
            row.touch()  # clients see when that is
        for name, moment in waits.items():
            setattr(row, name, moment - length)
        if row.failing_since:
            row.failing_since -= length  # after a day of failures people are asked
        work.reschedule(row)
        row.save()
