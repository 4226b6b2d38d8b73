"""Conditions that lists of staff filter by and that the home page counts by: one wording for both."""

from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest

from cases import leases, work
from cases.models import TERMINAL, Case, Event, InputRequest

UNTAKEN_AFTER = timedelta(seconds=60)


def in_trouble(cases: QuerySet[Case]) -> QuerySet[Case]:
    """Open ones whose last step failed."""
    return cases.filter(failures__gt=0).exclude(status__in=TERMINAL)


def taken_by_nobody(cases: QuerySet[Case]) -> QuerySet[Case]:
    """Those that have been due for a minute and that no worker holds."""
    now = leases.current_time()
    unheld = Q(lease_until__isnull=True) | Q(lease_until__lte=now)
    return cases.filter(unheld, due_at__lte=now - UNTAKEN_AFTER)


def overdue(questions: QuerySet[InputRequest], now: datetime) -> QuerySet[InputRequest]:
    """Of open questions those that wait for longer than the case, or else its client, allows."""
    reminded = Event.objects.filter(
        case=OuterRef("case"), type="case.input_overdue", at__gte=OuterRef("requested_at")
    ).order_by()
    return questions.filter(Q(case__input_overdue_at__lte=now) | Exists(reminded))


class Overdue(admin.SimpleListFilter):
    """Open questions that people were, or are about to be, reminded of."""

    title, parameter_name = "overdue", "overdue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Waits for too long")]

    def queryset(self, request: HttpRequest, questions: QuerySet[InputRequest]) -> QuerySet[InputRequest]:
        if self.value() != "yes":
            return questions
        return overdue(questions.filter(status="PENDING"), work.now())


class Trouble(admin.SimpleListFilter):
    """Cases whose last step failed, and cases that nobody works on."""

    title, parameter_name = "trouble", "trouble"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Last step failed"), ("stuck", "Due for a minute, and nobody works on it")]

    def queryset(self, request: HttpRequest, cases: QuerySet[Case]) -> QuerySet[Case]:
        if self.value() == "stuck":
            return taken_by_nobody(cases)
        return in_trouble(cases) if self.value() == "yes" else cases
