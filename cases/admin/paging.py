"""Pages of lists that may have millions of rows."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from django.core.paginator import Page, Paginator
from django.db.models import Q, QuerySet

from cases.admin.counts import bounded, in_words

if TYPE_CHECKING:  # at run time Django's class takes no parameter
    AnyPaginator = Paginator[Any]
else:
    AnyPaginator = Paginator

MOST_LISTED = 10_000  # rows that can be paged to; nobody reads the ten thousandth, and whoever wants it filters


class Length(int):
    """How many rows a list has; written `10000+` where there are more than can be paged to."""

    is_more: bool

    def __new__(cls, number: int, *, is_more: bool) -> Self:
        length = super().__new__(cls, number)
        length.is_more = is_more
        return length

    def __str__(self) -> str:
        return in_words(int(self) + self.is_more, int(self))


def length(rows: QuerySet[Any], limit: int) -> Length:
    """The rows, or so many of them."""
    counted = bounded(rows, limit)
    return Length(min(counted, limit), is_more=counted > limit)


class BoundedPaginator(AnyPaginator):
    """Pages of the first MOST_LISTED rows."""

    @cached_property
    def count(self) -> Length:
        return length(self.object_list, MOST_LISTED)  # type: ignore[arg-type]


class TwoParts(BoundedPaginator):
    """Pages of the rows that want attention, in an order of their own, and then of all others in another.

    One ORDER BY that says so would sort the whole table for each page; here each part follows an index.
    """

    def __init__(
        self, rows: QuerySet[Any], per_page: int, *, first: Q, first_order: Sequence[Any], rest_order: Sequence[Any]
    ) -> None:
        super().__init__(rows, per_page)
        self.first = rows.filter(first).order_by(*first_order)
        self.rest = rows.exclude(first).order_by(*rest_order)

    @cached_property
    def first_count(self) -> Length:
        return length(self.first, MOST_LISTED)

    @cached_property
    def count(self) -> Length:
        rest = length(self.rest, MOST_LISTED - self.first_count)
        return Length(self.first_count + rest, is_more=self.first_count.is_more or rest.is_more)

    def page(self, number: int | str) -> Any:
        number = self.validate_number(number)
        begin = (number - 1) * self.per_page
        end = min(begin + self.per_page, int(self.count))
        first = int(self.first_count)
        rows = list(self.first[begin : min(end, first)]) if begin < first else []
        if end > first:
            rows += self.rest[max(begin - first, 0) : end - first]
        return Page(rows, number, self)
