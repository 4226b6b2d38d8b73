"""What staff see of a mail that waits for them, without opening it again: the door may have to fetch it."""

from typing import Any

from outreach.inbound import attachments
from outreach.inbound.mail import InboundMail
from outreach.inbound.matching import Match

MAX_TEXT_CHARS = 20_000
MAX_RECIPIENTS = 20
MAX_FILES = 20
MAX_CANDIDATES = 20


def summary_of(mail: InboundMail) -> dict[str, Any]:
    """`from`, `name`, `to`, `subject`, `text` (its beginning) and `files` (name, type by the bytes, size in bytes)."""
    return {
        "from": mail.from_address,
        "name": mail.from_name,
        "to": [*mail.to, *mail.cc][:MAX_RECIPIENTS],
        "subject": mail.subject,
        "text": mail.reply_text[:MAX_TEXT_CHARS] or mail.text[:MAX_TEXT_CHARS],
        "files": [
            {
                "name": attachments.safe_name(file.name),
                "type": attachments.sniff_type(file.content, file.name, file.declared_type),
                "size": len(file.content),
            }
            for file in mail.attachments[:MAX_FILES]
        ],
    }


def candidates_of(match: Match) -> dict[str, Any]:
    """`candidates`: of several cases that a mail may belong to the `case` and `why`, in words; nothing for none."""
    found = [
        {"case": str(case), "why": [str(evidence) for evidence in evidences]}
        for case, evidences in list(match.candidates.items())[:MAX_CANDIDATES]
    ]
    return {"candidates": found} if found else {}
