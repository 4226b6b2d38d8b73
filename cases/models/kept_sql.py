from collections.abc import Sequence
from functools import cache
from typing import Any

from django.db import connections, models


class KeptSql(models.Model):
    """A row whose INSERT and UPDATE are put into words once in a process, not at each save; see cases/prepared.py.

    These two methods are those by which `save` reaches the database. What they can't word, Django does.
    """

    class Meta:
        abstract = True

    def _do_update(self, base_qs: Any, using: Any, pk_val: Any, values: Any, *how: Any) -> Any:
        connection: Any = connections[using]
        given = [field.get_db_prep_save(value, connection) for field, _, value in values]
        if not given or _has_expressions(given):
            return super()._do_update(base_qs, using, pk_val, values, *how)
        key = base_qs.model._meta.pk
        words = _update(base_qs.model, tuple(field for field, _, _ in values), using)
        with connection.cursor() as cursor:
            cursor.execute(words, [*given, key.get_db_prep_value(pk_val, connection)])
            return cursor.rowcount > 0

    def _do_insert(self, manager: Any, using: Any, fields: Any, returning_fields: Any, raw: bool) -> Any:
        connection: Any = connections[using]
        values = [getattr(self, field.attname) if raw else field.pre_save(self, True) for field in fields]
        given = [field.get_db_prep_save(value, connection) for field, value in zip(fields, values, strict=True)]
        if _has_expressions(given):
            return super()._do_insert(manager, using, fields, returning_fields, raw)  # type: ignore[misc]
        with connection.cursor() as cursor:
            cursor.execute(_insert(manager.model, tuple(fields), tuple(returning_fields), using), given)
            return [cursor.fetchone()] if returning_fields else []


def _has_expressions(values: Sequence[Any]) -> bool:
    return any(hasattr(value, "as_sql") for value in values)


# ruff: noqa: S608 (the statements are made of names of tables and columns)


@cache
def _update(model: Any, fields: tuple[Any, ...], using: str) -> str:
    quoted = connections[using].ops.quote_name
    changes = ", ".join(f"{quoted(field.column)} = %s" for field in fields)
    return f"UPDATE {quoted(model._meta.db_table)} SET {changes} WHERE {quoted(model._meta.pk.column)} = %s"


@cache
def _insert(model: Any, fields: tuple[Any, ...], returning: tuple[Any, ...], using: str) -> str:
    quoted = connections[using].ops.quote_name
    columns, values = ", ".join(quoted(field.column) for field in fields), ", ".join("%s" for _ in fields)
    statement = f"INSERT INTO {quoted(model._meta.db_table)} ({columns}) VALUES ({values})"
    return statement + (f" RETURNING {', '.join(quoted(field.column) for field in returning)}" if returning else "")
