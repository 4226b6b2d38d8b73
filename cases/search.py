"""Finding cases by what stands in them: reference, address and name, and the words of their mail.

The database keeps the index by itself, in the transaction that writes the row, so a rollback takes both back and no
code that writes cases or mail has to know of it. PostgreSQL: two GIN indexes on expressions. SQLite: a full-text table
(FTS5) that triggers fill. Both know words and beginnings of words, neither case nor accents; what holds letters and
digits together (an e-mail address, INV-2031) is looked for as the sequence of its words.
"""

import re
import unicodedata
import uuid
from dataclasses import dataclass
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.models import Q

from cases import search_postgresql, search_sqlite
from cases.models import Case

MOST_FOUND = 1000  # of mails, and of cases by what is known of them
MOST_CHARS = 500  # of what is looked for
MOST_TERMS = 12
SHORTEST_BEGINNING = 3  # a shorter word is looked for as a whole: half of all words begin with an "a" or so

_WORD = re.compile(r"[^\W_]+")
_MARKS = re.compile("[\u0300-\u036f]")
_TERM = re.compile(r'"([^"]*)"?|([^\s"]+)')
_ID = re.compile(r"[0-9a-f]{8}[0-9a-f-]*", re.IGNORECASE)


@dataclass(frozen=True)
class Phrase:
    """Words that follow each other; of an open one the last word may be only begun."""

    words: tuple[str, ...]
    is_open: bool


@dataclass(frozen=True)
class Found:
    """Ids of cases, each with that of its newest mail in which everything stands, or None: in what is known of it."""

    places: dict[uuid.UUID, uuid.UUID | None]
    has_more: bool  # than MOST_FOUND mails or cases: those named are among the newest


def phrases(text: str) -> list[Phrase]:
    """What is looked for, all of it to be found in one place; empty where nothing can be found by it.

    Words apart are phrases of their own, "words in quotation marks" are one.
    """
    found = []
    for quoted, plain in _TERM.findall(text[:MOST_CHARS]):
        words = tuple(_words(quoted or plain))
        if words:
            found.append(Phrase(words, is_open=not quoted and len(words[-1]) >= SHORTEST_BEGINNING))
    return found[:MOST_TERMS]


def _words(text: str) -> list[str]:
    """As the databases make them of what they index."""
    return _WORD.findall(_MARKS.sub("", unicodedata.normalize("NFKD", text).lower()))


def look_for(text: str) -> Found:
    """The cases that `text` is found in: by their id or its beginning, by what is known of them, or in their mail."""
    named = _by_id(text.strip())
    if named:
        return Found(dict.fromkeys(named, None), has_more=False)
    wanted = phrases(text)
    if not wanted:
        return Found({}, has_more=False)
    cases, mails, took_too_long = _search(wanted)
    places: dict[uuid.UUID, uuid.UUID | None] = dict.fromkeys(cases[:MOST_FOUND], None)
    for message_pk, case_pk in mails[:MOST_FOUND]:
        places.setdefault(case_pk, message_pk)
    return Found(places, has_more=took_too_long or len(cases) > MOST_FOUND or len(mails) > MOST_FOUND)


def cases_known_by(text: str) -> list[uuid.UUID]:
    """Ids of the cases whose id, reference, address or name it is, at most MOST_FOUND."""
    return (_by_id(text.strip()) or _search(phrases(text), in_mails=False)[0])[:MOST_FOUND]


def cases_and_mails(text: str) -> tuple[list[uuid.UUID], list[uuid.UUID]]:
    """Ids of the cases as `cases_known_by` finds them, and of the newest MOST_FOUND mails in which it stands."""
    cases, mails, _ = _search(phrases(text))
    return (_by_id(text.strip()) or cases)[:MOST_FOUND], [message_pk for message_pk, _ in mails[:MOST_FOUND]]


def _search(
    wanted: list[Phrase], *, in_mails: bool = True
) -> tuple[list[uuid.UUID], list[tuple[uuid.UUID, uuid.UUID]], bool]:
    """Cases by what is known of them, mails with their cases, and whether it took too long to find all of them.

    Of each one more than MOST_FOUND where there are more.
    """
    cases: list[uuid.UUID] = []
    mails: list[tuple[uuid.UUID, uuid.UUID]] = []
    try:
        with _backend().in_one_go():
            cases = _backend().cases(wanted, MOST_FOUND + 1)
            mails = _backend().mails(wanted, MOST_FOUND + 1) if in_mails else []
    except search_postgresql.TookTooLong:
        return cases, mails, True
    return cases, mails, False


def _by_id(text: str) -> list[uuid.UUID]:
    """Cases by their id, or by the beginning of it that lists show."""
    digits = text.replace("-", "")
    if not _ID.fullmatch(text) or len(digits) > 32:
        return []
    between = Q(pk__gte=uuid.UUID(digits.ljust(32, "0")), pk__lte=uuid.UUID(digits.ljust(32, "f")))
    return list(Case.objects.filter(between).order_by().values_list("pk", flat=True)[:MOST_FOUND])


def _backend() -> Any:
    return search_postgresql if connection.vendor == "postgresql" else search_sqlite


def forget() -> None:
    """Let go of the words of rows that are gone, where the database keeps them in its index for a while."""
    if connection.vendor == "sqlite":
        search_sqlite.forget()


def install(using: str = DEFAULT_DB_ALIAS, **_: Any) -> None:
    """Make what the database lacks, and index what is not indexed yet. After each `migrate`; see search_sqlite.py."""
    if connections[using].vendor == "sqlite":
        search_sqlite.install(connections[using])
