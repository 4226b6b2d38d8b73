"""An ended case stays as it ended; whoever wants to go on does so in a new one, in the same mail thread."""

import uuid
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from cases import idempotency, services, transitions, work
from cases.errors import CaseAlreadyReopened, CaseNotFinished
from cases.events import record
from cases.idempotency import Asked
from cases.models import Case, Direction, Purpose, Status

KEPT = (
    "client_id",
    "is_test",
    "client_reference_id",
    "channel",
    "goal",
    "counterparty",
    "counterparty_address",
    "sender_persona",
    "constraints",
    "language",
    "max_attempts",
    "review_mode",
    "follow_up_delay_hours",
    "input_timeout_hours",
    "input_timeout_action",
    "result_schema",
    "client_webhook_url",
    "metadata",
)


def reopen_case(
    case_id: uuid.UUID,
    *,
    actor: str,
    goal: dict[str, Any] | None = None,
    constraints: list[str] | None = None,
    asked: Asked | None = None,
) -> Case:
    """A new case that goes on where an ended one stopped; what is given of the goal takes the place of the old.

    What people have written since the end is the first that the new case looks at. Where there is none of it, it
    writes. Raises CaseNotFinished, CaseAlreadyReopened, InvalidCase where the channel has no transport any more, and
    AlreadyAnswered where the same request has reopened it: see cases/idempotency.py.
    """
    with work.transaction():
        successor = Case()
        idempotency.keep(asked, status=201, answer={"caseId": str(successor.pk)})
        old = Case.objects.locked(case_id)
        _check(old)
        for name in KEPT:
            setattr(successor, name, getattr(old, name))
        successor.goal = {**old.goal, **(goal or {})}
        successor.constraints = old.constraints if constraints is None else constraints
        successor.reopened_from = old
        services.begin(successor, actor=actor)
        if successor.transport == old.transport:
            successor.thread_id = old.thread_id
        _take_over_mail(old, successor)
        transitions.store(successor)
        record(old, "case.reopened", actor=actor, caseId=str(successor.pk))
        return successor


def _check(old: Case) -> None:
    if not old.is_terminal:
        raise CaseNotFinished
    if hasattr(old, "reopened_as"):
        raise CaseAlreadyReopened
    import_string(settings.OFFLOAD_CHANNEL_CHECK)(old.channel, is_test=old.is_test)


def _take_over_mail(old: Case, successor: Case) -> None:
    """The mail that nobody has judged, because it came after the end, belongs to the new case from here on."""
    waiting = old.messages.filter(is_after_end=True, direction=Direction.IN, purpose=Purpose.HUMAN)
    if waiting.update(case=successor, is_after_end=False, read_at=None):
        successor.move_to(Status.RUNNING)
