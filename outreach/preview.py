"""A mail as it would leave, for people to look at before it does."""

from typing import Any

from cases import correspondence, services, work
from cases.models import Case, Purpose
from outreach.advance import outgoing
from outreach.transports.base import as_email, clean_text


def of_reply(case: Case, text: str) -> dict[str, Any]:
    """What a person's own words would go out as: `from`, `to`, `reply_to`, `subject`, `text`, `files` (their names).

    The headers are those of the mail itself, decoded. Nothing is stored.
    """
    purpose = Purpose.REPLY if case.attempt_count else Purpose.OUTREACH
    subject = services.subject_of(case)
    message = correspondence.drawn(case, purpose=purpose, subject=subject, text=text, at=work.now())
    mail = outgoing(case, message)
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
