"""Queries that are asked at each request, in the same words each time."""

from typing import Any, Generic, TypeVar

from django.db import connections
from django.db.models import Model, QuerySet

M = TypeVar("M", bound=Model)


class Prepared(Generic[M]):
    """Rows by the value of one field, by a queryset that is put into SQL once in a process.

    Django does so whenever a queryset is asked. For rows with many columns that takes longer than all the rest, the
    database's part included. What comes back is as ever: the rows, what is joined, and annotations.
    """

    def __init__(self, rows: QuerySet[M], lookup: str, placeholder: Any) -> None:
        """`rows` are those to choose from, in their order; `placeholder` is a value that occurs nowhere else in it."""
        self._rows = rows.filter(**{lookup: placeholder})
        self._field: Any = rows.model._meta.get_field(lookup)
        self._placeholder = placeholder
        self._compiled: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {}  # by kind of database

    def __call__(self, value: Any) -> list[M]:
        """Those whose field has this value."""
        connection: Any = connections[self._rows.db]
        if connection.vendor not in self._compiled:
            self._compiled[connection.vendor] = self._compile(connection)
        sql, parameters, state = self._compiled[connection.vendor]
        prepared, placeholder = (
            self._field.get_db_prep_value(given, connection) for given in (value, self._placeholder)
        )
        filled = tuple(prepared if parameter == placeholder else parameter for parameter in parameters)
        rows = self._rows.all()
        compiler = rows.query.get_compiler(connection=connection)
        compiler.__dict__.update(state)
        compiler.as_sql = lambda *_, **__: (sql, filled)
        rows.query.get_compiler = lambda *_, **__: compiler  # type: ignore[method-assign]
        found = list(rows)
        del rows.query.get_compiler  # query and compiler would keep each other until a garbage collection
        return found

    def _compile(self, connection: Any) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        """The SQL, its parameters, and what Django's compiler has found out on the way: which column goes where."""
        compiler = self._rows.query.get_compiler(connection=connection)
        sql, parameters = compiler.as_sql()
        state = {name: value for name, value in vars(compiler).items() if name not in {"query", "connection"}}
        return sql, tuple(parameters), state
