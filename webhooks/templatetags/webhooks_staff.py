"""What the staff's pages of this room need in templates."""

from typing import Any

from django import template
from django.http import HttpRequest
from django.urls import reverse

from cases.permissions import may_see
from webhooks.models import Delivery, DeliveryState, Endpoint

register = template.Library()

LISTS = (
    (DeliveryState.EXHAUSTED, "webhooks given up after the last attempt"),
    (DeliveryState.FAILED, "webhooks that could not be attempted"),
)


@register.simple_tag
def waiting_deliveries(request: HttpRequest) -> list[dict[str, Any]]:
    """What waits in this room, in the shape of `waiting_for_staff`; what needs nobody is left out."""
    waiting = []
    for state, words in LISTS:
        count = Delivery.objects.filter(state=state).count() if may_see(request) else 0
        if count:
            url = f"{reverse('admin:webhooks_delivery_changelist')}?state__exact={state}"
            waiting.append({"words": words, "count": count, "url": url, "is_urgent": state == DeliveryState.FAILED})
    parked = Endpoint.objects.filter(parked_at__isnull=False).count() if may_see(request) else 0
    if parked:
        url = f"{reverse('admin:webhooks_endpoint_changelist')}?parked_at__isempty=0"
        waiting.append({"words": "endpoints that get no webhooks", "count": parked, "url": url, "is_urgent": True})
    return waiting
