"""Filters whose choices cost next to nothing to offer, however many rows there are."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import ValidationError
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest

from cases import work
from cases.models import Case, Client, Draft, InputRequest, RequestStatus

MOST_WORDS = 12
MOST_CLIENTS = 100  # that are offered; others can be named in the address


def of_client(path: str = "client") -> type[admin.SimpleListFilter]:
    """A filter by the client that `path` leads to, offering those that have cases.

    Django's own (RelatedOnlyFieldListFilter) reads all rows of the list for that.
    """

    class OfClient(admin.SimpleListFilter):
        # Of a longer path the admin would take its name for a lookup that is not allowed.
        title, parameter_name = "client", "client__id__exact" if path == "client" else "client"

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
            has_cases = Exists(Case.objects.filter(client=OuterRef("pk")).order_by())
            clients = Client.objects.filter(has_cases).values_list("pk", "name")[:MOST_CLIENTS]
            return [(str(pk), name) for pk, name in clients]

        def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
            if not self.value():
                return rows
            try:
                return rows.filter(**{f"{path}_id": self.value()})
            except ValidationError as error:  # no UUID
                raise IncorrectLookupParameters from error

    return OfClient


def all_words(field: str, text: str) -> Q:
    """Rows that have all these words in the field, of a table that is small enough to be read."""
    return Q(*(Q(**{f"{field}__icontains": word}) for word in text.split()[:MOST_WORDS]))


def one_of(field: str, title: str, choices: list[tuple[str, str]]) -> type[admin.SimpleListFilter]:
    """A filter by a field that has few values, which are known; Django would read all rows to find them."""

    class OneOf(admin.SimpleListFilter):
        parameter_name = field

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
            return choices

        def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
            return rows.filter(**{field: self.value()}) if self.value() else rows

    OneOf.title = title
    return OneOf


class WaitsForStaff(admin.SimpleListFilter):
    """Cases that go on only when a person has answered or decided."""

    title, parameter_name = "waiting for staff", "waiting"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "For an answer or a decision"), ("answer", "For an answer"), ("draft", "For an approval")]

    def queryset(self, request: HttpRequest, cases: QuerySet[Case]) -> QuerySet[Case]:
        asked = InputRequest.objects.filter(status=RequestStatus.PENDING).order_by().values("case")
        drafted = Draft.objects.waiting().order_by().values("case")
        wanted: dict[str | None, QuerySet[Any, Any]] = {"answer": asked, "draft": drafted, "yes": asked.union(drafted)}
        return cases.filter(pk__in=wanted[self.value()]) if self.value() in wanted else cases


class CreatedWithin(admin.SimpleListFilter):
    """Cases by their age."""

    title, parameter_name = "created within", "created"
    DAYS = {"1": "A day", "7": "7 days", "30": "30 days", "90": "90 days"}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(self.DAYS.items())

    def queryset(self, request: HttpRequest, cases: QuerySet[Case]) -> QuerySet[Case]:
        if self.value() not in self.DAYS:
            return cases
        return cases.filter(created_at__gte=work.now() - timedelta(days=int(self.value() or 0)))


class InWords(admin.ChoicesFieldListFilter):
    """By a field's choices, each written as a sentence begins."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        for choice in super().choices(changelist):
            yield {**choice, "display": str(choice["display"]).capitalize()}


class OfTests(admin.BooleanFieldListFilter):
    """By whether a case is a test's."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.title = "test"
