"""Storing very many rows: by COPY on PostgreSQL, by one prepared statement on SQLite.

`bulk_create` makes an object and a long statement of every few rows; for a million of them that takes minutes. What is
given here goes in as it is: no defaults that are functions, no signals, no checks but the database's own.
"""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from django.db import connection, models

from cases import search


class Bulk:
    """Rows of one model on their way in. A field that a row does not name has its default."""

    def __init__(self, model: type[models.Model]) -> None:
        fields = [field for field in model._meta.concrete_fields if not isinstance(field, models.AutoField)]
        blank = model()
        self.table = model._meta.db_table
        self.columns = [str(field.column) for field in fields]
        self.places = {field.attname: place for place, field in enumerate(fields)}
        self.json = {field.attname for field in fields if isinstance(field, models.JSONField)}
        self.defaults = [_default(field, getattr(blank, field.attname)) for field in fields]
        self.rows: list[list[Any]] = []
        self.stored = 0
        self.adapted = _for_postgresql if connection.vendor == "postgresql" else _for_sqlite

    def add(self, **values: Any) -> None:
        """One more row, by the attributes' names (`case_id`)."""
        row = self.defaults.copy()
        for name, value in values.items():
            is_json = name in self.json and value is not None and not isinstance(value, str)
            row[self.places[name]] = json.dumps(value) if is_json else self.adapted(value)
        self.rows.append(row)

    def store(self) -> None:
        """Write what was added since the last time."""
        columns = ", ".join(f'"{column}"' for column in self.columns)
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                with cursor.copy(f'COPY "{self.table}" ({columns}) FROM STDIN') as copy:
                    for row in self.rows:
                        copy.write_row(row)
            else:
                marks = ", ".join(["%s"] * len(self.columns))
                cursor.executemany(f'INSERT INTO "{self.table}" ({columns}) VALUES ({marks})', self.rows)  # noqa: S608
        self.stored += len(self.rows)
        self.rows = []


@contextmanager
def indexes_made_afterwards() -> Iterator[None]:
    """On an SQLite without rows: no index is kept up to date meanwhile, and the search is filled at the end.

    Sorted at once they take a fraction of the time: keys are random, so each row would touch other pages of each index.
    """
    if connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql LIKE 'CREATE INDEX%%'")
        indexes = dict(cursor.fetchall())
        cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        drop = [f'DROP INDEX "{name}"' for name in indexes] + [
            f'DROP TRIGGER "{name}"' for (name,) in cursor.fetchall()
        ]
        try:
            for statement in drop:
                cursor.execute(statement)
            yield
        finally:
            for statement in indexes.values():
                cursor.execute(statement)
            search.install()


def _default(field: Any, value: Any) -> Any:
    if isinstance(field, models.JSONField):
        return None if value is None else json.dumps(value)
    if isinstance(field, models.UUIDField):
        return None  # a key is given
    return value if isinstance(field, models.FileField) else field.get_db_prep_save(value, connection)


def _for_sqlite(value: Any) -> Any:
    """As Django's own adapters write it."""
    act = _SQLITE.get(type(value))
    return act(value) if act else value


def _moment(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(" ")[:-6]


_SQLITE: dict[type, Callable[[Any], Any]] = {uuid.UUID: lambda value: value.hex, datetime: _moment}


def _for_postgresql(value: Any) -> Any:
    return value
