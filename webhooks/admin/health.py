"""How endpoints are, in words, and how fast they answer; for several at once in two queries."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q, QuerySet

from cases import moments
from cases.admin.words import span
from webhooks.models import Attempt, Delivery, DeliveryState, Endpoint

MAX_LOOKED_AT = 50  # deliveries, the newest, of whose attempts the median is taken

STATES: Mapping[str, tuple[str, str]] = {  # the words of a state, and how the page colours them
    DeliveryState.WAITING: ("to be delivered", "info"),
    DeliveryState.DELIVERED: ("delivered", "ok"),
    DeliveryState.EXHAUSTED: ("given up after the last attempt", "bad"),
    DeliveryState.FAILED: ("could not be attempted", "bad"),
    DeliveryState.PARKED: ("kept, since its endpoint is parked", "warn"),
}
EVENTS: Mapping[str, str] = {
    "case.completed": "The case is completed",
    "case.failed": "The case has failed",
    "case.input_needed": "A question waits for an answer",
    "case.created": "A case was posted",
    "case.draft_ready": "A draft waits for approval",
    "case.input_overdue": "A question has waited too long",
    "message.received": "A mail has come in",
    "message.sent": "A mail was sent",
}


@dataclass(frozen=True)
class Health:
    """How an endpoint is: `words`, a `tone` for their colour, and the median time of its latest answers in ms."""

    endpoint: Endpoint
    words: str
    tone: str
    median_ms: int | None
    waiting: int
    kept: int


def with_queues(endpoints: QuerySet[Endpoint]) -> QuerySet[Endpoint]:
    """The endpoints with what waits for them (`waiting_count`) and what is kept (`kept_count`)."""
    return endpoints.annotate(
        waiting_count=Count("deliveries", filter=Q(deliveries__state=DeliveryState.WAITING)),
        kept_count=Count("deliveries", filter=Q(deliveries__state=DeliveryState.PARKED)),
    )


def healths(endpoints: Sequence[Endpoint], deliveries: QuerySet[Delivery], now: datetime) -> list[Health]:
    """How each endpoint of `with_queues` is; of `deliveries` the newest tell how fast they answer."""
    times = _times(deliveries)
    return [_health(endpoint, times.get(endpoint.pk, []), now) for endpoint in endpoints]


def _times(deliveries: QuerySet[Delivery]) -> Mapping[int, list[int]]:
    newest = list(deliveries.order_by("-created_at", "-id").values_list("pk", flat=True)[:MAX_LOOKED_AT])
    answered = Attempt.objects.filter(delivery__in=newest, status__isnull=False).order_by()
    times: dict[int, list[int]] = defaultdict(list)
    for endpoint, duration in answered.values_list("delivery__endpoint", "duration_ms"):
        times[endpoint].append(duration)
    return times


def _health(endpoint: Endpoint, times: Iterable[int], now: datetime) -> Health:
    times = list(times)
    words, tone = in_words(endpoint, now)
    median = round(statistics.median(times)) if times else None
    queues = (int(getattr(endpoint, "waiting_count", 0)), int(getattr(endpoint, "kept_count", 0)))
    return Health(endpoint, words, tone, median, *queues)


def in_words(endpoint: Endpoint, now: datetime) -> tuple[str, str]:
    """How it is, and a tone: ok, warn, bad or calm."""
    if endpoint.parked_at:
        return f"parked since {moments.stamp(endpoint.parked_at)}", "bad"
    if endpoint.failing_since:
        times = "once" if endpoint.failures == 1 else f"{endpoint.failures} times in a row"
        rest = ""
        if endpoint.rests_until and endpoint.rests_until > now:
            rest = f"; called again at {moments.stamp(endpoint.rests_until)}"
        return f"failing since {moments.stamp(endpoint.failing_since)}, {times}{rest}", "warn"
    if endpoint.last_success_at:
        return f"well, answered {span(endpoint.last_success_at, now)} ago", "ok"
    return "not called yet", "calm"
