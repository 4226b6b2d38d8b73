from typing import ClassVar
from urllib.parse import urlencode

from django.conf import settings
from django.db import models
from django.http import QueryDict

NOT_KEPT = frozenset({"p", "e", "all", "_popup", "_to_field"})  # which page of the list, and what is of the moment
MOST_SAVED = 30  # of one person and list


class SavedFilter(models.Model):
    """A list as one person wants to see it again: filters, search and order, under a name."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    list = models.CharField(max_length=100)  # the model's label: cases.case
    name = models.CharField(max_length=60)
    query = models.TextField(blank=True)  # of the list's address, without "?"; see `kept`
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name", "id")
        constraints: ClassVar = [
            models.UniqueConstraint(name="saved_filter_once_a_name", fields=["user", "list", "name"]),
        ]

    def __str__(self) -> str:
        return self.name


def kept(query: str) -> str:
    """Of the query of a list's address what is worth keeping, in one order, so that equal ones can be told."""
    given = QueryDict(query)
    pairs = [(name, value) for name in sorted(given) for value in given.getlist(name) if name not in NOT_KEPT and value]
    return urlencode(pairs)
