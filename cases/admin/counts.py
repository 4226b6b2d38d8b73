"""Counting for people: how many rows there are, as long as that is cheap to say."""

from typing import Any

from django.db.models import QuerySet

LIMIT = 1000


def bounded(rows: QuerySet[Any], limit: int = LIMIT) -> int:
    """How many rows there are; `limit + 1` says that there are more, and no more of them were looked at."""
    return rows.order_by()[: limit + 1].count()


def in_words(count: int, limit: int = LIMIT) -> str:
    """A bounded count as people read it: `12`, or `1000+`."""
    return f"{limit}+" if count > limit else str(count)
