"""What follows from an end that staff decide, in sentences: shown before they confirm it."""

from collections.abc import Iterator, Mapping
from typing import Any

from cases.models import Case

TOLD: Mapping[str, str] = {"complete": "case.completed", "fail": "case.failed", "cancel": "case.failed"}


def of(name: str, case: Case) -> list[str]:
    """Of the action with that name on an open case of `page.for_staff()`; none of an action that can be taken back."""
    return list(_of(TOLD[name], case)) if name in TOLD else []


def _of(event: str, case: Any) -> Iterator[str]:
    them = case.counterparty.get("name") or "The counterparty"
    yield f"{them} gets no further mail." if case.attempt_count else f"{them} gets no mail."
    if case.has_queued or case.drafted_at:
        yield "The mail that waits to be sent is taken back, unless its sending has begun."
    if case.has_unread:
        yield "The mail that nobody has judged yet is not looked at any more."
    if case.asked_at:
        yield "The open question is closed without an answer."
    if case.client_webhook_url:
        yield f"{case.client} is told {event}."
    else:
        yield f"{case.client} sees it when it next asks for the case: it has given no webhook."
    yield "There is no way back; a new case can go on in the same thread."
