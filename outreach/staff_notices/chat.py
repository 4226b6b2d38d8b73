"""Notices in a chat, by an incoming webhook that takes what Slack's takes (Mattermost, Rocket.Chat, Discord's /slack).

Only Slack shows `blocks`; the others show `text`, so both say all. What others wrote can neither mention anybody nor
hide where a link leads: Slack's control characters are written as entities, and for those who read Markdown and
mentions in any text an invisible character parts `@` and `]` from what follows.
https://docs.slack.dev/messaging/formatting-message-text/ and .../block-kit/composition-objects/text-object
"""

import re
from collections.abc import Sequence
from typing import Any

import requests
from django.conf import settings

from cases import work
from outreach.staff_notices.mail import counted, line, overview, shortened
from outreach.staff_notices.recipients import Recipient
from outreach.staff_notices.subjects import Item

MAX_MESSAGE_CHARS = 1900  # Discord refuses more than 2000
MAX_BLOCK_CHARS = 2900  # Slack: 3000
MAX_ROWS = 12
MAX_LISTED = 15  # Slack refuses more than 50 blocks
MAX_ANSWER_BYTES = 500
MAX_PAUSE_SECONDS = 3600.0
APART = "\u2060"  # word joiner: takes no room, and ends a mention
HARMLESS = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": f"@{APART}", "]": f"]{APART}"}


# --- What is written ------------------------------------------------------------------------------


def message(items: Sequence[Item]) -> dict[str, Any]:
    """The body of the webhook's request for one item or several."""
    return {
        "text": _text_of_one(items[0]) if len(items) == 1 else _text_of_many(items),
        "blocks": _blocks_of_one(items[0]) if len(items) == 1 else _blocks_of_many(items),
        "unfurl_links": False,  # Slack would fetch what others link to
        "unfurl_media": False,
    }


def harmless(text: str, limit: int) -> str:
    """Other people's words without any power; cut so that what is sent has no more than `limit` characters."""
    written = [HARMLESS.get(character, character) for character in text]
    if sum(map(len, written)) <= limit:
        return "".join(written)
    kept, size = [], 1
    for piece in written:
        size += len(piece)
        if size > limit:
            break
        kept.append(piece)
    return "".join(kept).rstrip() + "…"


def _text_of_one(item: Item) -> str:
    parts = [
        harmless(line(item.subject), 200),
        _quoted(item.text, 700),
        f"Why: {harmless(line(item.why), 300)}" if item.why else "",
        f"Possible answers: {harmless(_options(item), 250)}" if item.options else "",
        f"{item.act}: {item.link}",
    ]
    return "\n".join(filter(None, parts))


def _text_of_many(items: Sequence[Item]) -> str:
    """As many as there is room for; the rest by number."""
    end = f"All that is open: {overview()}"
    rows = [f"{counted(items)} wait for you."]
    room = MAX_MESSAGE_CHARS - len(end) - 40
    for number, item in enumerate(items):
        options = f" ({harmless(_options(item), 60)})" if item.options else ""
        told = f"{harmless(line(item.title), 150)}, {_waits(item)}: {harmless(line(item.text), 120)}{options}"
        row = f"• {told}\n  {item.link}"
        if sum(len(known) + 1 for known in rows) + len(row) > room:
            rows.append(f"… and {len(items) - number} more.")
            break
        rows.append(row)
    return "\n".join([*rows, end])


def _blocks_of_one(item: Item) -> list[dict[str, Any]]:
    about = " · ".join(f"{label}: {line(value, 150)}" for label, value in item.facts)
    return [
        _ours(f"*{harmless(line(item.subject), 200)}*\n<{item.link}|{item.act}>"),
        _theirs(shortened(item.text, 2000)),
        *([_theirs(f"Why: {shortened(item.why, 500)}")] if item.why else []),
        *([_theirs(f"Possible answers: {_options(item)}")] if item.options else []),
        _small(f"{about} · waits for {item.waits}"),
    ]


def _blocks_of_many(items: Sequence[Item]) -> list[dict[str, Any]]:
    blocks = [_ours(f"*{counted(items)} wait for you.* <{overview()}|All that is open>")]
    for item in items[:MAX_LISTED]:
        why = f"\nWhy: {line(item.why, 200)}" if item.why else ""
        options = f"\nPossible answers: {_options(item)}" if item.options else ""
        blocks += [
            {"type": "divider"},
            _ours(f"*{harmless(line(item.title), 200)}*, {_waits(item)}\n<{item.link}|{item.act}>"),
            _theirs(shortened(item.text, 400) + why + options),
        ]
    more = len(items) - MAX_LISTED
    return [*blocks, _small(f"And {more} more.")] if more > 0 else blocks


def _waits(item: Item) -> str:
    return f"waits for {item.waits}{', overdue' if item.is_overdue else ''}"


def _options(item: Item) -> str:
    return " | ".join(line(option, 80) for option in item.options)


def _quoted(text: str, limit: int) -> str:
    """Each line behind a mark, so that none can pose as ours."""
    rows = [row.strip() for row in shortened(text, limit).splitlines() if row.strip()]
    shown = rows if len(rows) <= MAX_ROWS else [*rows[: MAX_ROWS - 1], "…"]
    return "\n".join(f"> {row}" for row in harmless("\n".join(shown), limit).split("\n"))


def _ours(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _theirs(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _plain(text)}


def _small(text: str) -> dict[str, Any]:
    return {"type": "context", "elements": [_plain(text, 1900)]}


def _plain(text: str, limit: int = MAX_BLOCK_CHARS) -> dict[str, Any]:
    return {"type": "plain_text", "text": harmless(text.strip() or "–", limit), "emoji": False}


# --- How it is sent -------------------------------------------------------------------------------


def post(recipient: Recipient, body: dict[str, Any]) -> None:
    """Hand the message to the webhook. Raises StepFailed, which names its host and never its URL."""
    failure, pause = _failure_of(recipient, body)
    if failure:  # raised out here: the cause, which an `except` would chain to it, has the URL in its text
        raise work.StepFailed(f"{recipient.host} {failure}", retry_after_seconds=pause)


def _failure_of(recipient: Recipient, body: dict[str, Any]) -> tuple[str, float]:
    """Why the webhook did not take it ("": it did), and for how many seconds it wants to be left alone."""
    quarter = settings.OFFLOAD_TRANSPORT_SECONDS / 4
    try:
        # Redirects are not followed: whoever sends one elsewhere would get what cases ask.
        with requests.post(
            recipient.url,
            json=body,
            timeout=(quarter, 1.5 * quarter),  # to connect; for the answer, and again for its text
            allow_redirects=False,
            stream=True,
        ) as answer:
            if 200 <= answer.status_code < 300:
                return "", 0.0
            said = b"" if answer.is_redirect else next(answer.iter_content(MAX_ANSWER_BYTES), b"")
            words = _masked(said.decode(errors="replace"), recipient)
            pause = answer.headers.get("Retry-After", "")
    except requests.RequestException as error:
        return f"could not be reached: {type(error).__name__}", 0.0
    failure = f"answered {answer.status_code}{f': {words}' if words else ''}"
    return failure, min(float(pause), MAX_PAUSE_SECONDS) if re.fullmatch(r"\d{1,6}", pause) else 0.0


def _masked(words: str, recipient: Recipient) -> str:
    """What the server said, should it repeat parts of the URL, without them."""
    parts = re.split(r"[/?&=]", recipient.url.partition(recipient.host)[2])
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= 4:
            words = words.replace(part, "…")
    return line(words, 120)
