"""Files that are text: plain and CSV, HTML, mail."""

import re

from outreach.inbound import mail, mime, visible
from outreach.reading.bounds import Reading

_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:+-]{1,40})", re.IGNORECASE)
_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def read_text(content: bytes) -> Reading:
    return Reading(_decoded(content, ""))


def read_html(content: bytes) -> Reading:
    """What a person would see of the page; hidden text is left out."""
    declared = _META_CHARSET.search(content[:4096])
    return Reading(visible.html_text(_decoded(content, declared.group(1).decode("ascii") if declared else "")))


def read_mail(content: bytes) -> Reading:
    """Sender, subject and words of an attached mail; what is attached to it in turn is named and not read."""
    found = mail.parse(content)
    sender = f"{found.from_name} <{found.from_address}>" if found.from_name else found.from_address
    head = [f"From: {sender}", f"Subject: {found.subject}"]
    if found.sent_at:
        head.append(f"Date: {found.sent_at:%Y-%m-%d %H:%M} UTC")
    head += [f"Attached: {attachment.name}" for attachment in found.attachments]
    body = found.text if found.text.strip() else visible.html_text(found.html)
    note = "what is attached to this mail was not read" if found.attachments else ""
    return Reading("\n".join([*head, "", body]), note)


def _decoded(content: bytes, charset: str) -> str:
    charset = next((codec for mark, codec in _BYTE_ORDER_MARKS if content.startswith(mark)), charset)
    return mime.decode_bytes(content, charset).removeprefix("\ufeff")
