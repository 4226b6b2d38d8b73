"""What a transport is: whatever has `send`."""

import re
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class OutgoingMail:
    """One frozen mail. The same mail is the same in every field, however often it is handed over."""

    case_id: str
    from_address: str
    from_name: str
    to_address: str
    to_name: str
    subject: str
    text: str
    message_id: str  # with angle brackets
    in_reply_to: str  # Message-ID or empty
    references: tuple[str, ...]  # oldest first
    idempotency_key: str
    queued_at: datetime


@dataclass(frozen=True)
class Receipt:
    """The provider's answer: its id of the mail, and what it chose itself where it does."""

    provider_id: str
    message_id: str = ""  # empty: ours was kept
    thread_id: str = ""


class TransportError(Exception):
    """A mail was not accepted. `permanent`: trying again can't help."""

    def __init__(self, reason: str, *, permanent: bool) -> None:
        super().__init__(reason)
        self.permanent = permanent


class Transport(Protocol):
    def send(self, mail: OutgoingMail) -> Receipt:
        """Hand over one mail, repeatable with the same key. Raises TransportError and nothing else."""


_NOT_IN_A_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def one_line(text: str) -> str:
    """The text without anything that could end a header line (RFC 5322 §2.2) or that can't be encoded."""
    return _NOT_IN_A_LINE.sub(" ", text).strip()


def as_email(mail: OutgoingMail) -> EmailMessage:
    """The mail as RFC 5322 text, the same bytes each time: its date is when it was queued."""
    message = EmailMessage(policy=SMTP)
    message["From"] = _address(mail.from_name, mail.from_address)
    message["To"] = _address(mail.to_name, mail.to_address)
    message["Subject"] = one_line(mail.subject)
    message["Date"] = format_datetime(mail.queued_at)
    message["Message-ID"] = mail.message_id
    if mail.in_reply_to:
        message["In-Reply-To"] = mail.in_reply_to
    if mail.references:
        message["References"] = " ".join(mail.references)
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5: other machines need not answer
    message.set_content(mail.text)
    return message


def _address(name: str, address: str) -> Address:
    return Address(display_name=one_line(name), addr_spec=address)
