from decimal import Decimal

from django.db import models


class Day(models.Model):
    """What happened on one day, in the time zone of the service. For charts; a chore counts, see cases/days.py."""

    date = models.DateField(primary_key=True)
    created = models.PositiveIntegerField(default=0)  # cases
    completed = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    ends = models.JSONField(default=dict)  # ResultStatus to the number of cases that ended so
    sent = models.PositiveIntegerField(default=0)  # mails
    received = models.PositiveIntegerField(default=0)
    asked = models.PositiveIntegerField(default=0)  # questions
    answered = models.PositiveIntegerField(default=0)
    # Of the questions answered and the cases completed that day, from asked and posted on; null: there were none.
    answer_median_seconds = models.PositiveBigIntegerField(null=True)
    answer_p90_seconds = models.PositiveBigIntegerField(null=True)
    completion_median_seconds = models.PositiveBigIntegerField(null=True)
    model_calls = models.PositiveIntegerField(default=0)
    model_tokens = models.PositiveBigIntegerField(default=0)
    model_cost = models.DecimalField(max_digits=14, decimal_places=6, default=Decimal(0))
    counted_at = models.DateTimeField()

    class Meta:
        ordering = ("date",)

    def __str__(self) -> str:
        return f"{self.date}"
