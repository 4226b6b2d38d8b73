"""What a migration may do while the code of the release before runs on the same database (docs/deploy.md)."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.models import NOT_PROVIDED

from cases.migration_operations import AddIndex

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
    if blocks and operation.model_name_lower in TABLES_THAT_GROW:
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
