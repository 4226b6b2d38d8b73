"""Every change of Case.status. Each takes a case that the caller holds locked, saves it and records the event."""

from datetime import datetime, timedelta
from typing import Any

from django.db import models

from cases import work
from cases.events import SYSTEM, record
from cases.models import Case, InputRequest, MessageStatus, RequestStatus, ResultStatus, Status
from cases.prepared import Change, Prepared, PreparedUpdate

DROPPED, UNKNOWN = MessageStatus.DROPPED, MessageStatus.UNKNOWN


def run(case: Case, *, next_action_at: datetime | None) -> None:
    """Go on (or on again) with the thread; at `next_action_at` a follow-up is due. The caller records what happened."""
    case.move_to(Status.RUNNING)
    case.next_action_at = next_action_at
    store(case)


def ask(
    case: Case,
    *,
    question: str,
    reason: str,
    is_operational: bool = False,
    options: list[str] | None = None,
    answer_schema: dict[str, Any] | None = None,
    proposal: dict[str, Any] | None = None,
    actor: str = SYSTEM,
) -> InputRequest:
    """Pause for a human. A question that is still open is superseded; by an operational one only for the time being.

    Unread mail and unused answers are what is asked about, unless the question is operational: then they wait.
    `proposal` is what the agent would do and has found out so far, for staff; see InputRequest.
    """
    request = InputRequest(
        question=question,
        reason=reason,
        is_operational=is_operational,
        options=options,
        answer_schema=answer_schema,
        proposal=proposal,
        displaced=_displaced(case) if is_operational else None,
    )
    if not is_operational:
        mark_read(case)
        mark_used(case)
    return _put(case, request, actor)


def ask_again(case: Case, displaced: InputRequest) -> InputRequest:
    """Put an agent's question once more, under a new id, after the operational one that had taken its place.

    What has come in meanwhile waits to be judged, as it would have done with the question open.
    """
    request = InputRequest(
        question=displaced.question,
        reason=displaced.reason,
        options=displaced.options,
        answer_schema=displaced.answer_schema,
        proposal=displaced.proposal,
    )
    return _put(case, request, SYSTEM)


def _displaced(case: Case) -> InputRequest | None:
    """The agent's question that is open, or whose place an open operational one has taken."""
    request = _open_question.first(case)
    return request.displaced if request and request.is_operational else request


def _put(case: Case, request: InputRequest, actor: str) -> InputRequest:
    case.touch()
    _settle_question(case, RequestStatus.SUPERSEDED)
    request.case, request.requested_at = case, case.now
    request.save(force_insert=True)
    case.move_to(Status.INPUT_NEEDED)
    case.next_action_at = None
    hours = hours_to_answer(case)
    case.input_overdue_at = case.now + timedelta(hours=hours) if hours else None
    store(case)
    about = {"question": request.question, "reason": request.reason}
    record(case, "case.input_needed", actor=actor, inputRequestId=str(request.pk), **about)
    return request


@Prepared
def _open_question(case: Case) -> models.QuerySet[InputRequest]:
    return case.input_requests.filter(status=RequestStatus.PENDING)


def hours_to_answer(case: Case) -> int | None:
    """How long a question may wait before it is overdue; None: as long as it takes."""
    hours: int | None = case.input_timeout_hours or case.client.reminder_hours
    return hours


def complete(
    case: Case, *, result: Any, sources: list[dict[str, str]] | None = None, actor: str = SYSTEM, reason: str = ""
) -> None:
    """End with a result that the caller has checked against the resultSchema."""
    case.touch()
    case.move_to(Status.COMPLETED)
    case.result_status, case.result, case.sources = ResultStatus.GOAL_ACHIEVED, result, sources
    _end(case)
    record(case, "case.completed", actor=actor, reason=reason)


def fail(case: Case, *, result_status: ResultStatus, reason: str | None, actor: str = SYSTEM) -> None:
    """End without a result; `reason` is a sentence for people."""
    case.touch()
    case.move_to(Status.FAILED)
    case.result_status, case.failure_reason = result_status, reason
    _end(case)
    record(case, "case.failed", actor=actor, resultStatus=str(result_status), reason=reason or "")


def _end(case: Case) -> None:
    case.next_action_at = case.paused_at = None
    close_question(case, RequestStatus.CLOSED)
    mark_read(case)
    _drop_unsent(case)
    store(case)


@PreparedUpdate
def _drop_unsent(case: Case) -> Change:
    begun = models.When(status=MessageStatus.QUEUED, send_started_at__isnull=False, then=models.Value(UNKNOWN))
    unsent = case.messages.filter(status__in=[MessageStatus.DRAFT, MessageStatus.QUEUED])
    return unsent, {"status": models.Case(begun, default=models.Value(DROPPED))}  # an answer may still say SENT


def close_question(case: Case, status: RequestStatus) -> None:
    """Take the open question back, if there is one; an answer that nobody has used yet counts as used."""
    _settle_question(case, status)
    mark_used(case)


def remind(case: Case) -> None:
    """Say once that the open question has waited too long; the case keeps waiting. Nothing that clients see changes."""
    case.input_overdue_at = None
    store(case)
    request = case.input_requests.get(status=RequestStatus.PENDING)
    record(case, "case.input_overdue", inputRequestId=str(request.pk), question=request.question)


def _settle_question(case: Case, status: RequestStatus) -> None:
    case.input_overdue_at = None
    _resolve(case, status, case.now)


@PreparedUpdate
def _resolve(case: Case, status: RequestStatus, at: datetime) -> Change:
    return case.input_requests.filter(status=RequestStatus.PENDING), {"status": status, "resolved_at": at}


def close_operational_question(case: Case) -> InputRequest | None:
    """What the service could not do, it has done: nobody has to answer any more.

    Returns the agent's question that is open still, or is to be asked again, if there is one.
    """
    request = _open_question.first(case)
    if request is None or not request.is_operational:
        return request
    _settle_question(case, RequestStatus.CLOSED)
    return request.displaced


def mark_used(case: Case) -> None:
    """What people have answered so far is dealt with."""
    _use(case, case.now)


@PreparedUpdate
def _use(case: Case, at: datetime) -> Change:
    return case.input_requests.unused_answers(), {"used_at": at}


def mark_read(case: Case) -> None:
    """What has come in so far is dealt with."""
    _read(case, case.now)


@PreparedUpdate
def _read(case: Case, at: datetime) -> Change:
    return case.messages.unread(), {"read_at": at}


def store(case: Case) -> None:
    """Derive when the case is due and save it. What is planned is never planned for later than the deadline."""
    if case.deadline_at and case.next_action_at:
        case.next_action_at = min(case.next_action_at, case.deadline_at)
    work.reschedule(case)
    case.save()
