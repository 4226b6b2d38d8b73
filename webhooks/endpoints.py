"""How an endpoint is doing, and when nothing is sent to it any more.

One that answers 410 Gone, or fails for five days without a single success, is parked: what waits for it and whatever
happens from then on is kept without being sent. One success, of a delivery that somebody asks for or of a test, or a
person takes it back; what was kept is sent then if that is asked for (webhooks/replay.py).

One that has kept callers waiting for nothing, twice in a row, rests: it is called only now and then, by one delivery at
a time, until one succeeds. Else a few that hang would occupy the threads that all the others need.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.urls import reverse

from cases import leases, work
from cases.events import record
from cases.models import Case, Event
from webhooks import order
from webhooks.connections import LIMIT_SECONDS
from webhooks.models import DeliveryState, Endpoint
from webhooks.sender import Outcome

PARKED_AFTER = timedelta(days=5)  # of failures only
GONE = 410
LONG = timedelta(seconds=1)  # a call that fails within this time has occupied nobody
LONGEST_REST = timedelta(minutes=5)
TRIAL = timedelta(seconds=LIMIT_SECONDS + 5)  # one call of an endpoint that rests, and the record of what came of it
SAME_SUCCESS = timedelta(seconds=10)  # within it one success is as good as another: each would lock the row
WELL = {"failing_since": None, "failures": 0, "rests_until": None, "parked_at": None, "parked_reason": ""}


def note(endpoint: Endpoint, outcome: Outcome, *, at: datetime, case: Case) -> None:
    """Count what came of an attempt, and park the endpoint if that was enough; for case and endpoint held locked."""
    if outcome.is_success:
        succeed(endpoint, at)
        return
    endpoint.last_failure_at = at
    endpoint.failing_since = endpoint.failing_since or at
    endpoint.failures += 1
    endpoint.rests_until = _rest(endpoint, timedelta(milliseconds=outcome.duration_ms), at)
    reason = None if endpoint.is_parked else _why_to_park(endpoint, outcome, at)
    endpoint.save()
    if reason:
        _park(endpoint, reason, at)
        page = reverse("admin:webhooks_endpoint_change", args=[endpoint.pk])
        record(case, "webhook.parked", origin=endpoint.origin, reason=reason, page=page)


def succeed(endpoint: Endpoint, at: datetime) -> None:
    """It answered a call well: whatever was held against it is forgotten. For an endpoint that is held locked."""
    endpoint.last_success_at = at
    _clear(endpoint)


def is_news(endpoint: Endpoint, at: datetime) -> bool:
    """Whether a success at this time tells something about the endpoint, as it was read a moment ago."""
    is_well = not endpoint.failures and endpoint.rests_until is None and endpoint.parked_at is None
    return not is_well or endpoint.last_success_at is None or at - endpoint.last_success_at > SAME_SUCCESS


def succeed_together(pks: Collection[int]) -> None:
    """As `succeed`, for many, none of which is held."""
    now = work.now()
    with work.transaction():
        rows = Endpoint.objects.filter(pk__in=pks)
        list(rows.order_by("pk").select_for_update(of=("self",), no_key=True).values_list("pk"))
        rows.update(last_success_at=now, **WELL)


# --- Rests ----------------------------------------------------------------------------------------


def _rest(endpoint: Endpoint, waited: timedelta, at: datetime) -> datetime | None:
    """Until when it is left alone after a failure that took so long: longer with each one in a row."""
    if waited < LONG or endpoint.failures < 2:
        return None
    return at + min(waited * (1 << min(endpoint.failures, 16)), LONGEST_REST)


def resting() -> "QuerySet[Endpoint]":
    """Those that are not to be called now."""
    return Endpoint.objects.filter(rests_until__gt=leases.current_time())


def may_try(endpoint_pk: int) -> bool:
    """For an endpoint that has rested: whether the caller is the one to try it. For the others it goes on resting."""
    now = work.now()
    with work.transaction():
        return bool(Endpoint.objects.filter(pk=endpoint_pk, rests_until__lte=now).update(rests_until=now + TRIAL))


def wake(endpoint_pk: int) -> None:
    """Let it be called at once, since somebody asks for that."""
    Endpoint.objects.filter(pk=endpoint_pk, rests_until__isnull=False).update(rests_until=None)


def _why_to_park(endpoint: Endpoint, outcome: Outcome, at: datetime) -> str | None:
    if outcome.status == GONE:
        return "It answered 410 Gone."
    if endpoint.failing_since and at - endpoint.failing_since >= PARKED_AFTER:
        return f"Every attempt has failed for {PARKED_AFTER.days} days, {endpoint.failures} of them."
    return None


def park(endpoint_pk: int, reason: str) -> bool:
    """Send it nothing more; whether it was not parked already."""
    at = work.now()
    with work.transaction():
        endpoint = Endpoint.objects.locked(endpoint_pk)
        if endpoint.is_parked:
            return False
        _park(endpoint, reason, at)
        return True


def _park(endpoint: Endpoint, reason: str, at: datetime) -> None:
    endpoint.parked_at, endpoint.parked_reason = at, reason
    endpoint.save()
    order.end_all(endpoint, DeliveryState.PARKED)


def unpark(endpoint_pk: int) -> bool:
    """Send it again what happens from now on; whether it was parked. Its clock of failures begins anew."""
    with work.transaction():
        endpoint = Endpoint.objects.locked(endpoint_pk)
        was_parked = endpoint.is_parked
        _clear(endpoint)
        return was_parked


def is_still_parked(event: Event) -> bool:
    """Whether the endpoint that a `webhook.parked` tells of has not been taken back since."""
    taken_back = Endpoint.objects.filter(client=event.case.client_id, origin=event.data["origin"], parked_at=None)
    return not taken_back.exists()


def _clear(endpoint: Endpoint) -> None:
    for name, value in WELL.items():
        setattr(endpoint, name, value)
    endpoint.save()
