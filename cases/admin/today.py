"""Today in numbers, beside the same hours of the same weekday a week ago."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from cases.admin import counts, spans
from cases.days import Period, answer_waits, median, within
from cases.models import Case, Direction, InputRequest, Message, RequestStatus, ResultStatus

WEEK = timedelta(days=7)
MOST = 10_000  # a number beyond it is not counted to its end


@dataclass(frozen=True)
class Figure:
    """A number of today."""

    name: str
    words: str
    number: str
    before: str  # the same, a week ago at this time of day
    url: str


@dataclass(frozen=True)
class Today:
    date: datetime
    figures: list[Figure]

    @property
    def weekday(self) -> str:
        """Of the day a week ago: the same as today's."""
        return f"{self.date:%A}"


Kind = tuple[str, str, QuerySet[Any], str, str, dict[str, Any]]


def kinds() -> Iterator[Kind]:
    """What is counted: name, words, rows, the field with the time, the list, and its filter."""
    cases, mail, questions = (f"admin:cases_{model}_changelist" for model in ("case", "message", "inputrequest"))
    # By how they ended, not by status: SQLite would count along the index of statuses, through all that ever ended.
    ended, achieved = Case.objects.filter(result_status__isnull=False), Q(result_status=ResultStatus.GOAL_ACHIEVED)
    completed, failed = ended.filter(achieved), ended.exclude(achieved)
    received = Message.objects.filter(direction=Direction.IN)
    answered = InputRequest.objects.filter(status=RequestStatus.RESOLVED)
    yield "created", "cases posted", Case.objects.all(), "created_at", cases, {}
    yield "completed", "cases completed", completed, "updated_at", cases, {"status__exact": "COMPLETED"}
    yield "failed", "cases failed", failed, "updated_at", cases, {"status__exact": "FAILED"}
    yield "sent", "mails sent", Message.objects.all(), "sent_at", mail, {}
    yield "received", "mails received", received, "created_at", mail, {"direction__exact": "IN"}
    yield "asked", "questions asked", InputRequest.objects.all(), "requested_at", questions, {}
    yield "answered", "questions answered", answered, "resolved_at", questions, {"status__exact": "RESOLVED"}


def link(listed: str, field: str, moments: Period, **filters: Any) -> str:
    """The address of a list with what happened in the period, and no more."""
    bounds = {f"{field}__gte": moments[0], f"{field}__lt": moments[1]}
    query = [f"{name}={value}" for name, value in filters.items()]
    query += [f"{name}={moment.astimezone(UTC):%Y-%m-%dT%H:%MZ}" for name, moment in bounds.items()]
    return f"{reverse(listed)}?{'&'.join(query)}"


def look(request: HttpRequest, zone: tzinfo) -> Today:
    """The figures of the reader's day, in three queries."""
    now = timezone.now().astimezone(zone)
    begins = now.replace(hour=0, minute=0, second=0, microsecond=0)
    today, before = (begins, begins + timedelta(days=1)), (begins - WEEK, now - WEEK)
    every = list(kinds())
    questions = {}
    for name, _, rows, field, *_ in every:
        questions[f"{name}_today"] = counts.BoundedCount(rows.filter(within(field, today)), MOST)
        questions[f"{name}_before"] = counts.BoundedCount(rows.filter(within(field, before)), MOST)
    answers = counts.ask_at_once(request.user, questions)
    figures = [
        Figure(
            name,
            words_,
            counts.in_words(answers[f"{name}_today"], MOST),
            counts.in_words(answers[f"{name}_before"], MOST),
            link(listed, field, today, **filters),
        )
        for name, words_, _, field, listed, filters in every
    ]
    return Today(now, [*figures, _time_to_answer(today, before, figures[-1].url)])


def _time_to_answer(today: Period, before: Period, url: str) -> Figure:
    waits = (median(answer_waits(within("resolved_at", moments))) for moments in (today, before))
    number, then = ("–" if seconds is None else spans.short(seconds) for seconds in waits)
    return Figure("time-to-answer", "median time to answer", number, then, url)
