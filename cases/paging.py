"""A long list, page by page: each begins right behind the row on which the last one ended, whatever has come since."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.core import signing
from django.db.models import Model, Q, QuerySet

from cases.errors import InvalidCase

M = TypeVar("M", bound=Model)
_signer = signing.Signer(salt="cases.paging")


@dataclass(frozen=True)
class Page(Generic[M]):
    rows: list[M]
    next_cursor: str | None  # None: there is no more


def page_of(rows: QuerySet[M], order: Sequence[str], *, name: str, limit: int, cursor: str | None = None) -> Page[M]:
    """Up to `limit` rows in an order of field names that leaves no two rows equal; `-` before all of them: descending.

    `name` says which list it is, with its filters. Raises InvalidCase for a cursor that is not of this very list.
    """
    rows = rows.order_by(*order)
    if cursor is not None:
        rows = rows.filter(_behind(order, _read(cursor, name)))
    found = list(rows[: limit + 1])
    last = found[limit - 1] if len(found) > limit else None
    return Page(found[:limit], last and _write(name, [getattr(last, field.lstrip("-")) for field in order]))


def _behind(order: Sequence[str], position: Sequence[Any]) -> Q:
    """Rows that come after the position: the first field is beyond it, or the same and the next one is, and so on."""
    first, *others = order
    name, descends = first.lstrip("-"), first.startswith("-")
    beyond = Q(**{f"{name}__{'lt' if descends else 'gt'}": position[0]})
    if not others:
        return beyond
    # The bound by itself, which says nothing new, lets the database begin to read its index here.
    bound = Q(**{f"{name}__{'lte' if descends else 'gte'}": position[0]})
    return bound & (beyond | (Q(**{name: position[0]}) & _behind(others, position[1:])))


def _write(name: str, position: Sequence[Any]) -> str:
    coded = [["time", value.isoformat()] if isinstance(value, datetime) else ["id", str(value)] for value in position]
    return _signer.sign_object([_digest(name), coded])


def _read(cursor: str, name: str) -> list[Any]:
    try:
        of, coded = _signer.unsign_object(cursor)
    except signing.BadSignature as error:
        raise _not_ours() from error
    if of != _digest(name):
        raise _not_ours()
    return [datetime.fromisoformat(value) if kind == "time" else value for kind, value in coded]


def _not_ours() -> InvalidCase:
    fault = {"path": "cursor", "message": "Not a nextCursor of this list with these filters."}
    return InvalidCase(f"{fault['path']}: {fault['message']}", [fault])


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]
