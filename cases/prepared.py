"""Queries that are asked again and again, in the same words each time."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, NamedTuple, ParamSpec, TypeVar
from uuid import UUID, uuid4

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import Model, QuerySet
from django.db.transaction import TransactionManagementError

Given = ParamSpec("Given")
Row = TypeVar("Row")

LONGEST = 8  # of the values of a list each number makes another statement; of longer ones none is kept


class _Compiled(NamedTuple):
    """A statement whose parameters are still open."""

    rows: QuerySet[Any, Any]
    sql: str
    parameters: tuple[Any, ...]
    places: tuple[tuple[int, int], ...]  # which of the parameters is which of the values
    stand_ins: tuple[Any, ...]
    compiler: dict[str, Any]  # what Django's compiler has found out on the way: which column goes where


class Prepared(Generic[Given, Row]):
    """A function that gives a queryset, called for its rows: the queryset is put into SQL once in a process.

    Django does so whenever a queryset is asked. For rows with many columns that takes longer than all the rest, the
    database's part included. What comes back is as ever: rows, what is joined, annotations, or values.

    The function is called once with stand-ins, so it may use what it is given only as it is, in look-ups. It may be
    given UUIDs, strings, numbers, times, lists of these, and model instances, of which it may use the key, as related
    managers do. Whatever else it does with them raises an error when it is first asked.
    """

    def __init__(self, query: Callable[Given, QuerySet[Any, Row]]) -> None:
        self._query: Callable[..., QuerySet[Any, Row]] = query
        self._compiled: dict[Any, _Compiled | None] = {}  # by kind of database and lengths of lists; None: no rows
        self.__doc__ = query.__doc__

    def __call__(self, *values: Given.args, **named: Given.kwargs) -> list[Row]:
        """The rows for these values, which are given by position."""
        if named:
            raise TypeError("values are given by position")
        connection: Any = connections["default"]
        lengths = tuple(len(value) if isinstance(value, list) else None for value in values)
        if any(length and length > LONGEST for length in lengths):
            return list(self._query(*values))
        kind = (connection.vendor, getattr(connection.features, "uses_server_side_binding", False), lengths)
        if kind not in self._compiled:
            self._compiled[kind] = self._compile(values, connection)
        compiled = self._compiled[kind]
        return [] if compiled is None else _rows(compiled, tuple(_each(values)), connection)

    def first(self, *values: Given.args, **named: Given.kwargs) -> Row | None:
        """The first of the rows, all of which are fetched; None where there are none."""
        return next(iter(self(*values, **named)), None)

    def _compile(self, values: tuple[Any, ...], connection: Any) -> _Compiled | None:
        numbers = iter(range(1_000))
        given = [
            [_stand_in(one, next(numbers)) for one in value]
            if isinstance(value, list)
            else _stand_in(value, next(numbers))
            for value in values
        ]
        rows = self._query(*given)
        compiler = rows.query.get_compiler(connection=connection)
        try:
            sql, parameters = compiler.as_sql()
        except EmptyResultSet:
            return None
        converters = compiler.get_converters([column[0] for column in compiler.select[: compiler.col_count]])
        kept = {name: value for name, value in vars(compiler).items() if name not in {"query", "connection"}}
        stand_ins = tuple(_each(given))
        places = _places(parameters, [_adapted(one, connection) for one in stand_ins])
        state = {**kept, "get_converters": lambda _: converters}
        return _Compiled(rows, sql, tuple(parameters), places, stand_ins, state)


def _rows(compiled: _Compiled, values: tuple[Any, ...], connection: Any) -> list[Any]:
    rows = compiled.rows.all()
    if rows.query.select_for_update and connection.features.has_select_for_update and connection.get_autocommit():
        raise TransactionManagementError("rows can't be locked outside of a transaction")  # as Django's compiler does
    filled = list(compiled.parameters)
    for place, number in compiled.places:
        filled[place] = _adapted(values[number], connection)
    compiler = rows.query.get_compiler(connection=connection)
    compiler.__dict__.update(compiled.compiler)
    compiler.as_sql = lambda *_, **__: (compiled.sql, tuple(filled))
    rows.query.get_compiler = lambda *_, **__: compiler  # type: ignore[method-assign]
    rows._known_related_objects = {  # type: ignore[attr-defined]
        field: _known(known, compiled.stand_ins, values)
        for field, known in compiled.rows._known_related_objects.items()  # type: ignore[attr-defined]
    }
    found = list(rows)
    del rows.query.get_compiler  # query and compiler would keep each other until a garbage collection
    return found


def _known(known: dict[Any, Model], stand_ins: tuple[Any, ...], values: tuple[Any, ...]) -> dict[Any, Model]:
    """The instances whose rows are asked for, in place of their stand-ins: the rows refer to them."""
    given = [values[stand_ins.index(instance)] for instance in known.values()]
    return {instance.pk: instance for instance in given}


def _each(values: Any) -> Iterator[Any]:
    for value in values:
        yield from value if isinstance(value, list) else (value,)


def _stand_in(value: Any, number: int) -> Any:
    """A value of the kind, which occurs nowhere else; of an instance only the key may be used."""
    if isinstance(value, Model):
        key: Any = value._meta.pk
        return type(value).from_db("default", [key.attname], [_stand_in(value.pk, number)])
    if isinstance(value, UUID):
        return uuid4()
    if isinstance(value, datetime):
        return datetime(2999, 1, 1, tzinfo=UTC) + timedelta(microseconds=number)
    if isinstance(value, int):
        return 1_900_000_000 + number
    if isinstance(value, str):
        return f"A Stand-In {uuid4()}"
    raise TypeError(f"{type(value).__name__} can't be left open in a query")


def _adapted(value: Any, connection: Any) -> Any:
    """The value as Django's fields hand it to the driver."""
    value = value.pk if isinstance(value, Model) else value
    if isinstance(value, UUID):
        return value if connection.features.has_native_uuid_field else value.hex
    return connection.ops.adapt_datetimefield_value(value) if isinstance(value, datetime) else value


def _places(parameters: tuple[Any, ...], stand_ins: list[Any]) -> tuple[tuple[int, int], ...]:
    """Where each stand-in stands. Raises ValueError where one does not stand as it was given, everywhere."""
    places = tuple(
        (place, number)
        for place, parameter in enumerate(parameters)
        for number, stand_in in enumerate(stand_ins)
        if stand_in == parameter
    )
    for number, stand_in in enumerate(stand_ins):
        mentioned = sum(str(stand_in) in str(parameter) for parameter in parameters)
        if mentioned == 0 or mentioned != [found for _, found in places].count(number):
            raise ValueError(f"value {number + 1} is not looked up as it is")
    return places
