"""Mail as a counterparty's side would send it, raw: replies, bounces, delay notices, complaints, absence notes.

The sandbox feeds these bytes into the very path that real mail takes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid

from outreach.inbound import attachments as files
from outreach.inbound import mime
from outreach.inbound.content import InboundAttachment

# Not folded at 78: the library would write a Message-ID that is longer than that as an encoded word.
_WIRE = SMTP.clone(max_line_length=900)
_TYPE = re.compile(r"(?!multipart/|message/)[a-z0-9][\w.+-]{0,60}/[a-z0-9][\w.+-]{0,100}", re.ASCII)
_STRICT_ID = re.compile(r"<[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*@[\w.-]*\w>", re.ASCII)


@dataclass(frozen=True)
class OriginalMail:
    """The mail of ours that is answered; `from_…` is our side, `to_…` the counterparty. `sent_at` is aware."""

    message_id: str
    references: tuple[str, ...]
    subject: str
    from_address: str
    from_name: str
    to_address: str
    to_name: str
    text: str
    sent_at: datetime


def reply(
    original: OriginalMail, *, text: str, html: str | None = None, attachments: Sequence[InboundAttachment] = ()
) -> bytes:
    """A person's reply, with our mail quoted below the text as mail programs do; one of HTML alone, or of files alone,
    quotes nothing."""
    message = _answer(original, f"Re: {_without_reply_prefix(original.subject)}")
    text = mime.clean(text)
    if text.strip():
        message.set_content(f"{text}\n\n{_quote(original)}\n")
    if html is not None and html.strip():
        if text.strip():
            message.add_alternative(mime.clean(html), subtype="html")
        else:
            message.set_content(mime.clean(html), subtype="html")
    elif not text.strip():
        message.set_content("")
    for attachment in attachments:
        _attach(message, attachment)
    return _to_bytes(message)


def out_of_office(original: OriginalMail, *, until: date | None = None, text: str | None = None) -> bytes:
    """An absence note (RFC 3834). With `until` it says so, in words that `absent_until` reads."""
    message = _answer(original, f"Automatic reply: {mime.one_line(original.subject, 900)}")
    message["Auto-Submitted"] = "auto-replied"
    message["X-Auto-Response-Suppress"] = "All"
    message["Return-Path"] = "<>"
    words = [mime.clean(text)] if text and text.strip() else ["Thank you for your message."]
    if until:
        words.append(f"I am out of the office until {until.day} {until:%B} {until.year}.")
    elif not (text and text.strip()):
        words.append("I am currently out of the office and will reply when I return.")
    message.set_content("\n".join(words) + "\n")
    return _to_bytes(message)


def bounce(original: OriginalMail, *, permanent: bool = True) -> bytes:
    """A delivery status notification (RFC 3464) that the mail was not delivered: the user is unknown, or with
    `permanent` False the mailbox has been full for too long."""
    recipient = _address(original.to_address)
    if permanent:
        status, diagnostic = "5.1.1", f"550 5.1.1 <{recipient}>: Recipient address rejected: User unknown"
    else:
        status, diagnostic = "4.2.2", f"452 4.2.2 <{recipient}>: Mailbox full"
    return _delivery_status(
        original,
        subject="Undelivered Mail Returned to Sender",
        words=f"I'm sorry to have to inform you that your message could not be delivered to\n"
        f"<{recipient}>:\n{diagnostic}",
        fields={"Action": "failed", "Status": status, "Diagnostic-Code": f"smtp; {diagnostic}"},
    )


def delay(original: OriginalMail) -> bytes:
    """A delivery status notification (RFC 3464) that the mail has not been delivered yet."""
    retry_until = format_datetime(_utc(original.sent_at) + timedelta(days=5))
    return _delivery_status(
        original,
        subject="Delayed Mail (still being retried)",
        words=f"Your message to <{_address(original.to_address)}> could not be delivered yet. It will be retried.\n"
        "You do not need to resend your message.",
        fields={
            "Action": "delayed",
            "Status": "4.4.1",
            "Diagnostic-Code": "smtp; 451 4.4.1 Connection timed out",
            "Will-Retry-Until": retry_until,
        },
    )


def complaint(original: OriginalMail) -> bytes:
    """A feedback report (RFC 5965) that the counterparty has marked the mail as spam."""
    message = _system_mail(original, "Mail abuse report", "Feedback loop", "feedback", "feedback-report")
    message.attach(_text_part("This is an email abuse report for a message that a user has marked as spam."))
    fields = EmailMessage(policy=SMTP)
    fields["Feedback-Type"] = "abuse"
    fields["User-Agent"] = "Offload-Sandbox/1"
    fields["Version"] = "1"
    fields["Original-Mail-From"] = f"<{_address(original.from_address)}>"
    fields["Original-Rcpt-To"] = f"<{_address(original.to_address)}>"
    fields["Arrival-Date"] = format_datetime(_utc(original.sent_at))
    message.attach(_fields_part("message/feedback-report", [fields]))
    copy = _original_headers(original)
    copy.set_content(mime.clean(original.text))
    returned = EmailMessage(policy=SMTP)
    returned["Content-Type"] = "message/rfc822"
    returned.set_payload([copy])
    message.attach(returned)
    return _to_bytes(message)


# ---------------------------------------------------------------------------------------------- replies


def _answer(original: OriginalMail, subject: str) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = _mailbox(original.to_name, original.to_address)
    message["To"] = _mailbox(original.from_name, original.from_address)
    message["Subject"] = _words(subject, 900)
    message["Date"] = datetime.now(UTC)
    message["Message-ID"] = make_msgid(domain=_domain(original.to_address))
    own = _message_id(original.message_id)
    thread = [one for one in map(_message_id, original.references) if one and one != own]
    if own:
        message["In-Reply-To"] = own
        message["References"] = " ".join([*thread, own])
    return message


def _without_reply_prefix(subject: str) -> str:
    return re.sub(r"^\s*re\s*:\s*", "", mime.one_line(subject, 900), flags=re.IGNORECASE)


def _quote(original: OriginalMail) -> str:
    name = mime.one_line(original.from_name, 100).replace("<", "").replace(">", "")
    intro = f"On {_utc(original.sent_at):%a, %d %b %Y at %H:%M}, {name} <{_address(original.from_address)}> wrote:"
    lines = mime.clean(original.text).rstrip().splitlines()
    return "\n".join([intro, "", *(f"> {line}".rstrip() for line in lines)])


def _attach(message: EmailMessage, attachment: InboundAttachment) -> None:
    declared = attachment.declared_type.strip().lower()
    maintype, subtype = (declared if _TYPE.fullmatch(declared) else files.UNKNOWN).split("/")
    content_id = re.sub(r"[^\w.@+-]", "", attachment.content_id, flags=re.ASCII)[:200]
    message.add_attachment(
        attachment.content,
        maintype=maintype,
        subtype=subtype,
        filename=files.safe_name(attachment.name),
        disposition="inline" if attachment.inline else "attachment",
        cid=f"<{content_id}>" if content_id else None,
    )


# ---------------------------------------------------------------------------------------------- reports


def _delivery_status(original: OriginalMail, *, subject: str, words: str, fields: dict[str, str]) -> bytes:
    domain = _domain(original.to_address)
    message = _system_mail(original, subject, "Mail Delivery System", "MAILER-DAEMON", "delivery-status")
    message.attach(_text_part(f"This is the mail system at host mx.{domain}.\n\n{words}"))
    per_message = EmailMessage(policy=SMTP)
    per_message["Reporting-MTA"] = f"dns; mx.{domain}"
    per_message["Arrival-Date"] = format_datetime(_utc(original.sent_at))
    per_recipient = EmailMessage(policy=SMTP)
    per_recipient["Final-Recipient"] = f"rfc822; {_address(original.to_address)}"
    for name, value in fields.items():
        per_recipient[name] = value
    message.attach(_fields_part("message/delivery-status", [per_message, per_recipient]))
    headers = _text_part("".join(f"{name}: {value}\n" for name, value in _wire_headers(_original_headers(original))))
    headers.replace_header("Content-Type", "text/rfc822-headers")
    message.attach(headers)
    return _to_bytes(message)


def _system_mail(original: OriginalMail, subject: str, name: str, user: str, report_type: str) -> EmailMessage:
    domain = _domain(original.to_address)
    message = EmailMessage(policy=SMTP)
    message["Return-Path"] = "<>"
    message["From"] = _mailbox(name, f"{user}@{domain}")
    message["To"] = _mailbox("", original.from_address)
    message["Subject"] = subject
    message["Date"] = datetime.now(UTC)
    message["Message-ID"] = make_msgid(domain=domain)
    message["Auto-Submitted"] = "auto-replied" if report_type == "delivery-status" else "auto-generated"
    message["MIME-Version"] = "1.0"
    message["Content-Type"] = f"multipart/report; report-type={report_type}"
    return message


def _text_part(text: str) -> EmailMessage:
    part = EmailMessage(policy=SMTP)
    part.set_content(text.rstrip() + "\n")
    del part["MIME-Version"]
    return part


def _fields_part(content_type: str, groups: list[EmailMessage]) -> EmailMessage:
    """Groups of fields as a part's body, a blank line between them."""
    part = EmailMessage(policy=SMTP)
    part["Content-Type"] = content_type
    for group in groups:
        part.attach(group)
    return part


def _wire_headers(message: EmailMessage) -> list[tuple[str, str]]:
    """The fields as they go over the wire, ASCII, each on one line."""
    wire = EmailMessage(policy=_WIRE)
    for name, value in message.items():
        wire[name] = str(value)
    raw = wire.as_bytes().decode("ascii", "replace").split("\r\n\r\n")[0]
    unfolded = re.sub(r"\r\n(?=[ \t])", "", raw)
    return [(name, value) for name, _, value in (line.partition(": ") for line in unfolded.split("\r\n") if line)]


def _original_headers(original: OriginalMail) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = _mailbox(original.from_name, original.from_address)
    message["To"] = _mailbox(original.to_name, original.to_address)
    message["Subject"] = _words(original.subject, 900)
    message["Date"] = _utc(original.sent_at)
    own = _message_id(original.message_id)
    if _STRICT_ID.fullmatch(own):  # the library raises IndexError for some others
        message["Message-ID"] = own
    return message


# ----------------------------------------------------------------------------------------------- values


def _to_bytes(message: EmailMessage) -> bytes:
    is_ascii = all(mailbox.addr_spec.isascii() for name in ("From", "To") for mailbox in message[name].addresses)
    # There is no ASCII spelling of such an address (RFC 6532).
    return message.as_bytes(policy=_WIRE if is_ascii else _WIRE.clone(utf8=True))


def _mailbox(name: str, address: str) -> Address:
    user, _, domain = _address(address).rpartition("@")
    return Address(display_name=_words(name, 200), username=user or "unknown", domain=domain or "mail.invalid")


def _words(text: str, limit: int) -> str:
    """Text for a header. Encoded words (RFC 2047) in it are taken apart: the library would decode them, and one may
    hold a line break."""
    return mime.one_line(text, limit).replace("=?", "= ?")


def _address(address: str) -> str:
    """An address without anything that could end a header or leave the angle brackets around it."""
    return re.sub(r"[\s<>,;\"()\[\]\\]", "", mime.one_line(address, 320))


def _domain(address: str) -> str:
    """The address's domain in ASCII, for host names and Message-IDs."""
    domain = re.sub(r"[^\w.-]", "", _address(address).rpartition("@")[2]).strip(".-")
    try:
        return domain.encode("idna").decode("ascii") or "mail.invalid"
    except UnicodeError:
        return "mail.invalid"


def _message_id(value: str) -> str:
    inner = re.sub(r"[\s<>\x00-\x1f\x7f-\U0010ffff]", "", value)
    return f"<{inner[:500]}>" if inner else ""


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
