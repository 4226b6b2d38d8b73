"""What clients and staff do with a case. API and admin both call these; mail is in cases/correspondence.py."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from cases import correspondence, drafts, enclosures, idempotency, result_schema, transitions, work
from cases.enclosures import GivenFile
from cases.errors import (
    CaseNotWaitingForInput,
    InputRequestMismatch,
    InputRequestNotPending,
    InvalidResult,
    MessageBeingSent,
    NothingSentYet,
)
from cases.events import record
from cases.idempotency import Asked
from cases.models import (
    ApiKey,
    Case,
    Enclosure,
    InputRequest,
    Message,
    MessageStatus,
    Purpose,
    RequestStatus,
    ResultStatus,
    Status,
)
from cases.prepared import Prepared

MAX_SUBJECT_CHARS = 78


def create_case(
    key: ApiKey,
    *,
    asked: Asked | None = None,
    files: Sequence[GivenFile] = (),
    actor: str = "",
    at: datetime | None = None,
    **fields: Any,
) -> Case:
    """Store a case and make it due; `fields` are the validated ones of the request, in the model's names.

    `actor` is who posts it, if not the owner of the key; `at` is when, if the caller has just read the database's time.
    `files` go along with its first mail. They are written before the transaction begins: a storage may be slow.
    Raises AlreadyAnswered where the same request has created one: see cases/idempotency.py.
    """
    case = Case(client=key.client, is_test=key.is_test, **fields)
    with enclosures.stored(case, files) as enclosed, work.transaction():
        idempotency.keep(asked, status=201, answer={"caseId": str(case.pk)})
        begin(case, actor=actor or f"client {key.prefix}", at=at)
        Enclosure.objects.bulk_create(enclosed)
    return case


def begin(case: Case, *, actor: str, at: datetime | None = None) -> None:
    """Store a new case and make it due. In the caller's transaction. `at`: the database's time, if it is known."""
    case.now = case.created_at = case.updated_at = at or work.now()
    case.transport = "sandbox" if case.is_test else settings.OFFLOAD_TRANSPORT
    case.our_address = our_address(case)
    case.client_webhook_url = case.client_webhook_url or case.client.default_webhook_url
    case.counterparty_address = case.counterparty_address or case.counterparty["address"].lower()
    case.due_at = case.created_at  # the one fact of a new case; there is nothing to look up
    case.save(force_insert=True)
    record(case, "case.created", actor=actor)
    work.wake_after_commit(case)


def our_address(case: Case) -> str:
    """Where the case's mail comes from and is answered to."""
    if case.transport == "sandbox":
        return f"case-{case.pk.hex}@sandbox.invalid"  # RFC 2606: mail to it never leaves
    if case.transport == "agentmail":
        return case.client.agentmail_inbox or str(settings.AGENTMAIL_INBOX)
    return parseaddr(settings.OFFLOAD_MAIL_FROM)[1]


def provide_input(
    *, case_id: uuid.UUID, input_request_id: uuid.UUID | str, provided_context: str, actor: str = "client"
) -> InputRequest:
    """Answer the open question; of several answers at the same moment exactly one is accepted.

    Raises CaseNotWaitingForInput, InputRequestNotPending or InputRequestMismatch, looked at in this order.
    """
    with work.transaction():
        case = Case.objects.locked(case_id)
        if case.status != Status.INPUT_NEEDED:
            raise CaseNotWaitingForInput
        request = case.input_requests.order_by("-requested_at", "-id").first()
        if request is None or request.status != RequestStatus.PENDING:
            raise InputRequestNotPending
        if str(request.pk) != str(input_request_id):
            raise InputRequestMismatch
        request.status, request.resolved_at = RequestStatus.RESOLVED, case.now
        request.provided_context, request.answered_by = provided_context, actor
        request.save()
        case.touch()
        case.retry_at = case.input_overdue_at = None
        record(case, "input.provided", actor=actor, inputRequestId=str(request.pk), answer=provided_context)
        if request.is_operational and (case.attempt_count or request.displaced):
            _go_on(case, request)
        else:
            if request.is_operational:
                _let_queued_mail_use(case, request)
            transitions.store(case)
        return request


def _go_on(case: Case, request: InputRequest) -> None:
    """Let a case go on where the service itself had got stuck: with the agent's question that was open, if there was
    one; else with what waits to be judged, else a follow-up."""
    request.used_at = case.now
    request.save(update_fields=["used_at"])
    if request.displaced:
        transitions.ask_again(case, request.displaced)
    else:
        transitions.run(case, next_action_at=None if correspondence.has_news(case) else case.now)


def _let_queued_mail_use(case: Case, request: InputRequest) -> None:
    """The first mail is written and could not be sent: it goes out as it is, and the answer has done its work."""
    queued = case.messages.filter(status=MessageStatus.QUEUED).first()
    if queued:
        request.used_at, request.used_by = case.now, queued
        request.save(update_fields=["used_at", "used_by"])


def cancel_case(case_id: uuid.UUID, *, actor: str, reason: str | None = None) -> Case:
    """End the case; nothing is sent any more. Raises CaseAlreadyFinished."""
    return _end(case_id, ResultStatus.CANCELLED, reason or "The case was cancelled.", actor)


STAFF_ENDS = (ResultStatus.FAILED_BY_STAFF, ResultStatus.FAILED_REJECTED)


def fail_case(
    case_id: uuid.UUID, *, reason: str, actor: str, result_status: ResultStatus = ResultStatus.FAILED_BY_STAFF
) -> Case:
    """End the case by a person's decision, with their reason: a refusal that a person has read, or anything else.

    `result_status` is one of STAFF_ENDS; the others say what only the service can know. Raises CaseAlreadyFinished.
    """
    if result_status not in STAFF_ENDS:
        raise ValueError(f"{result_status} is no end that a person decides")
    return _end(case_id, result_status, reason, actor)


def _end(case_id: uuid.UUID, result_status: ResultStatus, reason: str, actor: str) -> Case:
    with work.transaction():
        case = Case.objects.locked_open(case_id)
        transitions.fail(case, result_status=result_status, reason=reason, actor=actor)
        return case


NO_RESULT = "A case is completed with a result; null is none, unless a resultSchema allows it."


def complete_case(case_id: uuid.UUID, *, result: Any, actor: str) -> Case:
    """End the case with a result that a person has entered, who is its source.

    Raises InvalidResult, NothingSentYet or CaseAlreadyFinished.
    """
    with work.transaction():
        case = Case.objects.locked_open(case_id)
        if case.status == Status.CREATED:
            raise NothingSentYet
        if result is None and case.result_schema is None:
            raise InvalidResult(NO_RESULT)
        result_schema.check(case.result_schema, result)
        sources = [{"path": "", "source_id": actor, "quote": ""}]
        transitions.complete(case, result=result, sources=sources, actor=actor, reason="Entered by a person.")
        return case


def reply_to_counterparty(case_id: uuid.UUID, *, text: str, actor: str) -> None:
    """Send a person's own words as the next mail; an open question is closed by it.

    Raises MessageBeingSent while another mail is under way, or CaseAlreadyFinished.
    """
    with work.transaction():
        case = Case.objects.locked_open(case_id)
        queued = case.messages.filter(status=MessageStatus.QUEUED).first()
        if queued and queued.send_started_at:
            raise MessageBeingSent
        if queued:
            correspondence.drop(case, queued, actor)
        drafts.supersede(case, actor)
        transitions.close_question(case, RequestStatus.CLOSED)
        purpose = Purpose.REPLY if case.attempt_count else Purpose.OUTREACH
        case.retry_at = None
        correspondence.queue(case, purpose=purpose, subject=subject_of(case), text=text, actor=actor)


def subject_of(case: Case) -> str:
    """The subject of the next mail: of the thread if there is one, else the goal in short."""
    subject: str | None = _first_subject.first([one.pk for one in (*case.earlier, case)])
    if subject is None:
        return in_short(case.goal["objective"])
    return subject if subject.lower().startswith("re:") else f"Re: {subject}"


@Prepared
def _first_subject(cases: list[uuid.UUID]) -> QuerySet[Any, Any]:
    first = Message.objects.filter(case__in=cases, purpose=Purpose.OUTREACH).exclude(status=MessageStatus.DROPPED)
    return first.values_list("subject", flat=True)[:1]


def in_short(text: str) -> str:
    """The text as one line of at most 78 characters (RFC 5322 §2.1.1), cut between words where there are any."""
    line = " ".join(text.split())
    if len(line) <= MAX_SUBJECT_CHARS:
        return line
    words = line[:MAX_SUBJECT_CHARS].rpartition(" ")[0]
    return f"{words or line[: MAX_SUBJECT_CHARS - 1]}…"


def wait_until(case_id: uuid.UUID, moment: datetime, *, actor: str) -> None:
    """Do nothing before the moment, then follow up; an open question is closed. Raises NothingSentYet."""
    with work.transaction():
        case = Case.objects.locked_open(case_id)
        if case.attempt_count == 0:
            raise NothingSentYet
        drafts.supersede(case, actor)
        transitions.close_question(case, RequestStatus.CLOSED)
        correspondence.wait_until(case, moment, actor=actor, reason="Decided by a person.")
