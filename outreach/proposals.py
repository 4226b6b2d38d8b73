"""What a question takes along for the person who answers it: what the agent would do, and has found out so far."""

from typing import Any

from outreach.agents.base import Verdict
from outreach.deliberation import Written


def of_verdict(verdict: Verdict) -> dict[str, Any] | None:
    """The reply that the agent would send, and the values that are borne out, with their sources; None for nothing."""
    found: dict[str, Any] = {}
    if verdict.reply_body:
        found["reply"] = verdict.reply_body
    if verdict.result is not None:
        found["values"] = verdict.result
        found["sources"] = [vars(source) for source in verdict.sources]
    return found or None


def of_draft(written: Written) -> dict[str, Any]:
    """A mail that was held back, and what is wrong with it."""
    return {"reply": written.draft.body, "faults": list(written.faults)}
