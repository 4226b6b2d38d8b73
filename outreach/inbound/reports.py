"""What mail systems report about a mail of ours: delivery status (RFC 3464) and feedback (RFC 5965)."""

import re
from dataclasses import dataclass
from enum import IntEnum

from outreach.inbound import mime
from outreach.inbound.mime import Part

MAX_RECIPIENTS = 50
MAX_REPORT_BYTES = 256 * 1024

_ORIGINAL_TYPES = mime.names(
    "message/rfc822 message/global text/rfc822-headers message/rfc822-headers message/global-headers"
)
_REPORT_TYPES = {
    "message/delivery-status": "delivery-status",
    "message/global-delivery-status": "delivery-status",
    "message/feedback-report": "feedback-report",
    "message/disposition-notification": "disposition-notification",
    "message/global-disposition-notification": "disposition-notification",
}
_MESSAGE_ID_LINE = re.compile(r"^[>\s]{0,10}(?:X-Original-)?Message-ID:[ \t]{0,10}(<[^<>\s]{1,400}>)", re.I | re.M)


class Outcome(IntEnum):
    """What became of a delivery; of several recipients' the highest counts."""

    DELIVERED = 0
    DELAYED = 1
    FAILED_FOR_NOW = 2
    FAILED = 3


@dataclass(frozen=True)
class DeliveryReport:
    """Of a bounce, a delay notice or a complaint: Message-IDs (with brackets) of the mail it is about, its recipient
    (lower case, "" if not told), the enhanced status code (RFC 3463: "5.1.1"; "" for a complaint), and the reporting
    system's words (of a complaint: its Feedback-Type)."""

    original_message_ids: tuple[str, ...]
    recipient: str
    status: str
    diagnostic: str


@dataclass(frozen=True)
class Report:
    """A machine-readable report: its type as in report-type, the groups of fields it holds, all as headers."""

    type: str
    groups: tuple[Part, ...]

    def field(self, name: str) -> str:
        """The first value of field `name` in any group, on one line; ""."""
        return next((mime.one_line(group.get(name), 1000) for group in self.groups if group.has(name)), "")


def find(tree: Part) -> Report | None:
    """The report in a message: in its multipart/report, also one level down where a gateway has wrapped it."""
    candidates = [
        tree,
        *(child for child in tree.children if tree.content_type in ("multipart/mixed", "multipart/signed")),
    ]
    for candidate in candidates:
        if candidate.content_type != "multipart/report":
            continue
        for part in candidate.walk():
            if part.content_type in _REPORT_TYPES:
                return Report(_REPORT_TYPES[part.content_type], _groups(part.content))
        # The machine-readable part is missing: the type is all that is known.
        return Report(candidate.parameters.get("report-type", "").lower(), ())
    return None


def _groups(content: bytes) -> tuple[Part, ...]:
    groups = re.split(
        rb"\n[ \t\r]*\n", content[:MAX_REPORT_BYTES].replace(b"\r\n", b"\n").strip(), maxsplit=MAX_RECIPIENTS
    )
    return tuple(mime.read_headers(group) for group in groups[:MAX_RECIPIENTS])


def worst_recipient(report: Report) -> tuple[Outcome, DeliveryReport] | None:
    """The per-recipient group (RFC 3464 §2.3) with the worst outcome; None where no group tells one."""
    found = [(outcome, group) for group in report.groups if (outcome := _outcome(group)) is not None]
    if not found:
        return None
    outcome, group = max(found, key=lambda pair: pair[0])
    recipient = _typed(group.get("final-recipient")) or _typed(group.get("original-recipient"))
    diagnostic = mime.one_line(_typed(group.get("diagnostic-code")), 1000)
    return outcome, DeliveryReport((), recipient.lower().strip("<> ")[:320], _status(group), diagnostic)


def _outcome(group: Part) -> Outcome | None:
    words = group.get("action").lower().split()
    action = re.sub(r"[^a-z]", "", words[0]) if words else ""
    if action in ("failed", "failure"):
        code = _status(group) or _smtp_code(_typed(group.get("diagnostic-code")))
        # Without any code "failed" still means what RFC 3464 §2.3.3 says: given up.
        return Outcome.FAILED_FOR_NOW if code.startswith("4") else Outcome.FAILED
    if action == "delayed":
        return Outcome.DELAYED
    if action in ("delivered", "relayed", "expanded"):
        return Outcome.DELIVERED
    return None


def _typed(value: str) -> str:
    """The value of a "type; value" field; types are optional in what really arrives."""
    head, semicolon, rest = value.partition(";")
    return mime.one_line(rest if semicolon and "@" not in head else value, 1000)


def _status(group: Part) -> str:
    found = re.match(r"\s*([245]\.\d{1,3}\.\d{1,3})\b", group.get("status"))
    return found.group(1) if found else ""


def _smtp_code(diagnostic: str) -> str:
    found = re.match(r"\D{0,20}([45]\d\d)\b", diagnostic)
    return found.group(1) if found else ""


def returns_original(tree: Part) -> bool:
    """Whether a mail, or its headers, is attached: what bounces do, and forwards."""
    return any(part.content_type in _ORIGINAL_TYPES for part in tree.walk())


def original_message_ids(tree: Part, text: str) -> tuple[str, ...]:
    """Message-IDs of the mail that a report returns: from its copy or its headers, else from a copy within `text`."""
    found: dict[str, None] = {}
    for part in tree.walk():
        if part.content_type in _ORIGINAL_TYPES:
            original = mime.read_headers(part.content)
            found |= dict.fromkeys(message_ids(original.get("message-id")))
        elif part.content_type in _REPORT_TYPES:
            for group in _groups(part.content):
                found |= dict.fromkeys(message_ids(group.get("original-message-id")))
    found |= dict.fromkeys(_MESSAGE_ID_LINE.findall(text[:200_000]))
    return tuple(found)[:20]


def message_ids(value: str) -> tuple[str, ...]:
    """The Message-IDs in a header value (RFC 5322 §3.6.4), unfolded, with their brackets; a bare id@host gets them."""
    found = ["<" + re.sub(r"\s+", "", inner) + ">" for inner in re.findall(r"<([^<>]{1,998})>", value)]
    if not found:
        found = [f"<{word}>" for word in re.split(r"[\s,;\"()<>]+", value) if re.fullmatch(r"[^@]+@[^@]+", word)]
    return tuple(dict.fromkeys(mime.one_line(one, 998) for one in found if 3 < len(one) <= 998))
