"""Queries that are asked again and again, in the same words each time."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, NamedTuple, ParamSpec, TypeVar
from uuid import UUID, uuid4

from django.core.exceptions import EmptyResultSet
from django.db import connections, transaction
from django.db.models import Model, QuerySet
from django.db.models.query import NamedValuesListIterable, ValuesIterable
from django.db.models.sql import UpdateQuery
from django.db.transaction import TransactionManagementError

Given = ParamSpec("Given")
Row = TypeVar("Row")

Change = tuple[QuerySet[Any, Any], dict[str, Any]]  # which rows, and what becomes of their fields

LONGEST = 128  # of longer lists no statement is kept


class _Compiled(NamedTuple):
    """A statement whose parameters are still open."""

    rows: QuerySet[Any, Any]
    sql: str
    parameters: tuple[Any, ...]
    places: tuple[tuple[int, int], ...]  # which of the parameters is which of the values
    stand_ins: tuple[Any, ...]
    compiler: dict[str, Any]  # what Django's compiler has found out on the way: which column goes where

    def filled(self, values: tuple[Any, ...], connection: Any) -> tuple[Any, ...]:
        """The parameters with these values."""
        parameters = list(self.parameters)
        for place, number in self.places:
            parameters[place] = _adapted(values[number], connection)
        return tuple(parameters)


class _Kept(ABC, Generic[Given]):
    """A function that says what is asked, and the statements that have been made of it.

    Django makes one whenever it is asked. For rows with many columns that takes longer than all the rest, the
    database's part included.

    The function is called once with stand-ins, so it may use what it is given only as it is, in look-ups. It may be
    given UUIDs, strings, numbers, times, lists of these for `in`, and model instances, of which it may use the key, as
    related managers do. Whatever else it does with them raises an error when it is first asked.
    """

    def __init__(self, said: Callable[..., Any]) -> None:
        self._said = said
        self._compiled: dict[Any, _Compiled | None] = {}  # by kind of database and lengths of lists; None: no rows
        self.__doc__ = said.__doc__

    def _statement(self, values: tuple[Any, ...], connection: Any) -> _Compiled | None:
        """What was made for values of this kind, or is now; None where there can be no rows. For padded values."""
        lengths = tuple(len(value) if isinstance(value, list) else None for value in values)
        kind = (connection.vendor, getattr(connection.features, "uses_server_side_binding", False), lengths)
        if kind not in self._compiled:
            self._compiled[kind] = self._compile(values, connection)
        return self._compiled[kind]

    def _compile(self, values: tuple[Any, ...], connection: Any) -> _Compiled | None:
        numbers = iter(range(1_000))
        given = [
            [_stand_in(one, next(numbers)) for one in value]
            if isinstance(value, list)
            else _stand_in(value, next(numbers))
            for value in values
        ]
        rows, query = self._query(*given)
        compiler = query.get_compiler(connection=connection)
        try:
            sql, parameters = compiler.as_sql()
        except EmptyResultSet:
            return None
        stand_ins = tuple(_each(given))
        places = _places(parameters, [_adapted(one, connection) for one in stand_ins])
        return _Compiled(rows, sql, tuple(parameters), places, stand_ins, _found_out(compiler))

    @abstractmethod
    def _query(self, *given: Any) -> tuple[QuerySet[Any, Any], Any]:
        """The queryset for these stand-ins, and the query to be put into SQL."""


class Prepared(_Kept[Given], Generic[Given, Row]):
    """A function that gives a queryset, called for its rows: the queryset is put into SQL once in a process.

    What comes back is as ever: rows, what is joined, annotations, tuples or single values. What it may be given: see
    `_Kept`.
    """

    def __init__(self, said: Callable[Given, QuerySet[Any, Row]]) -> None:
        super().__init__(said)

    def __call__(self, *values: Given.args, **named: Given.kwargs) -> list[Row]:
        """The rows for these values, which are given by position."""
        if named:
            raise TypeError("values are given by position")
        if _are_too_long(values):
            return list(self._said(*values))
        connection: Any = connections["default"]
        padded = tuple(map(_padded, values))
        compiled = self._statement(padded, connection)
        return [] if compiled is None else _rows(compiled, tuple(_each(padded)), connection)

    def first(self, *values: Given.args, **named: Given.kwargs) -> Row | None:
        """The first of the rows, all of which are fetched; None where there are none."""
        return next(iter(self(*values, **named)), None)

    def _query(self, *given: Any) -> tuple[QuerySet[Any, Any], Any]:
        rows: Any = self._said(*given)
        if rows._prefetch_related_lookups or rows._iterable_class in (ValuesIterable, NamedValuesListIterable):
            raise ValueError("only rows, tuples and single values can be had, and nothing is fetched along")
        return rows, rows.query


class PreparedUpdate(_Kept[Given]):
    """A function that gives a `Change`, called to carry it out: put into SQL once, as `Prepared`."""

    def __init__(self, said: Callable[Given, Change]) -> None:
        super().__init__(said)

    def __call__(self, *values: Given.args, **named: Given.kwargs) -> int:
        """How many rows were changed. Values are given by position."""
        if named:
            raise TypeError("values are given by position")
        if _are_too_long(values):
            rows, changes = self._said(*values)
            updated: int = rows.update(**changes)
            return updated
        connection: Any = connections["default"]
        padded = tuple(map(_padded, values))
        compiled = self._statement(padded, connection)
        if compiled is None:
            return 0
        with transaction.mark_for_rollback_on_error(using="default"), connection.cursor() as cursor:
            cursor.execute(compiled.sql, compiled.filled(tuple(_each(padded)), connection))
            changed: int = cursor.rowcount
            return changed

    def _query(self, *given: Any) -> tuple[QuerySet[Any, Any], Any]:
        rows, changes = self._said(*given)
        query: Any = rows.order_by().query.chain(UpdateQuery)
        query.add_update_values(changes)
        return rows, query


def _found_out(compiler: Any) -> dict[str, Any]:
    known = {name: value for name, value in vars(compiler).items() if name not in {"query", "connection"}}
    if not compiler.select or compiler.connection.vendor == "sqlite":  # whose converters belong to one connection
        return known
    converters = compiler.get_converters([column[0] for column in compiler.select[: compiler.col_count]])
    return {**known, "get_converters": lambda _: converters}


class _Source:
    """As much of a queryset and its query as Django's iterables look at: here the compiler has done its work."""

    db = "default"

    def __init__(self, model: type[Model], compiler: Any, known: dict[Any, dict[Any, Model]]) -> None:
        self.model, self._compiler, self._known_related_objects = model, compiler, known

    @property
    def query(self) -> "_Source":
        return self

    def get_compiler(self, *_: Any, **__: Any) -> Any:
        return self._compiler


def _rows(compiled: _Compiled, values: tuple[Any, ...], connection: Any) -> list[Any]:
    rows: Any = compiled.rows
    if rows.query.select_for_update and connection.features.has_select_for_update and connection.get_autocommit():
        raise TransactionManagementError("rows can't be locked outside of a transaction")  # as Django's compiler does
    answer = compiled.sql, compiled.filled(values, connection)
    compiler = rows.query.get_compiler(connection=connection)
    compiler.__dict__.update(compiled.compiler, as_sql=lambda: answer)
    related = rows._known_related_objects.items()
    known = {field: _known(instances, compiled.stand_ins, values) for field, instances in related}
    return list(rows._iterable_class(_Source(rows.model, compiler, known), chunked_fetch=False))


def _known(known: dict[Any, Model], stand_ins: tuple[Any, ...], values: tuple[Any, ...]) -> dict[Any, Model]:
    """The instances whose rows are asked for, in place of their stand-ins: the rows refer to them."""
    given = [values[stand_ins.index(instance)] for instance in known.values()]
    return {instance.pk: instance for instance in given}


def _are_too_long(values: tuple[Any, ...]) -> bool:
    return any(isinstance(value, list) and len(value) > LONGEST for value in values)


def _padded(value: Any) -> Any:
    """A list with its last value repeated, so that there are few lengths: each of them makes another statement."""
    if not isinstance(value, list) or not value:
        return value
    return value + [value[-1]] * ((1 << (len(value) - 1).bit_length()) - len(value))


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
