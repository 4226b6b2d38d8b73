from typing import ClassVar

from django.db import models

from cases.models.cases import Case
from cases.models.kept_sql import KeptSql


class Event(KeptSql):
    """A line of a case's timeline: what happened, when, and who did it. Never changed, deleted only with its case."""

    case = models.ForeignKey(Case, on_delete=models.CASCADE, related_name="events")
    type = models.CharField(max_length=60)  # for example case.completed, message.sent; see cases/events.py
    actor = models.CharField(max_length=200)  # "system", "client <key prefix>", "staff <user name>", "counterparty"
    at = models.DateTimeField()
    data = models.JSONField(default=dict)  # facts about it that have no row of their own

    class Meta:
        ordering = ("at", "id")
        indexes: ClassVar = [models.Index(fields=["case", "at", "id"], name="event_of_case")]

    def __str__(self) -> str:
        return self.type
