"""What models have been used for, added up."""

from datetime import datetime
from decimal import Decimal

from django.db.models import Count, F, Sum

from outreach.models import ModelCall


def between(begins: datetime, ends: datetime) -> tuple[int, int, Decimal]:
    """Calls, tokens (read and written) and cost from then on, up to then; the cost in the price table's currency."""
    calls = ModelCall.objects.filter(at__gte=begins, at__lt=ends).order_by()
    used = calls.aggregate(calls=Count("pk"), tokens=Sum(F("prompt_tokens") + F("completion_tokens")), cost=Sum("cost"))
    return used["calls"], used["tokens"] or 0, used["cost"] or Decimal(0)
