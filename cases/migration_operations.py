"""Operations of migrations that large tables allow: PostgreSQL builds their indexes while others write.

A migration with one of them has `atomic = False`. Each can be repeated after a migration that was interrupted.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import migrations

from cases import search_postgresql


class AddIndex(migrations.AddIndex):
    """As Django's; on PostgreSQL CREATE INDEX CONCURRENTLY.

    Like `django.contrib.postgres.operations.AddIndexConcurrently`, which SQLite does not know.
    """

    atomic = False

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        if not self.allow_migrate_model(schema_editor.connection.alias, model):
            return
        with patience(schema_editor):
            drop(schema_editor, self.index.name)
            if schema_editor.connection.vendor == "postgresql":
                schema_editor.add_index(model, self.index, concurrently=True)
            else:
                schema_editor.add_index(model, self.index)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        drop(schema_editor, self.index.name)


class AddField(migrations.AddField):
    """As Django's; on PostgreSQL it locks its table for one statement, and builds the field's index beside writers.

    So that a migration of several tables never holds one while it waits for another. A column that is there is left.
    """

    atomic = False

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        model = to_state.apps.get_model(app_label, self.model_name)
        field = model._meta.get_field(self.name)
        before = len(schema_editor.deferred_sql)
        if _has_column(schema_editor, model._meta.db_table, field.column):
            schema_editor.deferred_sql.extend(schema_editor._field_indexes_sql(model, field))
        else:
            super().database_forwards(app_label, schema_editor, from_state, to_state)
        later = schema_editor.deferred_sql[before:]
        del schema_editor.deferred_sql[before:]
        with patience(schema_editor):
            for statement in later:
                drop(schema_editor, str(statement.parts["name"]).strip('"'))
                schema_editor.execute(str(statement).replace("CREATE INDEX", "CREATE INDEX CONCURRENTLY", 1), None)


def _has_column(schema_editor: Any, table: str, column: str) -> bool:
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        return column in {found.name for found in connection.introspection.get_table_description(cursor, table)}


@contextmanager
def patience(schema_editor: Any) -> Iterator[None]:
    """Wait as long as it takes: whoever builds an index concurrently waits for others, and they do not wait for it."""
    if schema_editor.connection.vendor != "postgresql":
        yield
        return
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        [usual] = cursor.fetchone()
        cursor.execute("SET lock_timeout = 0")
        yield
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", [usual])


def drop(schema_editor: Any, name: str) -> None:
    """Take the index away, also one that an interrupted CREATE INDEX CONCURRENTLY has left invalid."""
    concurrently = "CONCURRENTLY " if schema_editor.connection.vendor == "postgresql" else ""
    schema_editor.execute(f"DROP INDEX {concurrently}IF EXISTS {schema_editor.quote_name(name)}")


def _on_postgresql(act: Callable[[Any], None]) -> Callable[[Any, Any], None]:
    def run(apps: Any, schema_editor: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            act(schema_editor)

    return run


def _make_search(schema_editor: Any) -> None:
    for statement in search_postgresql.functions():
        schema_editor.execute(statement)
    with patience(schema_editor):
        for name, statement in search_postgresql.indexes().items():
            drop(schema_editor, name)
            schema_editor.execute(statement)


def _remove_search(schema_editor: Any) -> None:
    for name in search_postgresql.indexes():
        drop(schema_editor, name)
    schema_editor.execute("DROP FUNCTION IF EXISTS cases_words_of_case, cases_words_of_mail")


class MakeSearchable(migrations.RunPython):
    """What search_postgresql.py looks into. SQLite's tables are made after each `migrate`, see search_sqlite.py."""

    def __init__(self) -> None:
        super().__init__(_on_postgresql(_make_search), _on_postgresql(_remove_search), atomic=False)

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return type(self).__name__, [], {}


class LeaveRoomForUpdates(migrations.RunPython):
    """Have PostgreSQL leave a part of each new page of a table empty, for the next versions of its rows.

    An update that finds room on its row's page, and changes no column of an index, enters nothing into any index
    (https://www.postgresql.org/docs/current/storage-hot.html): so it is with claims and releases, two for each step.
    """

    def __init__(self, table: str, percent: int) -> None:
        self._given = [table, percent]
        fill = f'ALTER TABLE "{table}" SET (fillfactor = {100 - percent})'
        usual = f'ALTER TABLE "{table}" RESET (fillfactor)'
        super().__init__(
            _on_postgresql(lambda schema_editor: schema_editor.execute(fill)),
            _on_postgresql(lambda schema_editor: schema_editor.execute(usual)),
        )

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return type(self).__name__, self._given, {}
