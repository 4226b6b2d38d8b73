"""Letting time pass for one case. Rows are moved, never a clock: everybody else's time stays as it is."""

import uuid
from datetime import timedelta
from typing import Any

from cases import work
from cases.models import Case


def bring_nearer(case_id: uuid.UUID, length: timedelta) -> None:
    """Move all that is due for the case so much nearer: follow-ups, pauses after failures, deliveries.

    What no worker waits for stays, so that nothing of a case that has ended changes but when its webhooks go out.
    """
    for kind in work.kinds().values():
        if kind.of_case is not None:
            rows = kind.model._default_manager.filter(**{kind.of_case: case_id})
            for pk in rows.values_list("pk", flat=True):
                _move(kind, pk, length)


def _move(kind: work.Kind[Any], pk: Any, length: timedelta) -> None:
    with work.transaction():
        row = kind.model._default_manager.locked(pk)
        waits = {name: moment for name in (*kind.time_facts, "retry_at") if (moment := getattr(row, name))}
        if row.due_at is None or not waits:
            return
        if isinstance(row, Case) and row.next_action_at:
            row.touch()  # clients see when that is planned
        for name, moment in waits.items():
            setattr(row, name, moment - length)
        work.reschedule(row)
        row.save()
