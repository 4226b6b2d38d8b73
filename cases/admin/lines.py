"""The timeline of a case as people read it: a line for each event, and the lines that other rooms add.

A room adds its own through settings.OFFLOAD_TIMELINE_SOURCES: dotted paths of functions that take a case and the most
lines that are wanted, and return a Part.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.module_loading import import_string

from cases import moments, values
from cases.admin import words
from cases.events import COUNTERPARTY, SYSTEM
from cases.models import Case, Event

MAIL, DECISIONS, PEOPLE, WEBHOOKS = "mail", "decisions", "people", "webhooks"
FILTERS: Mapping[str, str] = {
    "": "All",
    MAIL: "Mail",
    DECISIONS: "Decisions",
    PEOPLE: "People",
    WEBHOOKS: "Webhooks",
}
KINDS: Mapping[str, str] = {"message": MAIL, "mail": MAIL, "address": MAIL, "webhook": WEBHOOKS}  # by the type's begin
URGENT = frozenset({"case.failed", "draft.refused", "mail.suspicious", "message.withheld", "budget.exhausted"})


@dataclass(frozen=True)
class Link:
    """A place to look at; `permission` is what it takes to see it, besides seeing cases."""

    words: str
    url: str
    permission: str = ""


@dataclass(frozen=True)
class Line:
    """Something that happened: in words, with what was said then, and what is known of it besides."""

    at: datetime
    words: str
    kind: str = DECISIONS
    who: str = ""
    by_person: bool = False
    said: str = ""
    facts: list[values.Entry] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    is_urgent: bool = False

    @property
    def day(self) -> str:
        """The reader's day, by which lines are grouped."""
        return moments.day(self.at)

    @property
    def time(self) -> str:
        return moments.time(self.at)

    def is_under(self, chosen: str) -> bool:
        """Whether it is shown where only that kind is wanted; what people did is of two kinds."""
        return chosen in ("", self.kind) or (chosen == PEOPLE and self.by_person)


@dataclass(frozen=True)
class Part:
    """What a room adds to the page of a case."""

    lines: list[Line] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)  # to what else belongs to the case


Source = Callable[[Case, int], Part]


@cache
def sources() -> list[Source]:
    """Those of settings.OFFLOAD_TIMELINE_SOURCES. Raises ImportError on a wrong path."""
    return [import_string(path) for path in settings.OFFLOAD_TIMELINE_SOURCES]


def parts(case: Case, most: int) -> Part:
    """What all other rooms add."""
    added = [source(case, most) for source in sources()]
    return Part([line for part in added for line in part.lines], [link for part in added for link in part.links])


def of_events(events: Iterable[Event], case: Case) -> list[Line]:
    """A line for each."""
    return [of_event(event, case) for event in events]


def of_event(event: Event, case: Case) -> Line:
    """The event in words; of a type that has none, its name and what data it has."""
    known = event.type in words.EVENTS
    said = words.told(event)
    return Line(
        at=event.at,
        words=said[0],
        kind=KINDS.get(event.type.partition(".")[0], DECISIONS),
        who=who(event.actor, case),
        by_person=event.actor.partition(" ")[0] in ("staff", "client"),
        said=said[1] if known else "",
        facts=[] if known else values.table(event.data),
        links=_links(event.data),
        is_urgent=event.type in URGENT,
    )


def who(actor: str, case: Case) -> str:
    """Who did something, given as the timeline keeps it; empty for the service itself."""
    if actor == SYSTEM:
        return ""
    if actor == COUNTERPARTY:
        return str(case.counterparty.get("name") or "the counterparty")
    kind, _, key = actor.partition(" ")
    if kind == "client":
        return f"{case.client.name}, by the key {key}…" if key else case.client.name
    return actor


def _links(facts: Mapping[str, Any]) -> list[Link]:
    """Where the things are that an event names by their ids."""
    named = ((link, facts.get(name)) for name, link in LINKS.items())
    return [link(value) for link, value in named if value and isinstance(value, str)]


def _page(path: str) -> str:
    """The address of one of the staff's pages; other rooms have theirs, too."""
    return f"{reverse('admin:index')}{path}"


LINKS: Mapping[str, Callable[[str], Link]] = {
    "messageId": lambda pk: Link("the mail", f"#message-{pk}"),
    "inputRequestId": lambda pk: Link("the question", f"#question-{pk}"),
    "payloadId": lambda pk: Link(
        "the mail as it came", _page(f"outreach/inboundpayload/{pk}/change/"), "outreach.view_inboundpayload"
    ),
    "caseId": lambda pk: Link("the new case", _page(f"cases/case/{pk}/change/")),
}
