from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Any, ClassVar

from django.db import models
from django.db.models.functions import Now

from cases import database
from cases.models.kept_sql import KeptSql
from cases.prepared import Prepared


class DueManager(models.Manager[Any]):
    def with_time(self) -> models.QuerySet[Any]:
        """The rows as `read` and `locked` give them, for `with_now`."""
        rows: models.QuerySet[Any] = self.annotate(looked_at=Now()).order_by()
        return rows

    def read(self, pk: Any) -> Any:
        """The row with `now` read along. Raises DoesNotExist."""
        return self._one(pk, is_locked=False)

    def locked(self, pk: Any) -> Any:
        """The row, locked until the transaction ends, with `now` read along. Raises DoesNotExist."""
        return self._one(pk, is_locked=True)

    def _one(self, pk: Any, *, is_locked: bool) -> Any:
        model: Any = self.model
        row = _by_key(model, is_locked=is_locked).first(model._meta.pk.to_python(pk))
        if row is None:
            raise model.DoesNotExist(f"{model.__name__} {pk}")
        return with_now(row)


@cache
def _by_key(model: type[models.Model], *, is_locked: bool) -> Prepared[[Any], Any]:
    manager: Any = model._default_manager
    rows: models.QuerySet[Any] = manager.with_time()
    chosen = rows.select_for_update(of=("self",)) if is_locked else rows
    return Prepared(lambda pk: chosen.filter(pk=pk))


def with_now(row: Any) -> Any:
    """The row with `now`, the database's time as `work.now` gives it; `looked_at` is annotated by Now().

    In whole milliseconds, like the times that steps look at: what is due in a query is due in its step.
    """
    row.now = database.to_milliseconds(row.looked_at) if database.is_server() else database.now()
    return row


class DueRow(KeptSql):
    """A row that carries work: it says when a worker must look at it, and who is looking. See cases/work.py."""

    due_at = models.DateTimeField(null=True, blank=True, editable=False)  # null: nothing to do
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    lease_token = models.UUIDField(null=True, blank=True, editable=False)
    retry_at = models.DateTimeField(null=True, blank=True, editable=False)  # not before, after a failed step
    failures = models.PositiveIntegerField(default=0, editable=False)  # failed steps in a row
    failing_since = models.DateTimeField(null=True, blank=True, editable=False)
    lost_leases = models.PositiveIntegerField(default=0, editable=False)  # claims in a row that came to no end
    last_error = models.TextField(blank=True, editable=False)  # of the last failed step; for staff

    WORK_FIELDS: ClassVar = (
        "due_at",
        "lease_until",
        "lease_token",
        "retry_at",
        "failures",
        "failing_since",
        "lost_leases",
        "last_error",
    )

    objects: ClassVar[DueManager] = DueManager()
    now: datetime  # the database's time as it was read or locked; set by `read` and `locked`

    class Meta:
        abstract = True

    def due_facts(self) -> Iterable[datetime]:
        """The times at which something must be done for this row, as its facts stand; none: nothing to do."""
        raise NotImplementedError


def due_index(name: str) -> models.Index:
    """The index that claims look into: only rows that wait for somebody."""
    return models.Index(fields=["due_at"], name=name, condition=models.Q(due_at__isnull=False))


class TurnIndex(models.Index):
    """The index by which a claim goes from one owner of due rows to the next, see cases/claim_sql.py.

    It is sorted as no other is (PostgreSQL's usual order is NULLS LAST, SQLite's only one NULLS FIRST): whoever asks
    for this order, of very few rows, gets it from here. There are no nulls in it.
    """

    def __init__(self, owner: str, *, name: str) -> None:
        super().__init__(fields=[owner, "due_at"], name=name, condition=models.Q(due_at__isnull=False))

    def create_sql(self, model: Any, schema_editor: Any, using: str = "", **options: Any) -> Any:
        if schema_editor.connection.vendor == "postgresql":
            self.fields_orders = [(self.fields[0], ""), ("due_at", "NULLS FIRST")]
        return super().create_sql(model, schema_editor, using, **options)

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        path, _, _ = super().deconstruct()
        return path.replace("cases.models.due", "cases.models"), [self.fields[0]], {"name": self.name}
