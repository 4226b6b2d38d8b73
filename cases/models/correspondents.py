from typing import ClassVar

from django.db import models

from cases.models.cases import Case


class Admission(models.TextChoices):
    """Why somebody's mail counts on a case besides the counterparty's own."""

    SAME_ORGANISATION = "SAME_ORGANISATION", "of the counterparty's organisation"
    COPIED = "COPIED", "the counterparty wrote to both of us"
    NAMED = "NAMED", "the counterparty named them"
    STAFF = "STAFF", "let in by staff"


class Correspondent(models.Model):
    """Somebody besides the counterparty who writes on a case, and whose mail acts. Nothing is ever sent to them."""

    id = models.BigAutoField(primary_key=True)
    case = models.ForeignKey(Case, on_delete=models.CASCADE, related_name="correspondents")
    address = models.CharField(max_length=320, db_index=True)  # canonical, see outreach/inbound/addresses.py
    name = models.TextField(blank=True)  # as they call themselves: a claim
    how = models.CharField(max_length=20, choices=Admission.choices)
    since = models.DateTimeField()

    class Meta:
        ordering = ("since", "id")
        constraints: ClassVar = [
            models.UniqueConstraint(name="correspondent_once_a_case", fields=["case", "address"]),
        ]

    def __str__(self) -> str:
        return self.address
