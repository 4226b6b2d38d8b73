"""The counterparty's side of a sandbox case: its mailbox, and all that a person or a mail system there can send back.

What is made here goes through the same door as real mail, as raw bytes.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from typing import Any

from cases.errors import CaseError, NothingSentYet
from cases.models import Case
from cases.payload_parts import milliseconds
from outreach.inbound import counterparty, intake
from outreach.inbound.content import InboundAttachment
from outreach.inbound.counterparty import OriginalMail
from outreach.models import SandboxMail


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
