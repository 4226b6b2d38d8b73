"""Counting for people: how many rows there are, as long as that is cheap to say."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import IntegerField, QuerySet, Subquery
from django.db.models.expressions import BaseExpression, Combinable

LIMIT = 1000


def bounded(rows: QuerySet[Any], limit: int = LIMIT) -> int:
    """How many rows there are; `limit + 1` says that there are more, and no more of them were looked at."""
    return rows.order_by()[: limit + 1].count()


def in_words(count: int, limit: int = LIMIT) -> str:
    """A bounded count as people read it: `12`, or `1000+`."""
    return f"{limit}+" if count > limit else str(count)


class BoundedCount(Subquery):
    """The same inside a query, so that one query counts many lists; see `ask_at_once`."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) counted)"
    output_field = IntegerField()

    def __init__(self, rows: QuerySet[Any], limit: int = LIMIT) -> None:
        super().__init__(rows.order_by().values("pk")[: limit + 1])


def first(rows: QuerySet[Any], field: str) -> Subquery:
    """The smallest value of the field, inside a query; null where there is no row. An index makes it cheap."""
    return Subquery(rows.order_by(field).values(field)[:1])


def ask_at_once(user: Any, questions: Mapping[str, BaseExpression | Combinable]) -> dict[str, Any]:
    """The answers to scalar sub-queries, in one query. `user` is whoever asks: a row that is there for certain."""
    if not questions:
        return {}
    row: Any = get_user_model()._default_manager.filter(pk=user.pk).values(**questions).get()
    return dict(row)
