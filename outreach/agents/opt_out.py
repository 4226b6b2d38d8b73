"""Whether a mail asks for no more mail, and says nothing else: told without a model, and never by a guess.

What is longer, or only like it, is judged by the agent, or by a human.
"""

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from outreach.agents.base import CaseView, Mail

SENTENCE = "The counterparty wants no more mail."
LONGEST = 400  # characters; who writes more has more to say

_LINES = Path(__file__).with_suffix(".txt").read_text().splitlines()
_REQUEST = re.compile("|".join(f"(?:{line})" for line in _LINES if line and not line.startswith("#")))
# What may stand around it and changes nothing.
_COURTESIES = (
    "please|kindly|thank you|thanks|hello|hi|dear|sir|madam|or|and|regards|kind regards|best regards|best",
    "bitte|danke|vielen dank|hallo|guten tag|sehr geehrter?|damen|herren|frau|herr|und",
    "mit freundlichen grüssen|freundliche grüsse|mfg",  # as folded
    "s il vous plaît|svp|merci|bonjour|cordialement|madame|monsieur",
    "por favor|gracias|hola|saludos|buenos días|un saludo",
    "per favore|per cortesia|grazie|buongiorno|cordiali saluti|saluti",
    "alstublieft|aub|bedankt|dank u|beste|groeten|met vriendelijke groet",
    "obrigad[oa]|olá|cumprimentos|atenciosamente",
    "proszę|dziękuję|dzień dobry|pozdrawiam",
)
_COURTESY = f"(?:{'|'.join(_COURTESIES)})"
_AT_ITS_START, _AT_ITS_END = re.compile(f"{_COURTESY}(?: |$)"), re.compile(f"(?:^| ){_COURTESY}$")


def is_all_that_is_said(case: CaseView) -> bool:
    """Whether everything that has come in unread is such a request."""
    unread = [mail for mail in case.from_counterparty if mail.unread]
    names = {word for who in (case.counterparty, case.persona) for word in _words_of_names(who)}
    return bool(unread) and all(asks_for_no_more(mail, names) for mail in unread)


def asks_for_no_more(mail: Mail, names: set[str]) -> bool:
    """Whether the mail, without greetings, thanks and the `names` of both sides, asks for no more and says no more.

    A mail without text may say it by its subject, as `mailto:` links make them.
    """
    said = mail.text if mail.text.strip() else mail.subject
    if len(said) > LONGEST or mail.files:
        return False
    parts = [part for part in (_bare(part, names) for part in _parts(said)) if part]
    return bool(parts) and all(_REQUEST.fullmatch(part) for part in parts)


def _parts(text: str) -> Iterator[str]:
    """Its lines and sentences, folded, each as words with single spaces."""
    folded = unicodedata.normalize("NFC", text).casefold()
    for part in re.split(r"[.!?,;:\n]+", folded):
        yield " ".join(re.findall(r"[^\W_]+", part))


def _bare(part: str, names: set[str]) -> str:
    """The part without courtesies at its ends; empty where all of it are names."""
    while match := _AT_ITS_START.match(part):
        part = part[match.end() :]
    while match := _AT_ITS_END.search(part):
        part = part[: match.start()]
    return "" if part and set(part.split()) <= names else part


def _words_of_names(who: dict[str, object]) -> list[str]:
    named = " ".join(str(who.get(key) or "") for key in ("name", "company", "role"))
    return re.findall(r"[^\W_]+", unicodedata.normalize("NFC", named).casefold())
