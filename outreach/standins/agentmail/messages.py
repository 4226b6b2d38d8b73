"""Messages as AgentMail keeps them: JSON, bytes and files, all out of the same RFC 5322 text."""

import base64
import binascii
import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from email.utils import formataddr, getaddresses
from typing import Any

from outreach.inbound.counterparty import OriginalMail
from outreach.standins.agentmail.refusals import Refused, invalid

Fields = dict[str, Any]


@dataclass
class Stored:
    """One message: its JSON with bodies, its bytes, and its files."""

    fields: Fields
    raw: bytes
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def labels(self) -> list[str]:
        return list(self.fields["labels"])

    def item(self) -> Fields:
        """As it stands in lists: without its bodies."""
        hidden = {"reply_to", "text", "html", "extracted_text", "extracted_html"}
        return {name: value for name, value in self.fields.items() if name not in hidden}


def stored_mail(inbox_id: str, thread_id: str, message_id: str, raw: bytes, labels: list[str]) -> Stored:
    """The message's JSON, out of its bytes."""
    mail = message_from_bytes(raw, policy=default)
    files, listed = {}, []
    for part in mail.iter_attachments():
        attachment_id, content = f"att_{uuid.uuid4().hex[:12]}", part.get_payload(decode=True)
        files[attachment_id] = content if isinstance(content, bytes) else part.as_bytes()
        listed.append(
            {
                "attachment_id": attachment_id,
                "filename": part.get_filename(),
                "size": len(files[attachment_id]),
                "content_type": part.get_content_type(),
                "content_disposition": part.get_content_disposition() or "attachment",
            }
        )
    at = now()
    fields: Fields = {
        "inbox_id": inbox_id,
        "thread_id": thread_id,
        "message_id": message_id,
        "labels": labels,
        "timestamp": at,
        "from": str(mail["From"] or ""),
        "to": _header_addresses(mail, "To"),
        "size": len(raw),
        "updated_at": at,
        "created_at": at,
        "subject": str(mail["Subject"] or ""),
    }
    optional = {
        "cc": _header_addresses(mail, "Cc"),
        "in_reply_to": str(mail["In-Reply-To"] or "").strip(),
        "references": str(mail["References"] or "").split(),
        "attachments": listed,
        **{name: _body(mail, kind) for name, kind in (("text", "plain"), ("html", "html"))},
    }
    return Stored({**fields, **{name: value for name, value in optional.items() if value}}, raw, files)


def _header_addresses(mail: EmailMessage, name: str) -> list[str]:
    return [mailbox(display, address) for display, address in getaddresses([str(mail[name] or "")]) if address]


def _body(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    return str(part.get_content()).replace("\r\n", "\n") if part is not None else ""


def file_of(given: Fields) -> tuple[Fields, bytes]:
    if ("content" in given) == ("url" in given):
        raise invalid("attachments", "exactly one of content and url")
    if "url" in given:
        raise Refused(403, "message_rejected", "Attachment could not be fetched")
    try:
        return given, base64.b64decode(given["content"], validate=True)
    except binascii.Error as error:
        raise invalid("attachments", "content is not base64") from error


def addresses_in(name: str, value: Any) -> list[str]:
    given = as_list(value)
    for one in given:
        found = getaddresses([one]) if isinstance(one, str) else []
        if len(found) != 1 or not re.fullmatch(r"[^@\s]+@[^@\s]+", found[0][1]):
            raise invalid(name, "must be an e-mail address")
    return given


def mailbox(name: str, address: str) -> str:
    return formataddr((name, address))


def reply_subject(answered: Stored) -> str:
    subject = str(answered.fields.get("subject", ""))
    return subject if subject.lower().startswith("re:") else f"Re: {subject}"


def as_list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def original(sent: Stored) -> OriginalMail:
    """A mail of ours as the counterparty's mail program knows it, to be answered or reported on."""
    mail = message_from_bytes(sent.raw, policy=default)
    [us], [them] = mail["From"].addresses, mail["To"].addresses
    return OriginalMail(
        message_id=str(mail["Message-ID"]),
        references=tuple(str(mail["References"] or "").split()),
        subject=str(mail["Subject"]),
        from_address=us.addr_spec,
        from_name=us.display_name,
        to_address=them.addr_spec,
        to_name=them.display_name,
        text=sent.fields["text"],
        sent_at=mail["Date"].datetime,
    )
