"""The statements that the ORM has no words for: rows are chosen, taken and returned at once. Used by cases/leases.py.

PostgreSQL chooses in a MATERIALIZED query, which is carried out once; a sub-select with LIMIT may be run anew for each
row of an outer one, and would then lock and take more than it was told to. On SQLite we are the only writer meanwhile,
so the rows are chosen first.

A kind's rows may belong to groups, which share what a claim takes. The groups that have due rows are found by an index
on (group, due_at), from one group's earliest row to the next one's: what that costs grows with the groups, not with
the rows of any.
"""

import math
import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, F, Model, OrderBy, QuerySet
from django.db.models.expressions import RawSQL

from cases import database

# ruff: noqa: S608 (the statements are made of names of tables and columns)


@dataclass(frozen=True)
class Groups:
    """How a claim is shared out."""

    by: str  # the column that tells groups apart
    turns_by: str  # the column of the owners, of whom each gets the same share; the groups of one divide it
    are_bounded: bool  # whether only so many rows of a group may be held at once


class Look:
    """The question which of these have a row, by the names that they are given under; one statement."""

    def __init__(self, rows: Mapping[str, QuerySet[Any]]) -> None:
        self._names = list(rows)
        parts = [_compiled(each.order_by().values("pk"), f"rows{n}_") for n, each in enumerate(rows.values())]
        self._statement = f"SELECT {', '.join(f'EXISTS ({part})' for part, _ in parts)}"
        self._params = {name: value for _, params in parts for name, value in params.items()}

    def __call__(self) -> list[str]:
        [found] = _run(self._statement, self._params)
        return [name for name, is_there in zip(self._names, found, strict=True) if is_there]


class Take:
    """The statement by which rows are given a token and a lease."""

    def __init__(self, rows: QuerySet[Any], groups: Groups | None) -> None:
        self._rows, self._groups, self._names = rows, groups, _Names(rows.model)
        self._update = f"""
            UPDATE {self._names.table}
            SET lease_token = %(token)s, lease_until = {self._names.until}, lost_leases = lost_leases + 1
        """
        self._returning = f"RETURNING {self._names.pk}, lost_leases - 1, {self._names.table}.due_at"
        if database.is_server():
            chosen, self._params = _by_turns(self._names, rows, groups) if groups else _first(rows)
            mine = f"{self._names.pk} = ANY(ARRAY(SELECT pk FROM chosen))"  # found by key, whatever the planner expects
            taken = f"taken(pk, lost, since) AS ({self._update} WHERE {mine} {self._returning})"
            # Sorted there: a time costs more to be read into Python than all else of a row.
            self._statement = f"WITH RECURSIVE {chosen}, {taken} SELECT pk, lost FROM taken ORDER BY since"

    def __call__(self, limit: int, at_most: int, token: UUID, lease_seconds: float) -> list[tuple[Any, int]]:
        """Take up to `limit` of the rows; their keys and how often their leases were lost before.

        Those that have waited longest go first, within their group where there are groups, of each of which no more
        than `at_most` are held: the caller sees to it that only one such claim is under way. Rows that others have
        locked are passed over.
        """
        names = self._names
        params = {"token": names.value("lease_token", token), **names.lease(lease_seconds)}
        if database.is_server():
            return _run(self._statement, {**self._params, **params, "limit": limit, "at_most": at_most})
        chosen = self._choose(limit, at_most)
        keys = {f"pk{n}": names.value("pk", pk) for n, pk in enumerate(chosen)}
        mine = f"{names.pk} IN ({', '.join(f'%({key})s' for key in keys)})"
        found = _run(f"{self._update} WHERE {mine} {self._returning}", {**params, **keys})
        return [(names.read("pk", pk), lost) for pk, lost, _ in sorted(found, key=lambda row: row[2])]

    def _choose(self, limit: int, at_most: int) -> list[Any]:
        return (
            _pks_by_turns(self._names, self._rows, self._groups, limit, at_most)
            if self._groups
            else _first_pks(self._rows, limit)
        )


def renew(model: type[Model], held: Collection[tuple[Any, UUID]], lease_seconds: float) -> set[tuple[Any, UUID]]:
    """Give another lease to those of these rows that still have their token; which they are."""
    names = _Names(model)
    mine, params = names.with_tokens(held)
    found = _run(
        f"UPDATE {names.table} SET lease_until = {names.until} WHERE {mine} RETURNING {names.pk}, lease_token",
        {**params, **names.lease(lease_seconds)},
    )
    return {(names.read("pk", pk), names.read("lease_token", token)) for pk, token in found}


def give_back(model: type[Model], held: Collection[tuple[Any, UUID]]) -> None:
    """Free those of these rows that still have their token, and forget what was counted against them."""
    names = _Names(model)
    mine, params = names.with_tokens(held)
    _run(
        f"""
        UPDATE {names.table} SET lease_token = NULL, lease_until = NULL, lost_leases = 0,
            failures = 0, failing_since = NULL, last_error = ''
        WHERE {mine}
        """,
        params,
    )


# --- Choosing -------------------------------------------------------------------------------------

# The order of TurnIndex and of no other: PostgreSQL, which knows nothing of the group beforehand, might else go by the
# index on due_at, and read the rows of all others from the oldest on.
_IN_TURN = OrderBy(F("due_at"), nulls_first=True)
_LOCKED = "FOR NO KEY UPDATE SKIP LOCKED"


def _first(rows: QuerySet[Any]) -> tuple[str, dict[str, Any]]:
    sql, params = _compiled(rows.order_by("due_at").values("pk"))
    return f"chosen(pk) AS MATERIALIZED ({sql} LIMIT %(limit)s {_LOCKED})", params


def _first_pks(rows: QuerySet[Any], limit: int) -> list[Any]:
    return list(rows.order_by("due_at").values_list("pk", flat=True)[:limit])


def _by_turns(names: "_Names", rows: QuerySet[Any], groups: Groups) -> tuple[str, dict[str, Any]]:
    """Each owner's share first, and then of whatever there is, since somebody may not need the whole share."""
    of_group = rows.filter(**{groups.by: RawSQL("shared.grp", [])}).order_by(_IN_TURN).values("pk")
    first, params = _compiled(of_group)
    more, _ = _compiled(of_group.exclude(pk__in=RawSQL("SELECT pk FROM in_turn", [])))
    held = f"SELECT count(*) FROM {names.table} WHERE {groups.by} = walk.grp AND lease_until > {_NOW}"
    room = f"greatest(0, %(at_most)s - ({held}))" if groups.are_bounded else "%(limit)s::bigint"
    text = f"""
        {_walk(names, groups)},
        shared AS MATERIALIZED (
            SELECT grp, since, {room} AS room, ceil(
                %(limit)s::float / (SELECT count(DISTINCT owner) FROM walk WHERE since <= {_NOW})
                / count(*) OVER (PARTITION BY owner)
            )::bigint AS share
            FROM walk WHERE since <= {_NOW} ORDER BY random()
        ),
        in_turn(pk, grp) AS MATERIALIZED (
            SELECT found.pk, shared.grp FROM shared CROSS JOIN LATERAL (
                {first} LIMIT least(shared.share, shared.room) {_LOCKED}
            ) AS found(pk) LIMIT %(limit)s
        ),
        besides(pk) AS MATERIALIZED (
            SELECT found.pk FROM (SELECT * FROM shared ORDER BY since) AS shared CROSS JOIN LATERAL (
                {more} LIMIT shared.room - (SELECT count(*) FROM in_turn WHERE in_turn.grp = shared.grp) {_LOCKED}
            ) AS found(pk) LIMIT %(limit)s - (SELECT count(*) FROM in_turn)
        ),
        chosen(pk) AS (SELECT pk FROM in_turn UNION ALL SELECT pk FROM besides)
    """
    return text, params


def _pks_by_turns(names: "_Names", rows: QuerySet[Any], groups: Groups, limit: int, at_most: int) -> list[Any]:
    """As `_by_turns`, for SQLite."""
    at = {"now": names.value("due_at", database.now())}
    walk = f"WITH RECURSIVE {_walk(names, groups)} SELECT grp, owner FROM walk WHERE since <= %(now)s ORDER BY since"
    waiting = [(names.read(groups.by, group), owner) for group, owner in _run(walk, at)]
    room = _room(rows, groups, [group for group, _ in waiting], at_most) if groups.are_bounded else {}
    groups_of = Counter(owner for _, owner in waiting)
    turns = [(group, math.ceil(limit / len(groups_of) / groups_of[owner])) for group, owner in waiting]
    pks: list[Any] = []
    for group, share in [*random.sample(turns, len(turns)), *((group, limit) for group, _ in waiting)]:
        wanted = min(share, room.get(group, limit), limit - len(pks))
        if wanted > 0:
            found = _first_pks(rows.filter(**{groups.by: group}).exclude(pk__in=pks), wanted)
            room[group] = room.get(group, limit) - len(found)
            pks += found
    return pks


def _room(rows: QuerySet[Any], groups: Groups, waiting: Sequence[Any], at_most: int) -> dict[Any, int]:
    """How many more rows of each group may be held."""
    held = rows.model._default_manager.filter(lease_until__gt=database.now(), **{f"{groups.by}__in": waiting})
    counts = dict(held.order_by().values_list(groups.by).annotate(Count("pk")))
    return {group: at_most - counts.get(group, 0) for group in waiting}


def _walk(names: "_Names", groups: Groups) -> str:
    """The groups, each with its owner and the time of its earliest row: one look into the index for each."""
    earliest = f"SELECT {names.pk} FROM {names.table} WHERE due_at IS NOT NULL"
    in_order = f"ORDER BY {groups.by}, due_at NULLS FIRST LIMIT 1"
    return f"""
        walk(grp, owner, since) AS (
            SELECT {groups.by}, {groups.turns_by}, due_at FROM {names.table} WHERE {names.pk} = ({earliest} {in_order})
            UNION ALL
            SELECT {groups.by}, {groups.turns_by}, due_at FROM walk JOIN {names.table}
            ON {names.pk} = ({earliest} AND {groups.by} > walk.grp {in_order})
        )
    """


# --- Names and values -----------------------------------------------------------------------------

_NOW = "statement_timestamp()"


class _Names:
    """The table of a kind's rows and its key, quoted; values as its columns take and give them."""

    def __init__(self, model: type[Model]) -> None:
        quote, self._meta = connection.ops.quote_name, model._meta
        self.table = quote(model._meta.db_table)
        self.pk = f"{self.table}.{quote(self._field('pk').column)}"

    def _field(self, name: str) -> Any:
        return self._meta.pk if name == "pk" else self._meta.get_field(name)

    def value(self, name: str, value: Any) -> Any:
        """The value as a parameter."""
        return self._field(name).get_db_prep_value(value, connection)

    def read(self, name: str, value: Any) -> Any:
        """The value of a key or a token as it is in Python."""
        return self._field(name).to_python(value)

    @property
    def until(self) -> str:
        """The end of a lease, by the database's clock where it has one; with the parameters of `lease`."""
        return f"{_NOW} + make_interval(secs => %(seconds)s)" if database.is_server() else "%(until)s"

    def lease(self, seconds: float) -> dict[str, Any]:
        if database.is_server():
            return {"seconds": seconds}
        return {"until": self.value("lease_until", database.now() + timedelta(seconds=seconds))}

    def with_tokens(self, held: Collection[tuple[Any, UUID]]) -> tuple[str, dict[str, Any]]:
        """The condition that a row is one of these and has the token that goes with it.

        A process may hold a row anew whose former claim it has not yet finished with, so both are compared.
        """
        if database.is_server() and len({token for _, token in held}) == 1:  # all of one claim, or one row
            params: dict[str, Any] = {"pks": [pk for pk, _ in held], "token": next(token for _, token in held)}
            return f"{self.pk} = ANY(%(pks)s::{self._type('pk')}[]) AND lease_token = %(token)s", params
        if database.is_server():
            keys, tokens = f"%(pks)s::{self._type('pk')}[]", f"%(tokens)s::{self._type('lease_token')}[]"
            is_one = f"({self.pk}, lease_token) IN (SELECT * FROM unnest({keys}, {tokens}))"
            params = {"pks": [pk for pk, _ in held], "tokens": [token for _, token in held]}
            return f"{self.pk} = ANY({keys}) AND {is_one}", params
        params = {f"pk{n}": self.value("pk", pk) for n, (pk, _) in enumerate(held)}
        params |= {f"token{n}": self.value("lease_token", token) for n, (_, token) in enumerate(held)}
        pairs = ", ".join(f"(%(pk{n})s, %(token{n})s)" for n in range(len(held)))
        return f"({self.pk}, lease_token) IN (VALUES {pairs})", params

    def _type(self, name: str) -> str:
        return str(self._field(name).db_type(connection))


def _compiled(rows: QuerySet[Any], prefix: str = "rows_") -> tuple[str, dict[str, Any]]:
    """The query as SQL, with named parameters."""
    sql, values = rows.query.sql_with_params()
    params = {f"{prefix}{number}": value for number, value in enumerate(values)}
    return sql % tuple(f"%({name})s" for name in params), params


def _run(sql: str, params: Mapping[str, Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall() if cursor.description else []
