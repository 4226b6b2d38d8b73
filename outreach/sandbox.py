"""The counterparty's side of a sandbox case: its mailbox, and all that a person or a mail system there can send back.

What is made here goes through the same door as real mail, as raw bytes.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from typing import Any

from cases.errors import CaseError, NothingSentYet
from cases.models import Case, Direction, Message
from cases.payload_parts import milliseconds
from outreach.inbound import counterparty, intake
from outreach.inbound.attachments import safe_name
from outreach.inbound.content import InboundAttachment
from outreach.inbound.counterparty import OriginalMail
from outreach.models import SandboxMail

MAX_LETTERS = 50


class NotASandboxCase(CaseError):
    """The case's counterparty is a real one; nobody plays it."""

    code, status, message = "NOT_A_SANDBOX_CASE", 409, "Only a case in the sandbox can be played; its mail is real."


def mailbox(case: Case) -> list[dict[str, Any]]:
    """What the counterparty has got, oldest first; see DeliveredMail in sandbox_fields.py."""
    return [_readable(mail) for mail in case.sandbox_mails.all()]


def _readable(mail: SandboxMail) -> dict[str, Any]:
    raw = bytes(mail.raw)
    message = message_from_bytes(raw, policy=policy.SMTP)
    text = message.get_body(("plain",))
    return {
        "messageId": mail.message_id,
        "from": str(message["From"]),
        "to": str(message["To"]),
        "subject": str(message["Subject"]),
        "text": text.get_content().replace("\r\n", "\n") if text else "",
        "sentAt": milliseconds(mail.delivered_at),
        "attachments": [_described(part) for part in message.iter_attachments()],
        "raw": raw.decode(),
    }


def _described(part: EmailMessage) -> dict[str, Any]:
    content = part.get_payload(decode=True)
    size = len(content) if isinstance(content, bytes) else 0
    return {"name": part.get_filename() or "", "type": part.get_content_type(), "size": size}


@dataclass(frozen=True)
class Letter:
    """A mail of a sandbox case as the counterparty's mail program shows it: one that came, or one of their own."""

    key: str  # unique within the case
    is_theirs: bool
    at: datetime
    sender: str
    to: str
    subject: str
    text: str
    message_id: str
    in_reply_to: str
    quoted: str = ""  # of their own mail, the whole of it where it says more than the new words
    files: tuple[dict[str, Any], ...] = ()  # `name`, `type`, `size`, and of their own `pk`
    mail_pk: int = 0  # of one that came


def letters(case: Case) -> list[Letter]:
    """Both sides' mail, oldest first; the newest MAX_LETTERS of each side."""
    came = [_that_came(mail) for mail in case.sandbox_mails.order_by("-id")[:MAX_LETTERS]]
    theirs = case.messages.filter(direction=Direction.IN).prefetch_related("attachments").order_by("-created_at", "-id")
    return sorted([*came, *map(_of_theirs, theirs[:MAX_LETTERS])], key=lambda letter: letter.at)


def _that_came(mail: SandboxMail) -> Letter:
    readable = _readable(mail)
    headers = BytesHeaderParser(policy=policy.SMTP).parsebytes(bytes(mail.raw))
    return Letter(
        key=f"mail-{mail.pk}",
        is_theirs=False,
        at=mail.delivered_at,
        sender=readable["from"],
        to=readable["to"],
        subject=readable["subject"],
        text=readable["text"],
        message_id=mail.message_id,
        in_reply_to=str(headers["In-Reply-To"] or ""),
        files=tuple(readable["attachments"]),
        mail_pk=mail.pk,
    )


def _of_theirs(message: Message) -> Letter:
    whole = message.full_text.strip()
    return Letter(
        key=f"message-{message.pk}",
        is_theirs=True,
        at=message.created_at,
        sender=f"{message.from_name} <{message.from_address}>".strip(),
        to=message.to_address,
        subject=message.subject,
        text=message.text,
        message_id=message.message_id,
        in_reply_to=message.in_reply_to,
        quoted=whole if whole != message.text.strip() else "",
        files=tuple(
            {"name": file.name, "type": file.type, "size": file.size, "pk": file.pk}
            for file in message.attachments.all()
        ),
    )


def file_of(mail: SandboxMail, number: int) -> tuple[str, bytes] | None:
    """Safe name and content of a file that came with a mail, by its place in `attachments`; None for no such file."""
    parts = list(message_from_bytes(bytes(mail.raw), policy=policy.SMTP).iter_attachments())
    if number >= len(parts):
        return None
    content = parts[number].get_payload(decode=True)
    return safe_name(parts[number].get_filename() or ""), content if isinstance(content, bytes) else b""


def reply(
    case: Case,
    *,
    text: str = "",
    html: str = "",
    attachments: Sequence[InboundAttachment] = (),
    from_address: str = "",
    from_name: str = "",
) -> str:
    """A person answers the newest mail; returns the answer's Message-ID, as all of these do. Raises NothingSentYet.

    With `from_…` it is not who was written to, or they write from elsewhere.
    """
    newest = _newest_mail(case)
    answered = replace(newest, to_address=from_address or newest.to_address, to_name=from_name or newest.to_name)
    return _deliver(counterparty.reply(answered, text=text, html=html or None, attachments=attachments))


def bounce(case: Case, *, permanent: bool = True) -> str:
    """A mail server reports that the newest mail could not be delivered."""
    return _deliver(counterparty.bounce(_newest_mail(case), permanent=permanent))


def delay(case: Case) -> str:
    """A mail server reports that it has not delivered the newest mail yet, and goes on trying."""
    return _deliver(counterparty.delay(_newest_mail(case)))


def complaint(case: Case) -> str:
    """A mailbox provider reports that the newest mail was marked as spam."""
    return _deliver(counterparty.complaint(_newest_mail(case)))


def out_of_office(case: Case, *, until: date | None = None, text: str | None = None) -> str:
    """The counterparty's mail program answers that nobody is there."""
    return _deliver(counterparty.out_of_office(_newest_mail(case), until=until, text=text))


def _newest_mail(case: Case) -> OriginalMail:
    """What is in the mailbox counts: a counterparty can be faster than the commit of the send that it answers."""
    delivered = case.sandbox_mails.last()
    if delivered is None:
        raise NothingSentYet
    message = case.messages.get(idempotency_key=delivered.idempotency_key)
    return OriginalMail(
        message_id=delivered.message_id,
        references=tuple(message.references.split()),
        subject=message.subject,
        from_address=message.from_address,
        from_name=message.from_name,
        to_address=message.to_address,
        to_name=case.counterparty["name"],
        text=message.text,
        sent_at=delivered.delivered_at,
    )


def _deliver(raw: bytes) -> str:
    intake.accept("sandbox", raw, hashlib.sha256(raw).hexdigest())
    return str(BytesHeaderParser().parsebytes(raw)["Message-ID"])
