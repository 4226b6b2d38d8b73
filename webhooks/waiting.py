"""What waits for people in this room; see cases/admin/waiting.py."""

from django.http import HttpRequest
from django.urls import reverse

from cases.admin.access import may_see
from cases.admin.waiting import Source, Urgency
from webhooks.models import Delivery, DeliveryState, Endpoint

DELIVERIES = (
    (DeliveryState.FAILED, "that could not be attempted", Urgency.BROKEN),
    (DeliveryState.EXHAUSTED, "given up after the last attempt", Urgency.WORTH_A_LOOK),
)


def of_webhooks(request: HttpRequest) -> list[Source]:
    """Endpoints that get nothing, and events that did not arrive."""
    if not may_see(request):
        return []
    parked = Source(
        name="parked-endpoints",
        one="endpoint that gets no webhooks",
        many="endpoints that get no webhooks",
        rows=Endpoint.objects.filter(parked_at__isnull=False),
        url=f"{reverse('admin:webhooks_endpoint_changelist')}?parked_at__isempty=0",
        urgency=Urgency.BROKEN,
        since="parked_at",
    )
    return [parked, *(_deliveries(*about) for about in DELIVERIES)]


def _deliveries(state: DeliveryState, words: str, urgency: Urgency) -> Source:
    return Source(
        name=f"{state.lower()}-webhooks",
        one=f"webhook {words}",
        many=f"webhooks {words}",
        rows=Delivery.objects.filter(state=state),
        url=f"{reverse('admin:webhooks_delivery_changelist')}?state__exact={state}",
        urgency=urgency,
        since="created_at",
    )
