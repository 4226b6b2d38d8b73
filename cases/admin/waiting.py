"""What waits for people: lists that should be empty, with how many rows stand in each and since when.

Settings name where it is found (OFFLOAD_HOME_SOURCES), since other rooms have such lists too: dotted paths of functions
that are given the request and return a list of Source, of those that the person may see.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from functools import cache
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.module_loading import import_string

from cases import claims, work
from cases.admin import counts, words
from cases.admin.access import may_see
from cases.admin.lists import in_trouble, overdue, taken_by_nobody
from cases.models import Case, Draft, InputRequest, Message, RequestStatus

LATE_MAIL = timedelta(days=7)


class Urgency(IntEnum):
    """In which order they are shown."""

    BROKEN = 0  # the service can't go on by itself
    WAITS = 1  # somebody outside waits for a person's decision
    WORTH_A_LOOK = 2

    @property
    def css_class(self) -> str:
        return {self.BROKEN: "bad", self.WAITS: "warn", self.WORTH_A_LOOK: "calm"}[self]


@dataclass(frozen=True)
class Source:
    """A list of rows that wait. The page at `url` shows exactly these rows."""

    name: str  # unique among all; letters and hyphens
    one: str  # "open question"
    many: str  # "open questions"
    rows: QuerySet[Any]
    url: str
    urgency: Urgency
    since: str = ""  # the field that says since when a row waits; empty: no index helps to find the oldest
    parts: "tuple[Source, ...]" = field(default=())  # some of the rows, which have a list of their own


@dataclass(frozen=True)
class Waiting:
    """A list that is not empty."""

    source: Source
    count: int  # bounded, see counts.py
    age: str  # of the oldest, in words; may be empty
    parts: "list[Waiting]"

    @property
    def number(self) -> str:
        return counts.in_words(self.count)

    @property
    def words(self) -> str:
        return self.source.one if self.count == 1 else self.source.many


Find = Callable[[HttpRequest], list[Source]]


@cache
def finders() -> list[Find]:
    """Those that settings name. Raises ImportError on a wrong path."""
    return [import_string(path) for path in settings.OFFLOAD_HOME_SOURCES]


def look(request: HttpRequest) -> list[Waiting]:
    """All that waits and that the person may see, the most urgent first. One query, however many lists there are."""
    sources = [source for find in finders() for source in find(request)]
    every = [*sources, *(part for source in sources for part in source.parts)]
    questions: dict[str, Any] = {f"count_{number}": counts.BoundedCount(one.rows) for number, one in enumerate(every)}
    questions |= {f"since_{number}": counts.first(one.rows, one.since) for number, one in enumerate(every) if one.since}
    answers, now = counts.ask_at_once(request.user, questions), timezone.now()
    found = {
        one.name: (answers[f"count_{number}"], _age(answers.get(f"since_{number}"), now))
        for number, one in enumerate(every)
    }

    def waiting(some: tuple[Source, ...]) -> list[Waiting]:
        return [Waiting(one, *found[one.name], waiting(one.parts)) for one in some if found[one.name][0]]

    return waiting(tuple(sorted(sources, key=lambda source: source.urgency)))


def _age(since: datetime | None, now: datetime) -> str:
    return words.span(since, now) if since else ""


def of_cases(request: HttpRequest) -> list[Source]:
    """What waits in this room."""
    if not may_see(request):
        return []
    cases, questions = reverse("admin:cases_case_changelist"), reverse("admin:cases_inputrequest_changelist")
    pending = InputRequest.objects.filter(status=RequestStatus.PENDING)
    its_queue, now = reverse("admin:cases_inputrequest_queue"), work.now()
    mine = Source(
        name="my-questions",
        one="for you",
        many="for you",
        rows=pending.filter(claims.of_person(request.user, now)),
        url=f"{its_queue}?who=mine",
        urgency=Urgency.WAITS,
    )
    late = Message.objects.filter(is_after_end=True, created_at__gte=_days_ago(LATE_MAIL))
    is_overdue = Source(
        name="overdue-questions",
        one="overdue",
        many="overdue",
        rows=overdue(pending, now),
        url=f"{questions}?status__exact=PENDING&overdue=yes",
        urgency=Urgency.BROKEN,
    )
    return [
        Source(
            name="stuck-cases",
            one="case that nobody works on",
            many="cases that nobody works on",
            rows=taken_by_nobody(Case.objects.all()),
            url=f"{cases}?trouble=stuck",
            urgency=Urgency.BROKEN,
            since="due_at",
        ),
        Source(
            name="open-questions",
            one="open question",
            many="open questions",
            rows=pending,
            url=its_queue,
            urgency=Urgency.WAITS,
            since="requested_at",
            parts=(mine, is_overdue),
        ),
        Source(
            name="drafts",
            one="draft to approve",
            many="drafts to approve",
            rows=Draft.objects.waiting(),
            url=reverse("admin:cases_draft_queue"),
            urgency=Urgency.WAITS,
            since="drafted_at",
        ),
        Source(
            name="troubled-cases",
            one="case whose last step failed",
            many="cases whose last step failed",
            rows=in_trouble(Case.objects.all()),
            url=f"{cases}?trouble=yes",
            urgency=Urgency.WAITS,
        ),
        Source(
            name="late-mail",
            one="mail after the end of a case, within 7 days",
            many="mails after the end of a case, within 7 days",
            rows=late,
            url=reverse("admin:cases_message_changelist")
            + f"?is_after_end__exact=1&created_at__gte={_days_ago(LATE_MAIL):%Y-%m-%dT%H:%MZ}",
            urgency=Urgency.WORTH_A_LOOK,
        ),
    ]


def _days_ago(days: timedelta) -> datetime:
    """To the hour, so that the link stays the same for a while."""
    return (timezone.now() - days).replace(minute=0, second=0, microsecond=0)
