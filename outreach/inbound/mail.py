"""A mail as it came in, from any transport: bytes to one dataclass. Any bytes are a mail."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import getaddresses, parsedate_to_datetime

from outreach.inbound import classify, content, mime, quotes, reports
from outreach.inbound.classify import InboundKind
from outreach.inbound.content import InboundAttachment
from outreach.inbound.mime import Part
from outreach.inbound.reports import DeliveryReport

__all__ = ["DeliveryReport", "InboundAttachment", "InboundKind", "InboundMail", "parse"]

MAX_ADDRESSES = 100
MAX_REFERENCES = 100
MAX_SUBJECT_CHARS = 998
MAX_NAME_CHARS = 320

_ADDRESS = re.compile(r"[^\s<>@,;:\"()\[\]]{1,64}@[^\s<>@,;:\"()\[\]]{1,255}")


@dataclass(frozen=True)
class InboundMail:
    """One mail. No str in it holds NUL or a lone surrogate; addresses are lower case; `message_id`, `in_reply_to` and
    `references` are Message-IDs with brackets ("" and () where there are none); `sent_at` is the sender's claim, in
    UTC. `text` and `html` are the bodies as decoded, `reply_text` the sender's new words; `report` is there for
    bounces, delay notices and complaints.

    `from_address` is the best there is; `authors` are all addresses of From, and none if any part of it is no address:
    what a sloppy reader could take for another author must not be trusted. `delivered_to` is what servers on the way
    have noted as the address they delivered to.
    """

    kind: InboundKind
    message_id: str
    in_reply_to: tuple[str, ...]
    references: tuple[str, ...]
    from_address: str
    from_name: str
    authors: tuple[str, ...]
    to: tuple[str, ...]
    cc: tuple[str, ...]
    delivered_to: tuple[str, ...]
    subject: str
    text: str
    html: str
    reply_text: str
    sent_at: datetime | None
    attachments: tuple[InboundAttachment, ...]
    report: DeliveryReport | None


def parse(raw: bytes) -> InboundMail:
    """The mail in `raw`. Never raises; what is missing is empty, what is over a limit is cut."""
    tree = mime.read(raw)
    found = content.read(tree)
    kind = classify.kind_of(tree, found.said)
    from_name, from_address = _sender(tree)
    return InboundMail(
        kind=kind,
        message_id=next(iter(reports.message_ids(tree.get("message-id"))), ""),
        in_reply_to=reports.message_ids(tree.get("in-reply-to"))[:MAX_REFERENCES],
        references=reports.message_ids(tree.get("references"))[-MAX_REFERENCES:],
        from_address=from_address,
        from_name=from_name,
        authors=_authors(tree),
        to=_addresses(tree, "to"),
        cc=_addresses(tree, "cc"),
        delivered_to=(*_addresses(tree, "delivered-to"), *_addresses(tree, "x-original-to")),
        subject=mime.one_line(mime.decode_words(tree.get("subject")), MAX_SUBJECT_CHARS),
        text=found.text,
        html=found.html,
        reply_text=quotes.without_quotes(found.said),
        sent_at=_sent_at(tree.get("date")),
        attachments=found.attachments,
        report=_report(kind, tree, found.said),
    )


def _sender(tree: Part) -> tuple[str, str]:
    """Display name and address of the author; without a usable From, those of the next best header."""
    for header in ("from", "sender", "reply-to", "return-path"):
        mailbox = next(_mailboxes(tree.get(header)), None)
        if mailbox:
            return mailbox
    return mime.one_line(mime.decode_words(tree.get("from")), MAX_NAME_CHARS), ""


def _authors(tree: Part) -> tuple[str, ...]:
    """All addresses of all From headers, by the grammar alone; none where it fails or there are too many."""
    values = _values(tree, "from")
    addresses = [address for value in values for _, address in _by_grammar(value)]
    is_clear = all(_ADDRESS.fullmatch(address) for address in addresses) and len(addresses) <= MAX_ADDRESSES
    return tuple(dict.fromkeys(mime.clean(address).lower() for address in addresses)) if is_clear else ()


def _addresses(tree: Part, header: str) -> tuple[str, ...]:
    values = _values(tree, header)
    found = dict.fromkeys(address for value in values[:MAX_ADDRESSES] for _, address in _mailboxes(value))
    return tuple(found)[:MAX_ADDRESSES]


def _values(tree: Part, header: str) -> list[str]:
    return [value for name, value in tree.headers if name == header]


def _by_grammar(value: str) -> list[tuple[str, str]]:
    try:
        return getaddresses([value[: mime.MAX_VALUE_CHARS]])
    except (RecursionError, IndexError, ValueError):  # the library descends into nested comments without a limit
        return []


def _mailboxes(value: str) -> Iterator[tuple[str, str]]:
    """Names and addresses in a header value; where the grammar fails, whatever looks like an address."""
    value = value[: mime.MAX_VALUE_CHARS]
    pairs = _by_grammar(value)
    found = [(mime.decode_words(name), address) for name, address in pairs if _ADDRESS.fullmatch(address)]
    if not found:
        found = [("", address) for address in _ADDRESS.findall(mime.decode_words(value))]
    for name, address in found:
        yield mime.one_line(name, MAX_NAME_CHARS), mime.clean(address).lower()


def _sent_at(value: str) -> datetime | None:
    try:
        sent_at = parsedate_to_datetime(value[:200])
        sent_at = sent_at.replace(tzinfo=UTC) if sent_at.tzinfo is None else sent_at.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return sent_at if 1970 <= sent_at.year < 2200 else None


def _report(kind: InboundKind, tree: Part, said: str) -> DeliveryReport | None:
    if kind in (InboundKind.REPLY, InboundKind.AUTO_REPLY):
        return None
    report = reports.find(tree)
    original_message_ids = reports.original_message_ids(tree, said)
    if report and kind is InboundKind.COMPLAINT:
        recipient = report.field("original-rcpt-to").strip("<> ").lower()[:320]
        return DeliveryReport(original_message_ids, recipient, "", report.field("feedback-type") or "abuse")
    worst = reports.worst_recipient(report) if report else None
    if worst:
        return replace(worst[1], original_message_ids=original_message_ids)
    failed = next(_mailboxes(tree.get("x-failed-recipients")), ("", ""))[1]
    status = re.search(r"\b[45]\.\d{1,3}\.\d{1,3}\b", said[:20_000])
    return DeliveryReport(
        original_message_ids, failed, status.group() if status else "", mime.one_line(said[:1000], 1000)
    )
