"""Correspondents that are machines and do not say so: they must not keep us writing.

Mail that says it is a machine's is never answered (`classify.py`). What is left are ticket systems and mirrors that
look like people: the same words again, our own words back, or an answer within seconds each time.
"""

import re
from dataclasses import replace
from datetime import timedelta
from difflib import SequenceMatcher

from outreach.agents.base import CaseView, Decision, Mail, Verdict

ALIKE = 0.9  # of the words of two mails
MAX_WORDS = 400  # of each mail that are compared
AT_ONCE = timedelta(seconds=30)  # nobody reads a mail and answers it in less
MAX_AT_ONCE = 2  # answers that fast; at the third it is no lucky moment any more
MAX_COMPARED = 20  # mails, the newest
FEW_WORDS = 6  # of so few each counts, numbers too: "Total: 5" is not "Total: 6" again


def silenced(case: CaseView, verdict: Verdict, *, is_played: bool) -> Verdict:
    """The verdict, or where it would answer what seems to be a machine, a question to a human."""
    why = why_mechanical(case, is_played=is_played) if verdict.decision == Decision.REPLY else ""
    if not why:
        return verdict
    return replace(
        verdict,
        decision=Decision.INPUT_NEEDED,
        reply_body="",
        question=f"{why} A machine may be answering; it gets no further mail by itself. This was to be sent:\n\n"
        f"{verdict.reply_body}\n\nWhat should be answered?",
        reason="Two machines must not keep each other writing.",
    )


def why_mechanical(case: CaseView, *, is_played: bool) -> str:
    """Why the newest mail seems to be a machine's, as a sentence; empty where it does not.

    Whoever plays the counterparty in the sandbox (`is_played`) may be as fast as they like.
    """
    theirs = case.from_counterparty[-MAX_COMPARED:]
    ours = [mail for mail in case.thread if mail.from_us][-MAX_COMPARED:]
    if not theirs:
        return ""
    newest = theirs[-1]
    if not newest.files:  # they may be the answer
        if any(_is_echo(newest, mail) for mail in ours):
            return "The reply says what our own mail says, and nothing else."
        if any(_is_alike(newest, mail) for mail in theirs[:-1] if not mail.unread):
            return "The same reply has come before."
    fast = 0 if is_played else sum(_came_at_once(mail, ours) for mail in theirs)
    return f"{fast} replies have each come within seconds of our mail." if fast > MAX_AT_ONCE else ""


def _is_echo(newest: Mail, ours: Mail) -> bool:
    words = _words(newest.text)
    return len(words) >= FEW_WORDS and set(words) <= set(_words(ours.text))


def _is_alike(newest: Mail, earlier: Mail) -> bool:
    """Whether the two say the same; in longer ones numbers may differ, such as those of tickets."""
    words, others = _words(newest.text), _words(earlier.text)
    if min(len(words), len(others)) < FEW_WORDS:
        return bool(words) and words == others
    return SequenceMatcher(None, _without_numbers(words), _without_numbers(others), autojunk=False).ratio() >= ALIKE


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.casefold())[:MAX_WORDS]


def _without_numbers(words: list[str]) -> list[str]:
    return [word for word in words if not any(character.isdigit() for character in word)]


def _came_at_once(mail: Mail, ours: list[Mail]) -> bool:
    before = [sent.at for sent in ours if sent.at <= mail.at]
    return bool(before) and mail.at - before[-1] < AT_ONCE
