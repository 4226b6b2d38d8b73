"""Notices as mail: plain text, in which everything that others wrote is indented, so that it can't pose as ours."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.urls import reverse

from outreach.staff_notices.subjects import ORDER, Item
from outreach.transports.base import one_line

MAX_SUBJECT_CHARS = 120
MAX_TEXT_CHARS = 2000  # enough to decide whether it is urgent; the page has it all
MAX_TEXT_CHARS_OF_MANY = 400
MAX_LINE_CHARS = 300
MAX_OPTIONS = 20
MAX_LISTED = 25
INDENT = "    "
_NOT_IN_TEXT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def compose(items: Sequence[Item], *, to: str, identity: str) -> EmailMessage:
    """One mail for one item or several; `identity` is the same each time that it is sent."""
    domain = settings.OFFLOAD_MAIL_FROM.rpartition("@")[2].strip("> ")
    return EmailMessage(
        subject=one_line(items[0].subject if len(items) == 1 else subject_of_many(items), MAX_SUBJECT_CHARS),
        body=_of_one(items[0]) if len(items) == 1 else _of_many(items),
        to=[to],
        headers={
            "Message-ID": f"<notice-{identity}@{domain}>",
            "Auto-Submitted": "auto-generated",  # RFC 3834: an absence note must not answer it
        },
    )


def subject_of_many(items: Sequence[Item]) -> str:
    """`3 questions and 1 draft wait for you (Acme, Beta)`."""
    clients = list(dict.fromkeys(item.client for item in items if item.client))
    named = ", ".join(clients[:3]) + (" and others" if len(clients) > 3 else "")
    return f"{counted(items)} wait for you{f' ({named})' if named else ''}"


def counted(items: Sequence[Item]) -> str:
    """`3 questions, 1 draft and 1 mail`."""
    number = Counter(item.kind for item in items)
    parts = [f"{number[kind]} {kind}{'s' if number[kind] > 1 else ''}" for kind in ORDER if number[kind]]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def overview() -> str:
    """The page that has all that waits."""
    return f"{settings.OFFLOAD_BASE_URL}{reverse('admin:index')}"


def _of_one(item: Item) -> str:
    facts = {
        "item": item,
        "lead": one_line(item.lead, MAX_LINE_CHARS),
        "text": quoted(item.text, MAX_TEXT_CHARS),
        "why": quoted(item.why, MAX_TEXT_CHARS_OF_MANY),
        "options": [line(option) for option in item.options[:MAX_OPTIONS]],
        "facts": [(label, line(value)) for label, value in item.facts],
        "since": f"{item.since:%Y-%m-%d %H:%M} UTC",
    }
    return _rendered("mail/staff_notice.txt", facts)


def _of_many(items: Sequence[Item]) -> str:
    listed = [
        {
            "item": item,
            "title": line(item.title),
            "text": quoted(item.text, MAX_TEXT_CHARS_OF_MANY),
            "why": line(item.why, 200),
            "options": " | ".join(line(option, 80) for option in item.options[:MAX_OPTIONS]),
        }
        for item in items[:MAX_LISTED]
    ]
    facts = {"listed": listed, "counted": counted(items), "more": len(items) - len(listed), "overview": overview()}
    return _rendered("mail/staff_digest.txt", facts)


def _rendered(template: str, facts: dict[str, Any]) -> str:
    return f"{render_to_string(template, facts).strip()}\n"


def line(text: str, limit: int = MAX_LINE_CHARS) -> str:
    """The text in one line."""
    return shortened(" ".join(_NOT_IN_TEXT.sub(" ", text).split()), limit)


def quoted(text: str, limit: int) -> str:
    """The text with each of its lines indented; without blank lines in a row, and cut to the limit."""
    clean = _NOT_IN_TEXT.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n"))
    short = shortened(re.sub(r"\n\s*\n+", "\n\n", clean).strip(), limit)
    return "\n".join(f"{INDENT}{row}".rstrip() for row in short.split("\n"))


def shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
