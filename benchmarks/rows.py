"""Very many rows at once: copies of one that was made as the product makes it, in one statement of PostgreSQL."""

from typing import Any

from django.db import connection, models


def multiply(row: models.Model, count: int, **columns: str) -> None:
    """Insert so many copies of the stored row. `columns` are SQL by column's name, in which `n` counts from 1.

    The row itself stays. What has to differ from copy to copy must be among the columns.
    """
    fields = [field for field in row._meta.concrete_fields if field.column not in columns]
    fields = [field for field in fields if not (field.primary_key and isinstance(field, models.AutoField))]
    names = [f'"{field.column}"' for field in fields] + [f'"{name}"' for name in columns]
    values = [f'template."{field.column}"' for field in fields] + [sql.replace("%", "%%") for sql in columns.values()]
    table, key = row._meta.db_table, row._meta.pk.column
    with connection.cursor() as cursor:
        cursor.execute(
            f'INSERT INTO "{table}" ({", ".join(names)}) SELECT {", ".join(values)} '
            f'FROM "{table}" AS template, generate_series(1, %s) AS n WHERE template."{key}" = %s',
            [count, row.pk],
        )


def key_of(what: str) -> str:
    """SQL for a UUID that follows from the word and `n`, so that copies in other tables can refer to it."""
    return f"md5('{what}' || n)::uuid"


def analyze(*tables: Any) -> None:
    """Have the planner know what is there now."""
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f'ANALYZE "{table._meta.db_table}"')
