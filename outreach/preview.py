"""A mail as it would leave, for people to look at before it does. Nothing here stores anything."""

from dataclasses import replace
from typing import Any

from django.conf import settings

from cases import correspondence, services, work
from cases.models import Case, InputRequest, Purpose
from outreach import deliberation
from outreach.advance import outgoing
from outreach.agents import registry
from outreach.agents.base import AgentError, Answer, Decision
from outreach.budget import Meter
from outreach.situation import Situation
from outreach.transports.base import as_email, clean_text


def of_reply(case: Case, text: str) -> dict[str, Any]:
    """What a person's own words would go out as: `from`, `to`, `reply_to`, `subject`, `text`, `files` (their names).

    The headers are those of the mail itself, decoded.
    """
    purpose = Purpose.REPLY if case.attempt_count else Purpose.OUTREACH
    subject = services.subject_of(case)
    mail = outgoing(case, correspondence.drawn(case, purpose=purpose, subject=subject, text=text, at=work.now()))
    headers = as_email(mail)
    # AgentMail puts the name of the inbox before the address, whatever we say.
    sender = mail.from_address if case.transport == "agentmail" else str(headers["From"])
    files = case.enclosures.all() if purpose == Purpose.OUTREACH else ()
    return {
        "from": sender,
        "to": str(headers["To"]),
        "reply_to": str(headers["Reply-To"] or ""),
        "subject": str(headers["Subject"]),
        "text": clean_text(mail.text),
        "files": [file.name for file in files],
    }


def of_answer(question: InputRequest, text: str) -> dict[str, Any] | None:
    """The mail into which an answer would go word for word; None where a model words it, or none follows from it."""
    agent = registry.current(settings.OFFLOAD_STEP_SECONDS)
    if agent.judges_drafts or question.is_operational:
        return None
    now = Situation.of(question.case)
    view = now.view()
    answer = Answer(str(question.pk), question.question, text, used=False)
    view = replace(view, answers=(*view.answers, answer), open_question=None)
    try:
        if not now.case.attempt_count and not now.has_heard:
            return of_reply(now.case, agent.draft_outreach(view).body)
        verdict = deliberation.judge(agent, view, Meter())
        is_reply = verdict.decision == Decision.REPLY
        return of_reply(now.case, agent.draft_reply(view, verdict).body) if is_reply else None
    except AgentError:
        return None
