"""Mail that people look at before it is sent: they approve it, change its words, or have it written anew.

A draft waits as long as its case stays as it is. Any change of the case (a reply, an answer, a cancellation) outdates
it: it can't be decided on any more, and the next step takes it back and looks at the case afresh. So at most one
decision about a draft wins, and none is ever about a case that has moved on.
"""

import uuid
from collections.abc import Callable
from datetime import datetime

from django.conf import settings
from django.utils.module_loading import import_string

from cases import correspondence, transitions, work
from cases.errors import DraftChanged, DraftNotFound, DraftNotPending, DraftRefused
from cases.events import SYSTEM, record
from cases.models import Case, Draft, MessageStatus, RequestStatus, ReviewMode

MOST_REJECTIONS = 3  # in a row; then a person says what to write


def waiting(case: Case) -> Draft | None:
    """The draft of the case that can be decided on, if there is one."""
    if case.review_mode == ReviewMode.NONE:
        return None
    draft: Draft | None = Draft.objects.filter(case=case, status=MessageStatus.DRAFT).first()
    return draft if draft and draft.waits_on(case) else None


def rejected(case: Case) -> list[Draft]:
    """What people have rejected since something was last sent, or they said what to write; oldest first."""
    if case.review_mode == ReviewMode.NONE:
        return []
    drafts = Draft.objects.filter(case=case).exclude(rejection="").order_by("drafted_at", "id")
    since = _heeded_until(case)
    return [draft for draft in drafts if since is None or draft.created_at > since]


def _heeded_until(case: Case) -> datetime | None:
    sent = case.messages.filter(sent_at__isnull=False).order_by("-created_at").values_list("created_at", flat=True)
    answered = case.input_requests.filter(status=RequestStatus.RESOLVED, is_operational=False)
    moments = [sent.first(), answered.order_by("-resolved_at").values_list("resolved_at", flat=True).first()]
    return max((moment for moment in moments if moment), default=None)


# --- Decisions ------------------------------------------------------------------------------------
# Each raises DraftNotFound or DraftNotPending, and returns the case.


def approve(case_id: uuid.UUID, draft_id: uuid.UUID, *, hash: str, actor: str) -> Case:
    """Have the draft sent as it is. `hash` is of what the person has seen; raises DraftChanged if it is another."""
    with work.transaction():
        case, draft = _pending(case_id, draft_id, hash)
        case.touch()
        case.retry_at = None
        draft.status, draft.decided_by = MessageStatus.QUEUED, actor
        draft.created_at, draft.case_version = case.now, case.version
        draft.save(update_fields=["status", "decided_by", "created_at", "case_version"])
        transitions.store(case)
        record(case, "draft.approved", actor=actor, messageId=str(draft.pk), purpose=draft.purpose, hash=hash)
        return case


def edit(
    case_id: uuid.UUID, draft_id: uuid.UUID, *, hash: str, body: str, subject: str | None = None, actor: str
) -> Case:
    """Change the draft's words; it goes on waiting, under another hash. Raises DraftChanged, or DraftRefused."""
    with work.transaction():
        case, draft = _pending(case_id, draft_id, hash)
        before = f"{draft.subject}\n\n{draft.text}"
        draft.subject, draft.text, draft.edited_by = draft.subject if subject is None else subject, body, actor
        _check(case, draft)
        case.touch()
        draft.case_version = case.version
        draft.save(update_fields=["subject", "text", "edited_by", "case_version"])
        transitions.store(case)
        record(case, "draft.edited", actor=actor, messageId=str(draft.pk), purpose=draft.purpose, before=before)
        return case


def _check(case: Case, draft: Draft) -> None:
    """Refuse what settings.OFFLOAD_DRAFT_CHECK finds in the words."""
    found: Callable[[Case, str], list[str]] = import_string(settings.OFFLOAD_DRAFT_CHECK)
    if leaks := found(case, f"{draft.subject}\n{draft.text}"):
        raise DraftRefused(details=[{"path": "body", "message": f"Contains {', '.join(leaks)}."}])


def reject(case_id: uuid.UUID, draft_id: uuid.UUID, *, reason: str, actor: str) -> Case:
    """Take the draft back: the agent writes anew, with the reason as an instruction, or a person is asked."""
    with work.transaction():
        case, draft = _pending(case_id, draft_id)
        draft.decided_by, draft.rejection = actor, reason
        draft.save(update_fields=["decided_by", "rejection"])
        case.retry_at = None
        correspondence.take_back(case, draft)
        record(case, "draft.rejected", actor=actor, messageId=str(draft.pk), purpose=draft.purpose, reason=reason)
        reasons = [earlier.rejection for earlier in rejected(case)]
        if len(reasons) >= MOST_REJECTIONS:
            _ask(case, draft, reasons)
        return case


def _ask(case: Case, draft: Draft, reasons: list[str]) -> None:
    listed = "\n".join(f"- {reason}" for reason in reasons)
    transitions.ask(
        case,
        question=f"{len(reasons)} drafts in a row were rejected:\n{listed}\n\nThe last one reads:\n\n{draft.text}\n\n"
        "What should the mail say?",
        reason="Drafts were rejected again and again.",
    )


def supersede(case: Case, actor: str = SYSTEM) -> None:
    """Take back the draft of a case you hold locked, if there is one: it has been overtaken."""
    draft: Draft | None = Draft.objects.filter(case=case, status=MessageStatus.DRAFT).first()
    if draft:
        correspondence.take_back(case, draft)
        record(case, "draft.superseded", actor=actor, messageId=str(draft.pk), purpose=draft.purpose)


def _pending(case_id: uuid.UUID, draft_id: uuid.UUID, hash: str | None = None) -> tuple[Case, Draft]:
    """The locked case and its draft."""
    case = Case.objects.locked(case_id)
    draft: Draft | None = Draft.objects.filter(case=case, pk=draft_id).first()
    if draft is None:
        raise DraftNotFound
    if not draft.waits_on(case):
        raise DraftNotPending
    if hash is not None and draft.hash != hash:
        raise DraftChanged
    return case, draft
