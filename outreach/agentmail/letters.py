"""A mail as AgentMail's JSON describes it, as RFC 5322 bytes: so that one parser reads all mail."""

import re
from collections.abc import Iterable
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

from outreach.inbound import attachments, mime
from outreach.inbound.content import InboundAttachment

Fields = dict[str, Any]

MAX_HEADERS = 200
MAX_VALUE_CHARS = 10_000
_NAME = re.compile(r"[!-9;-~]{1,100}")
_TYPE = re.compile(r"(?!multipart/|message/)[a-z0-9][\w.+-]{0,60}/[a-z0-9][\w.+-]{0,100}", re.ASCII)
# What is written from the message's own fields, and what describes a body that is encoded anew.
_OWN = {"from", "to", "cc", "reply-to", "subject", "date", "message-id", "in-reply-to", "references", "mime-version"}


def has_body(message: Fields) -> bool:
    """Whether the message came with its words; above a size AgentMail leaves them out."""
    return any(_text(message, name) for name in ("html", "text", "extracted_html", "extracted_text"))


def write(message: Fields, files: Iterable[InboundAttachment] = ()) -> bytes:
    """The mail of a Message object (or an event's `message`) with its files. Takes any fields of any type.

    HTML goes first, text beside it; what AgentMail extracts serves only where it gives neither, since what it takes for
    a quote may be an answer.
    """
    body = EmailMessage(policy=SMTP)
    html = _text(message, "html")
    text = _text(message, "text")
    if not html and not text:
        html, text = _text(message, "extracted_html"), _text(message, "extracted_text")
    if text or not html:
        body.set_content(text)
    if html and text:
        body.add_alternative(html, subtype="html")
    elif html:
        body.set_content(html, subtype="html")
    for file in files:
        _attach(body, file)
    head = "".join(f"{name}: {value}\r\n" for name, value in _headers(message) if value)
    return head.encode() + body.as_bytes()


def _headers(message: Fields) -> Iterable[tuple[str, str]]:
    """The header lines, as UTF-8 (RFC 6532). Nothing in a value ends its line."""
    yield "From", _addresses(message.get("from") or message.get("from_"))
    yield "To", _addresses(message.get("to"))
    yield "Cc", _addresses(message.get("cc"))
    yield "Reply-To", _addresses(message.get("reply_to"))
    yield "Subject", _line(message.get("subject"))
    yield "Message-ID", _line(message.get("message_id"))
    yield "In-Reply-To", _ids(message.get("in_reply_to"))
    yield "References", _ids(message.get("references"))
    given = message.get("headers")
    if not isinstance(given, dict):
        return
    for name, value in list(given.items())[:MAX_HEADERS]:
        lower = name.lower()
        if lower == "date":
            yield "Date", _line(value)
        elif _NAME.fullmatch(name) and lower not in _OWN and not lower.startswith("content-"):
            yield name, _line(value)


def _line(value: Any) -> str:
    return mime.one_line(value, MAX_VALUE_CHARS) if isinstance(value, str) else ""


def _text(message: Fields, name: str) -> str:
    value = message.get(name)
    return mime.clean(value) if isinstance(value, str) else ""


def _ids(value: Any) -> str:
    return " ".join(_line(one) for one in _list(value))


def _addresses(value: Any) -> str:
    """Documented as one string for the sender and as lists for the others; in the field also as objects."""
    return ", ".join(found for one in _list(value) if (found := _address(one)))


def _address(value: Any) -> str:
    if not isinstance(value, dict):
        return _line(value)
    address = _line(value.get("email") or value.get("address"))
    name = re.sub(r'["\\]', "", _line(value.get("name")))
    return f'"{name}" <{address}>' if name and address else address


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _attach(body: EmailMessage, file: InboundAttachment) -> None:
    declared = file.declared_type.strip().lower()
    maintype, subtype = (declared if _TYPE.fullmatch(declared) else attachments.UNKNOWN).split("/")
    content_id = re.sub(r"[^\w.@+-]", "", file.content_id, flags=re.ASCII)[:200]
    body.add_attachment(
        file.content,
        maintype=maintype,
        subtype=subtype,
        filename=attachments.safe_name(file.name),
        disposition="inline" if file.inline else "attachment",
        cid=f"<{content_id}>" if content_id else None,
    )
