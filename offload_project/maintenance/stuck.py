"""Rows that carry work and don't get on: which they are, why, and how they are made due again.

Nobody assigns `due_at`: what is cleared here is what holds a row back, and `work.reschedule` derives the rest.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet

from cases import leases, work
from cases.errors import CaseNotFound
from cases.models import Case, DueRow
from outreach.models import InboundPayload, NoticeState, PayloadState, StaffNotice
from webhooks import replay
from webhooks.errors import StillWaiting
from webhooks.models import Delivery, DeliveryState

# Of each kind that people are handed rows of: the state of such a row, and since when it is in it, as well as we know.
GIVEN_UP: dict[type[DueRow], tuple[str, str]] = {
    InboundPayload: (PayloadState.FAILED, "received_at"),
    StaffNotice: (NoticeState.FAILED, "created_at"),
    Delivery: (DeliveryState.FAILED, "created_at"),
}


@dataclass(frozen=True)
class StuckRow:
    """One row and why it does not get on."""

    kind: str
    pk: Any
    why: str


def find(kind: str, older_than: timedelta) -> Iterator[StuckRow]:
    """The kind's rows that have not got on for so long; those that somebody works on are not among them."""
    now = work.now()
    for row in _candidates(kind, now - older_than).order_by("pk").iterator():
        yield StuckRow(kind, row.pk, _reason(row, now))


def _candidates(kind: str, moment: datetime) -> QuerySet[Any]:
    now, model = work.now(), work.kinds()[kind].model
    unheld = Q(lease_until__isnull=True) | Q(lease_until__lte=now)
    waits = Q(retry_at__gt=now, failing_since__lte=moment)
    lost = Q(lost_leases__gte=leases.ALONE_FROM, due_at__isnull=False) & (
        Q(lease_until__isnull=True) | Q(lease_until__lte=moment)
    )
    which = Q(due_at__lte=moment) | waits | lost
    if model in GIVEN_UP:
        state, since = GIVEN_UP[model]
        which |= Q(**{"state": state, f"{since}__lte": moment})
    rows: QuerySet[Any] = model._default_manager.filter(unheld & which)
    return rows


def _reason(row: DueRow, now: datetime) -> str:
    said = f": {row.last_error or getattr(row, 'note', '')}".rstrip(": ")
    state = GIVEN_UP.get(type(row))
    if state and row.state == state[0]:  # type: ignore[attr-defined]
        return f"given up{said}"
    if row.failures and row.retry_at and row.retry_at > now:
        return f"failed {row.failures} times, waits until {row.retry_at:%Y-%m-%d %H:%M} UTC{said}"
    if row.failing_since and row.retry_at and row.retry_at > now:
        return f"waits until {row.retry_at:%Y-%m-%d %H:%M} UTC{said}"
    if row.lost_leases >= leases.ALONE_FROM:
        return f"was begun {row.lost_leases} times and never came to an end{said}"
    waited = int((now - row.due_at).total_seconds()) // 60 if row.due_at else 0
    return f"due for {waited} minutes, and nobody has taken it"


# --- Making them due again ------------------------------------------------------------------------


def requeue(stuck: StuckRow) -> bool:
    """Clear what holds the row back; whether it was still there and nobody had begun with it."""
    kind = work.kinds()[stuck.kind]
    if kind.model is Delivery:
        return _requeue_delivery(stuck.pk)
    with work.transaction():
        try:
            row = kind.model._default_manager.locked(stuck.pk)
        except (kind.model.DoesNotExist, CaseNotFound):
            return False
        return _start_anew(row)


def _requeue_delivery(pk: uuid.UUID) -> bool:
    """A delivery is locked after its case. One that was given up takes its place in line again."""
    found = Delivery.objects.filter(pk=pk).values_list("case_id", "state").first()
    if found is None:
        return False
    if found[1] == DeliveryState.FAILED:
        try:
            replay.replay(pk)
        except StillWaiting:
            return False
    with work.transaction():
        Case.objects.locked(found[0])
        return _start_anew(Delivery.objects.locked(pk))


def _start_anew(row: DueRow) -> bool:
    if row.lease_until and row.lease_until > row.now:
        return False
    _take_back(row)
    row.retry_at = row.failing_since = row.lease_token = row.lease_until = None
    row.failures = row.lost_leases = 0
    work.reschedule(row)
    row.save(update_fields=[*row.WORK_FIELDS, *(["state"] if type(row) in GIVEN_UP else [])])
    return True


def _take_back(row: DueRow) -> None:
    """What was given up waits again."""
    if isinstance(row, InboundPayload) and row.state == PayloadState.FAILED:
        row.state = PayloadState.WAITING
    if isinstance(row, StaffNotice) and row.state == NoticeState.FAILED:
        row.state = NoticeState.WAITING
