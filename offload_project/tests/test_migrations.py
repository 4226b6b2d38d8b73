"""What a migration may do while the code of the release before runs on the same database (docs/deploy.md)."""

import threading
import time
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.core.management.commands.migrate import Command as MigrateCommand
from django.db import OperationalError, connection, connections, migrations, models, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.models import NOT_PROVIDED

from cases import work
from cases.migration_operations import AddIndex
from cases.models import Heartbeat

# The newest migrations that were there before upgrades had to go without a pause.
FREE_UNTIL = {"cases": "0010", "outreach": "0006", "webhooks": "0002"}
TABLES_THAT_GROW = {"case", "message", "attachment", "inputrequest", "event", "inboundpayload", "modelcall", "delivery"}
TAKES_AWAY = (
    migrations.RemoveField,
    migrations.RenameField,
    migrations.DeleteModel,
    migrations.RenameModel,
    migrations.AlterModelTable,
)


def faults(operation: Operation) -> Iterator[str]:
    """What of the operation would break the code of the release before, or make it wait."""
    if isinstance(operation, TAKES_AWAY):
        yield f"{operation.describe()}: the release before still uses it"
    if isinstance(operation, migrations.AddField):
        field = operation.field
        if not (field.null or field.db_default is not NOT_PROVIDED or isinstance(field, models.ManyToManyField)):
            yield f"{operation.describe()}: the release before leaves it out of its INSERTs; give it a db_default"
    blocks = isinstance(operation, migrations.AddIndex) and not isinstance(operation, AddIndex)
    if blocks and getattr(operation, "model_name", "").lower() in TABLES_THAT_GROW:
        yield f"{operation.describe()}: nobody could write meanwhile; use cases.migration_operations.AddIndex"


def newer_migrations() -> list[Any]:
    loaded = MigrationLoader(None).disk_migrations
    return [loaded[key] for key in sorted(loaded) if key[0] in FREE_UNTIL and key[1][:4] > FREE_UNTIL[key[0]]]


def test_old_code_gets_on_with_the_new_schema() -> None:
    found = newer_migrations()
    assert {migration.app_label for migration in found} == set(FREE_UNTIL)
    assert [fault for migration in found for operation in migration.operations for fault in faults(operation)] == []


def test_indexes_that_are_built_beside_writers_are_not_in_a_transaction() -> None:
    for migration in newer_migrations():
        if any(isinstance(operation, AddIndex) for operation in migration.operations):
            assert not migration.atomic, migration


@pytest.mark.parametrize(
    "operation",
    [
        migrations.RemoveField("case", "goal"),
        migrations.RenameField("case", "goal", "aim"),
        migrations.DeleteModel("case"),
        migrations.AddField("case", "colour", models.TextField(default="")),
        migrations.AddIndex("case", models.Index(fields=["goal"], name="x")),
    ],
)
def test_a_wrong_operation_is_found(operation: Operation) -> None:
    assert len(list(faults(operation))) == 1


@pytest.mark.parametrize(
    "operation",
    [
        migrations.AddField("case", "colour", models.TextField(null=True)),
        migrations.AddField("case", "colour", models.TextField(default="", db_default="")),
        AddIndex("case", models.Index(fields=["goal"], name="x")),
        migrations.CreateModel("colour", []),
    ],
)
def test_a_right_operation_is_left_alone(operation: Operation) -> None:
    assert list(faults(operation)) == []


def test_the_tables_that_grow_are_there() -> None:
    names = {model._meta.model_name for model in apps.get_models()}
    assert names >= TABLES_THAT_GROW


# --- The command ----------------------------------------------------------------------------------


def change_a_table(self: MigrateCommand, *args: Any, **options: Any) -> None:
    tries.append(time.monotonic())
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE cases_heartbeat ADD COLUMN trial text")
        cursor.execute("ALTER TABLE cases_heartbeat DROP COLUMN trial")


tries: list[float] = []


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_a_change_of_a_table_gives_way_to_those_who_work(monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    tries.clear()
    monkeypatch.setattr(MigrateCommand, "handle", change_a_table)
    began, at = threading.Event(), work.now()

    def work_for_a_while() -> None:
        with transaction.atomic():
            Heartbeat.objects.create(name="works", started_at=at, finished_at=at)
            began.set()
            time.sleep(1.2)
        connections.close_all()

    worker = threading.Thread(target=work_for_a_while)
    worker.start()
    began.wait(10)
    call_command("migrate", verbosity=0, stdout=StringIO())
    worker.join()
    assert len(tries) >= 2
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("0",)


@pytest.mark.django_db
def test_any_other_error_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: MigrateCommand, *args: Any, **options: Any) -> None:
        tries.append(time.monotonic())
        raise OperationalError("no such column")

    tries.clear()
    monkeypatch.setattr(MigrateCommand, "handle", fail)
    with pytest.raises(OperationalError, match="no such column"):
        call_command("migrate", verbosity=0)
    assert len(tries) == 1
