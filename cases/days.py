"""Days in numbers, for the charts of the home page: a row for each day, so that no page counts all cases.

A chore counts. It takes today and yesterday anew each time (what ended at midnight may have been committed after it),
and every earlier day that has no row yet, the latest first, as long as its time lasts. To count a day twice changes
nothing; whoever mistrusts a row deletes it.
"""

import math
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Min, Q
from django.utils.module_loading import import_string

from cases import work
from cases.models import Case, Day, Direction, InputRequest, Message, RequestStatus, ResultStatus, Status

ANEW = 2  # days that are counted each time
Period = tuple[datetime, datetime]  # from, up to and without


def zone() -> ZoneInfo:
    """In which days are days here: the same for every reader, since they are counted once."""
    return ZoneInfo(settings.TIME_ZONE)


def period(day: date, days: int = 1) -> Period:
    """The moments at which the day begins and ends, in UTC; or so many days, from this one on."""
    begins, ends = (datetime.combine(moment, clock_time(), zone()) for moment in (day, day + timedelta(days=days)))
    return begins.astimezone(UTC), ends.astimezone(UTC)


def within(field: str, moments: Period) -> Q:
    """The condition that a time lies in the period."""
    return Q(**{f"{field}__gte": moments[0], f"{field}__lt": moments[1]})


def median(values: Iterable[float]) -> int | None:
    """Rounded; None of nothing."""
    known = list(values)
    return round(statistics.median(known)) if known else None


def percentile(values: Sequence[float], percent: int) -> int | None:
    """The smallest value that so many percent do not exceed (nearest rank), rounded; None of nothing."""
    ranked = sorted(values)
    return round(ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)]) if ranked else None


def count(seconds: float, last_at: datetime | None) -> None:
    """Count what happened on each day, for the home page. What it has no time for, the next run counts."""
    deadline = time.monotonic() + seconds
    for day in _uncounted():
        if time.monotonic() > deadline:
            return
        facts = facts_of(period(day))
        with work.transaction():
            Day.objects.update_or_create(date=day, defaults={**facts, "counted_at": work.now()})


def _uncounted() -> Iterator[date]:
    """Today and yesterday, then what was never counted since the first case."""
    today = work.now().astimezone(zone()).date()
    first = Case.objects.order_by().aggregate(at=Min("created_at"))["at"]
    known = set(Day.objects.values_list("date", flat=True))
    age = (today - first.astimezone(zone()).date()).days if first else 0
    for back in range(max(age + 1, ANEW)):
        day = today - timedelta(days=back)
        if back < ANEW or day not in known:
            yield day


def facts_of(moments: Period) -> dict[str, Any]:
    """The fields of a Day. Each query looks up an index; none reads more than what happened in the period."""
    ended = Case.objects.filter(within("updated_at", moments), result_status__isnull=False).order_by()
    ends = list(ended.values_list("status", "result_status", "created_at", "updated_at"))
    statuses = Counter(status for status, *_ in ends)
    took = [
        (ended_at - created_at).total_seconds()
        for _, result, created_at, ended_at in ends
        if result == ResultStatus.GOAL_ACHIEVED
    ]
    waits = answer_waits(within("resolved_at", moments))
    calls, tokens, cost = model_use(moments)
    return {
        "created": Case.objects.filter(within("created_at", moments)).order_by().count(),
        "completed": statuses[Status.COMPLETED],
        "failed": statuses[Status.FAILED],
        "ends": dict(Counter(result for _, result, *_ in ends)),
        "sent": Message.objects.filter(within("sent_at", moments)).order_by().count(),
        "received": Message.objects.filter(within("created_at", moments), direction=Direction.IN).order_by().count(),
        "asked": InputRequest.objects.filter(within("requested_at", moments)).order_by().count(),
        "answered": len(waits),
        "answer_median_seconds": median(waits),
        "answer_p90_seconds": percentile(waits, 90),
        "completion_median_seconds": median(took),
        "model_calls": calls,
        "model_tokens": tokens,
        "model_cost": cost,
    }


def answer_waits(answered: Q) -> list[float]:
    """How many seconds each answered question had waited."""
    rows = InputRequest.objects.filter(answered, status=RequestStatus.RESOLVED, resolved_at__isnull=False).order_by()
    times = rows.values_list("requested_at", "resolved_at")
    return [(resolved_at - requested_at).total_seconds() for requested_at, resolved_at in times if resolved_at]


def model_use(moments: Period) -> tuple[int, int, Decimal]:
    """Calls of models, their tokens and what they cost, by whoever calls models (OFFLOAD_MODEL_USE)."""
    use: tuple[int, int, Decimal] = import_string(settings.OFFLOAD_MODEL_USE)(*moments)
    return use
