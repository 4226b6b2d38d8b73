"""How an endpoint is doing, and when nothing is sent to it any more.

One that answers 410 Gone, or fails for five days without a single success, is parked: what waits for it and whatever
happens from then on is kept without being sent. One success, of a delivery that somebody asks for or of a test, or a
person takes it back; what was kept is sent then if that is asked for (webhooks/replay.py).
"""

from datetime import datetime, timedelta

from django.urls import reverse

from cases import work
from cases.events import record
from cases.models import Case, Event
from webhooks import order
from webhooks.models import DeliveryState, Endpoint
from webhooks.sender import Outcome

PARKED_AFTER = timedelta(days=5)  # of failures only
GONE = 410


def note(endpoint: Endpoint, outcome: Outcome, *, at: datetime, case: Case) -> None:
    """Count what came of an attempt, and park the endpoint if that was enough; for case and endpoint held locked."""
    if outcome.is_success:
        succeed(endpoint, at)
        return
    endpoint.last_failure_at = at
    endpoint.failing_since = endpoint.failing_since or at
    endpoint.failures += 1
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
    endpoint.failing_since, endpoint.failures = None, 0
    endpoint.parked_at, endpoint.parked_reason = None, ""
    endpoint.save()
