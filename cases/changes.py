"""What is changed about an open case while it goes on: what it goes by, and whether it goes on at all.

Each change raises the case's version, so what was being decided on how it stood before is dropped.
"""

import uuid
from datetime import timedelta
from typing import Any

from cases import correspondence, transitions, work
from cases.errors import AlreadySent
from cases.events import record
from cases.fields import check_mail_address
from cases.models import Case, Channel, Direction, MessageStatus, RequestStatus
from cases.time_travel import Skipped

REPLANS = {"follow_up_delay_hours", "deadline_at"}
REPLANS_QUESTION = {"input_timeout_hours", "input_timeout_action"}


def pause_case(case_id: uuid.UUID, *, actor: str) -> Case:
    """Send and evaluate nothing until the case is resumed; mail is kept. On a paused case nothing happens.

    Raises CaseAlreadyFinished. A mail whose send has begun is still sent: it may be out there already.
    """
    with work.transaction():
        case = Case.objects.locked_open(case_id)
        if case.paused_at is None:
            case.touch()
            case.paused_at = case.now
            transitions.store(case)
            record(case, "case.paused", actor=actor)
        return case


def resume_case(case_id: uuid.UUID, *, actor: str) -> Case:
    """Go on with a paused case: what has come in meanwhile is looked at, and a follow-up whose time has passed is due.

    Raises CaseAlreadyFinished. On a case that is not paused nothing happens.
    """
    with work.transaction():
        case = Case.objects.locked_open(case_id)
        if case.paused_at is not None:
            case.touch()
            case.paused_at = case.retry_at = None
            if case.next_action_at:
                case.next_action_at = correspondence.working_time(case, max(case.now, case.next_action_at))
            transitions.store(case)
            record(case, "case.resumed", actor=actor)
        return case


def change_case(case_id: uuid.UUID, changes: dict[str, Any], *, actor: str) -> Case:
    """Set validated fields of an open case; `knowledge` and `address` are parts of its goal and counterparty.

    What was written before and has not gone out is taken back; not a person's own words, unless they were addressed to
    somebody else. Raises CaseAlreadyFinished, or AlreadySent for an address to which mail has gone.
    """
    with work.transaction():
        case = Case.objects.locked_open(case_id)
        case.touch()
        for name, value in changes.items():
            _set(case, name, value)
        queued = case.messages.filter(status=MessageStatus.QUEUED, send_started_at__isnull=True).first()
        if queued and (not queued.written_by or "address" in changes):
            correspondence.drop(case, queued, actor)
        if REPLANS & changes.keys():
            _plan_anew(case)
        if REPLANS_QUESTION & changes.keys():
            _plan_question_anew(case)
        transitions.store(case)
        record(case, "case.changed", actor=actor, fields=sorted(changes))
        return case


def _set(case: Case, name: str, value: Any) -> None:
    if name == "knowledge":
        case.goal = {**case.goal, "knowledge": value}
    elif name == "address":
        _set_address(case, value)
    else:
        setattr(case, name, value)


def _set_address(case: Case, address: str) -> None:
    if case.messages.filter(direction=Direction.OUT, send_started_at__isnull=False).exists() or case.attempt_count:
        raise AlreadySent
    case.counterparty = {**case.counterparty, "address": address}
    case.counterparty_address = check_mail_address(address) if case.channel == Channel.EMAIL else address.lower()


def _plan_anew(case: Case) -> None:
    """Plan the follow-up by the delay since our last mail; a wait that a verdict or a person has asked for stays."""
    ours = case.messages.filter(status=MessageStatus.SENT).order_by("sent_at").last()
    if ours is None or ours.sent_at is None or case.next_action_at is None:
        return
    if case.events.filter(type="case.waiting", at__gte=ours.sent_at).exists():
        return
    waited = Skipped.of(case).age(ours.sent_at, case.now)
    absences = correspondence.absences_since(case, ours)
    case.next_action_at = max([correspondence.follow_up_time(case, waited=waited), *absences])


def _plan_question_anew(case: Case) -> None:
    """Count an open question's time from when it was asked, though that may have passed. Of one people hear once."""
    question = case.input_requests.filter(status=RequestStatus.PENDING).first()
    hours = transitions.hours_to_answer(case)
    if question is None or hours is None:
        return
    reminders = case.events.filter(type="case.input_overdue", data__inputRequestId=str(question.pk))
    left = timedelta(hours=hours) - Skipped.of(case).age(question.requested_at, case.now)
    case.input_overdue_at = None if reminders.exists() and not case.fails_unanswered else case.now + left
