from collections.abc import Iterator
from datetime import datetime
from typing import ClassVar

from django.db import models

from cases.models.due import DueRow, due_index


class Chore(DueRow):
    """Something that is done every now and then, by one worker at a time. Which there are stands in settings."""

    name = models.CharField(max_length=40, primary_key=True)
    next_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True, blank=True)  # when the last run that succeeded began

    class Meta:
        ordering = ("name",)
        indexes: ClassVar = [due_index("chore_due")]

    def __str__(self) -> str:
        return self.name

    def due_facts(self) -> Iterator[datetime]:
        yield self.next_at
