from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q

from cases.models.kept_sql import KeptSql


class Claimable(KeptSql):
    """Something that one person at a time works at. Who does is nothing that clients see: see cases/claims.py."""

    claimed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    claimed_at = models.DateTimeField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)  # renewed as long as the page is open and looked at
    # Whom a colleague has handed it to, with what was said along with it.
    assigned_to = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    assignment_note = models.TextField(blank=True, default="", db_default="")

    class Meta:
        abstract = True

    def holder(self, now: datetime) -> Any:
        """The user who works at it; None where nobody does, or nobody has for too long."""
        is_held = self.claimed_until is not None and self.claimed_until > now
        return self.claimed_by if is_held else None


def held(now: datetime) -> Q:
    """Of claimable rows those that somebody works at."""
    return Q(claimed_by__isnull=False, claimed_until__gt=now)
