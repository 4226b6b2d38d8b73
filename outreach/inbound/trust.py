"""Whether a mail that belongs to a case may act on it, or is kept from it until staff have looked.

The counterparty's own address acts. So does a colleague's: of the same organisation, or introduced by the counterparty
in what it wrote on this case. Everybody else is a stranger, whatever their display name says.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from cases.models import Admission, Case, Direction
from cases.prepared import Prepared
from outreach.inbound import reply_address
from outreach.inbound.addresses import canonical, organisation
from outreach.inbound.arrival import Envelope, Standing
from outreach.inbound.classify import InboundKind
from outreach.inbound.mail import InboundMail
from outreach.inbound.matching import Evidence

MAX_MAILS = 100  # of a case, the newest, in which introductions are looked for

REPORTS = frozenset({InboundKind.BOUNCE, InboundKind.SOFT_BOUNCE, InboundKind.DELAY, InboundKind.COMPLAINT})

_ADDRESS = re.compile(r"[^\s<>@,;:\"'()\[\]]{1,64}@[^\s<>@,;:\"'()\[\]/?!]{1,255}")


@dataclass(frozen=True)
class Circle:
    """Who is who on a case. Addresses are canonical; names and `words` are folded, word by word."""

    counterparty: str
    ours: frozenset[str]
    admitted: frozenset[str] = frozenset()
    copied: frozenset[str] = frozenset()  # whom the counterparty wrote to besides us, or gave the address of
    words: str = ""  # what the counterparty wrote
    names: tuple[frozenset[str], ...] = ()  # the counterparty's and ours: they introduce nobody


@dataclass(frozen=True)
class Newcomer:
    """Somebody whose mail is taken for the first time."""

    address: str
    name: str
    how: Admission


@dataclass(frozen=True)
class Judgement:
    """The mail acts where there is no `why_not`."""

    why_not: str = ""
    newcomers: tuple[Newcomer, ...] = ()


def judge(
    mail: InboundMail, envelope: Envelope, evidence: frozenset[Evidence], circle: Callable[[], Circle]
) -> Judgement:
    """What to do with a mail that belongs to the case of the circle, by that evidence.

    The circle is asked for only where it matters who has written: reports come by the thousand.
    """
    if envelope.label:
        return Judgement(f"The provider has filed it under “{envelope.label}”.")
    if envelope.standing is Standing.FAILED:
        return Judgement("Our mail server says that it does not come from the domain of its sender.")
    if mail.kind in REPORTS:
        return _judge_report(envelope, evidence)
    if not mail.authors:
        return Judgement("Its From names no sender, or none that can be read without doubt.")
    return _judge_authors(mail, circle())


def _judge_report(envelope: Envelope, evidence: frozenset[Evidence]) -> Judgement:
    """Anybody may report who shows to have had our mail: by its Message-ID, or, without an envelope sender as reports
    have none (RFC 3464 §2), by the case's own address."""
    if Evidence.MESSAGE_ID in evidence or (Evidence.ADDRESS in evidence and not envelope.sender):
        return Judgement()
    return Judgement("It reports on a mail of ours and does not show to have had one.")


def _judge_authors(mail: InboundMail, circle: Circle) -> Judgement:
    """Of several authors each must be known: a reader would believe the one it knows."""
    authors = list(dict.fromkeys(canonical(address) for address in mail.authors))
    if any(author in circle.ours for author in authors):
        return Judgement("It comes from an address of our own.")
    name = mail.from_name if len(authors) == 1 else ""
    newcomers = []
    for author in authors:
        if _is_known(author, circle):
            continue
        how = _admission(author, name, circle)
        if how is None:
            return Judgement(f"Its sender {author} is not known on this case.")
        newcomers.append(Newcomer(author, name, how))
    return Judgement(newcomers=tuple(newcomers))


def knows(circle: Circle, address: str, name: str) -> bool:
    """Whether mail of somebody who calls themselves so would act, as far as that depends on who wrote it."""
    author = canonical(address)
    return _is_known(author, circle) or _admission(author, name, circle) is not None


def _is_known(author: str, circle: Circle) -> bool:
    return author == circle.counterparty or author in circle.admitted


def _admission(author: str, name: str, circle: Circle) -> Admission | None:
    if organisation(author) is not None and organisation(author) == organisation(circle.counterparty):
        return Admission.SAME_ORGANISATION
    if author in circle.copied:
        return Admission.COPIED
    return Admission.NAMED if _is_named(name, circle) else None


def _is_named(name: str, circle: Circle) -> bool:
    """Whether the counterparty has written that name: of two words at least, and not its own or one of ours."""
    words = _words_of_name(name)
    if len(words) < 2 or any(known <= set(words) or set(words) <= known for known in circle.names if known):
        return False
    return f" {' '.join(words)} " in f" {circle.words} "


def circle_of(case: Case) -> Circle:
    """Who is who on the case, as its mail stands now."""
    counterparty = canonical(case.counterparty_address)
    theirs = [mail for mail in _received(case) if canonical(mail[0]) == counterparty]
    names = [case.counterparty["name"], case.sender_persona["name"], *(name for _, name, *_ in theirs)]
    texts = [text for *_, text in theirs]
    copied = {to for _, _, to, _, _ in theirs}.union(*(cc for _, _, _, cc, _ in theirs))
    return Circle(
        counterparty=counterparty,
        ours=frozenset(canonical(address) for address in (case.our_address, reply_address.inbox()) if address),
        admitted=frozenset(_admitted(case)),
        copied=frozenset(canonical(address) for address in copied | _addresses_in(texts)),
        words=" ".join(_words("\n".join(texts))),
        names=tuple(frozenset(_words_of_name(name)) for name in names),
    )


@Prepared
def _received(case: Case) -> QuerySet[Any, tuple[str, str, str, list[str], str]]:
    """Sender, name, recipients and new words of the mail that has been let onto the case."""
    newest = case.messages.filter(direction=Direction.IN).order_by("-created_at", "-id")
    return newest.values_list("from_address", "from_name", "to_address", "cc", "text")[:MAX_MAILS]


@Prepared
def _admitted(case: Case) -> QuerySet[Any, str]:
    return case.correspondents.order_by().values_list("address", flat=True)


def _addresses_in(texts: list[str]) -> set[str]:
    return {found.strip(".'*_") for text in texts for found in _ADDRESS.findall(text)}


def _words_of_name(name: str) -> list[str]:
    """The words of a display name, the first name first; `Jones, Carl` has them the other way round."""
    last, comma, first = name.partition(",")
    return _words(f"{first} {last}" if comma else name)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text).casefold())
