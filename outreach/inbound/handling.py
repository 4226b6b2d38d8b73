"""What staff decide for mail that waits for them. It is read in the payload's next step, as all mail is."""

import uuid

from cases import work
from cases.errors import CaseError, CaseNotFound
from cases.events import record
from cases.models import Case
from outreach.models import InboundPayload, PayloadState

State = PayloadState
ASSIGNABLE = frozenset({State.QUARANTINED, State.UNMATCHED})
DISCARDABLE = ASSIGNABLE | {State.FAILED}


class NotWaiting(CaseError):
    """Somebody has decided already."""

    code, status, message = "MAIL_NOT_WAITING", 409, "Somebody was faster: this mail does not wait any more."


def release(payload_id: uuid.UUID, *, actor: str, admit: bool = False) -> InboundPayload:
    """Let a quarantined mail act on its case as if the counterparty had written it.

    With `admit` so does all further mail of its sender on that case. Raises NotWaiting or CaseNotFound.
    """
    with work.transaction():
        payload = _waiting(payload_id, frozenset({State.QUARANTINED}))
        return _decide(payload, payload.case_id, "mail.released", actor, admit=admit)


def assign(payload_id: uuid.UUID, case_id: uuid.UUID, *, actor: str) -> InboundPayload:
    """Let a mail act on the case that staff have chosen; one that has ended keeps it, as mail after the end.

    Raises NotWaiting or CaseNotFound.
    """
    with work.transaction():
        return _decide(_waiting(payload_id, ASSIGNABLE), case_id, "mail.assigned", actor)


def discard(payload_id: uuid.UUID, *, actor: str, note: str = "") -> InboundPayload:
    """Put a mail aside: it is kept, and waits for nobody any more. Raises NotWaiting."""
    with work.transaction():
        payload = _waiting(payload_id, DISCARDABLE)
        payload.state, payload.decided_by = State.DISCARDED, actor
        payload.note = f"{payload.note}\n{note}".strip()
        _save(payload)
        if payload.case_id:
            case = Case.objects.locked(payload.case_id)
            record(case, "mail.discarded", actor=actor, reason=note, **_facts(payload))
        return payload


def _waiting(payload_id: uuid.UUID, states: frozenset[PayloadState]) -> InboundPayload:
    """The payload, locked. Of several people who decide at the same moment one gets it."""
    payload: InboundPayload = InboundPayload.objects.locked(payload_id)
    if payload.state not in states:
        raise NotWaiting
    return payload


def _decide(
    payload: InboundPayload, case_id: uuid.UUID | None, event: str, actor: str, *, admit: bool = False
) -> InboundPayload:
    if case_id is None:
        raise CaseNotFound  # it has been deleted
    case = Case.objects.locked(case_id)
    payload.state, payload.decided_case, payload.decided_by, payload.admits_sender = State.WAITING, case, actor, admit
    payload.try_again_at = payload.retry_at = None
    _save(payload)
    record(case, event, actor=actor, admitted=admit, **_facts(payload))
    return payload


def _facts(payload: InboundPayload) -> dict[str, str]:
    return {"payloadId": str(payload.pk), "sender": payload.summary.get("from", "")}


def _save(payload: InboundPayload) -> None:
    work.reschedule(payload)
    payload.save()
