"""What the page of a client shows of its webhooks; named in settings.OFFLOAD_CLIENT_SECTIONS."""

from typing import Any

from django.db.models import F
from django.http import HttpRequest
from django.utils import timezone

from cases.admin.clients import ISSUE
from cases.models import Client
from cases.permissions import may_act, may_see
from webhooks.admin.health import healths, with_queues
from webhooks.models import Delivery, Endpoint

MAX_ENDPOINTS = 10


def of_client(request: HttpRequest, client: Client) -> dict[str, Any] | None:
    """Its endpoints and its signing secret, for those who may see webhooks."""
    if not may_see(request):
        return None
    now = timezone.now()
    endpoints = with_queues(Endpoint.objects.filter(client=client)).order_by(
        F("parked_at").asc(nulls_last=True), "-failures", "origin"
    )
    secrets = list(client.signing_secrets.all())
    return {
        "template": "admin/webhooks/_of_client.html",
        "healths": healths(list(endpoints[:MAX_ENDPOINTS]), Delivery.objects.filter(client=client), now),
        "secret": next((secret for secret in secrets if secret.retires_at is None), None),
        "retiring": [secret for secret in secrets if secret.retires_at and secret.retires_at > now],
        "may_test": may_act(request),
        "may_rotate": request.user.has_perm(ISSUE),
    }
