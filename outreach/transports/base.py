"""What a transport is: whatever has `send`."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address, BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, Policy
from email.utils import format_datetime
from typing import Any, Protocol

from cases import work
from outreach.providers.trouble import Trouble


@dataclass(frozen=True)
class OutgoingFile:
    """A file that a mail carries."""

    name: str
    type: str  # MIME
    content: bytes


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
    reply_to: str = ""  # an address of the case's own, where the transport has such; empty: from_address
    thread_id: str = ""  # the provider's, once it has told it
    send_began_at: datetime | None = None  # of the first try; later ones repeat it
    files: tuple[OutgoingFile, ...] = ()


@dataclass(frozen=True)
class Receipt:
    """The provider's answer: its id of the mail, and what it chose itself where it does."""

    provider_id: str
    message_id: str = ""  # empty: ours was kept
    thread_id: str = ""


class TransportError(work.StepFailed):
    """A mail was not accepted, or nobody knows. `permanent`: trying again can't help; else it is tried again, after the
    pause for which the provider has asked. `trouble`: what it says about the provider, whatever the mail; None: that it
    does well."""

    def __init__(
        self, reason: str, *, permanent: bool, retry_after_seconds: float = 0.0, trouble: Trouble | None = None
    ) -> None:
        super().__init__(reason, retry_after_seconds=retry_after_seconds)
        self.permanent = permanent
        self.trouble = trouble


class Transport(Protocol):
    def send(self, mail: OutgoingMail) -> Receipt:
        """Hand over one mail, repeatable with the same key. Raises TransportError and nothing else."""


_NOT_IN_A_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_NOT_IN_TEXT = re.compile("[\x00\ud800-\udfff]")
_MIME_TYPE = re.compile(r"[a-zA-Z0-9][\w.+-]{0,60}/[a-zA-Z0-9][\w.+-]{0,90}", re.ASCII)
MAX_NAME_CHARS = 300
MAX_SUBJECT_CHARS = 900
MAX_MESSAGE_ID_CHARS = 900  # a line has at most 998 (RFC 5322 §2.1.1), and an id can't be folded


def one_line(text: str, limit: int) -> str:
    """The text without anything that could end a header line (RFC 5322 §2.2) or can't be encoded, cut to the limit.

    Encoded words (RFC 2047) are taken apart: the library decodes those it is given, and one may hold a line break.
    """
    return _NOT_IN_A_LINE.sub(" ", text).replace("=?", "= ?")[:limit].strip()


class _MessageIds(UnstructuredHeader, BaseHeader):
    """Message-IDs, folded between them. The library writes one longer than 78 characters as an encoded word (RFC 2047),
    and no mail program finds its thread by that."""

    def fold(self, *, policy: "Policy[Any]") -> str:
        return f"{self.name}: {f'{policy.linesep} '.join(self.split())}{policy.linesep}"


def _headers() -> HeaderRegistry:
    registry = HeaderRegistry()
    for name in ("in-reply-to", "references"):
        registry.map_to_type(name, _MessageIds)
    return registry


WIRE = SMTP.clone(header_factory=_headers(), cte_type="7bit")  # not every server on the way takes 8 bits


def as_email(mail: OutgoingMail, *, html: str = "") -> EmailMessage:
    """The mail as RFC 5322 text; with `html`, the same words for programs that show such.

    The same bytes each time: the date is when it was queued, and boundaries are made of its key.
    """
    message = EmailMessage(policy=WIRE)
    message["From"] = _address(mail.from_name, mail.from_address)
    message["To"] = _address(mail.to_name, mail.to_address)
    if mail.reply_to:
        message["Reply-To"] = Address(addr_spec=mail.reply_to)
    message["Subject"] = one_line(mail.subject, MAX_SUBJECT_CHARS)
    message["Date"] = format_datetime(mail.queued_at)
    message["Message-ID"] = mail.message_id
    for name, ids in (("In-Reply-To", (mail.in_reply_to,)), ("References", mail.references)):
        if usable := usable_ids(ids):
            message[name] = " ".join(usable)
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5: other machines need not answer
    message.set_content(clean_text(mail.text))
    if html:
        message.add_alternative(_NOT_IN_TEXT.sub("", html), subtype="html")
    for file in mail.files:
        _attach(message, file)
    for number, part in enumerate(part for part in message.walk() if part.is_multipart()):
        part.set_boundary(f"=_{mail.idempotency_key}_{number}")
    return message


def clean_text(text: str) -> str:
    """The text with "\n" for every line end, and without what can't be encoded."""
    return _NOT_IN_TEXT.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def usable_ids(ids: Iterable[str]) -> list[str]:
    """Those of the Message-IDs that can stand in a header."""
    return [one for one in ids if _is_message_id(one)]


def _attach(message: EmailMessage, file: OutgoingFile) -> None:
    type_ = file.type.lower() if _MIME_TYPE.fullmatch(file.type) else "application/octet-stream"
    main, _, sub = type_.partition("/")
    if main in ("multipart", "message"):  # these are more mail, and would have to be taken apart
        main, sub = "application", "octet-stream"
    message.add_attachment(file.content, maintype=main, subtype=sub, filename=one_line(file.name, MAX_NAME_CHARS))


def _is_message_id(text: str) -> bool:
    """Whether it can stand in a header as it is; the counterparty's mail program has made it."""
    return bool(re.fullmatch(r"<[!-;=?-~]+>", text)) and len(text) <= MAX_MESSAGE_ID_CHARS


def _address(name: str, address: str) -> Address:
    return Address(display_name=one_line(name, MAX_NAME_CHARS), addr_spec=address)
