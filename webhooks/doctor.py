"""What may be wrong on the way to clients: names, secrets, endpoints that fail."""

import socket
from collections.abc import Iterator

from django.conf import settings
from django.db.models import Count

from cases.examination import Examination, Finding, fail, ok, warn
from cases.models import Client
from webhooks import addresses, signing
from webhooks.errors import SecretUnreadable
from webhooks.models import Delivery, DeliveryState, Endpoint, SigningSecret, shown

PROBE = "example.com"


def secrets_can_be_read(examination: Examination) -> Iterator[Finding]:
    """Each client's signing secrets, under SECRET_KEY or one of its fallbacks."""
    unreadable = []
    for client in Client.objects.filter(signing_secrets__isnull=False).distinct():
        try:
            signing.readable(client)
        except SecretUnreadable:
            unreadable.append(client.name)
    if unreadable:
        remedy = "Put the earlier key behind the first of OFFLOAD_ENCRYPTION_KEYS, or into SECRET_KEY_FALLBACKS."
        yield fail("webhook secrets", f"unreadable for {len(unreadable)} clients, such as {unreadable[0]}", remedy)
    else:
        yield ok("webhook secrets", f"{SigningSecret.objects.count()}, all readable")


def names_are_resolved(examination: Examination) -> Iterator[Finding]:
    """Webhooks need a DNS; and the networks that are opened to them are worth a look."""
    try:
        socket.getaddrinfo(PROBE, 443)
    except OSError:
        yield warn("webhooks", f"the name {PROBE} is not resolved", "Let this machine ask a DNS server.")
    else:
        yield ok("webhooks", "names are resolved")
    for network in addresses.networks(tuple(settings.OFFLOAD_WEBHOOK_ALLOW_CIDRS)):
        if network.num_addresses > 65_536:
            remedy = "Name the receivers' own networks in OFFLOAD_WEBHOOK_ALLOW_CIDRS."
            yield warn("webhooks", f"{network} is wide open to clients' URLs", remedy)


def deliveries_arrive(examination: Examination) -> Iterator[Finding]:
    """Events that were given up."""
    lost = Delivery.objects.filter(state__in=[DeliveryState.EXHAUSTED, DeliveryState.FAILED])
    worst = lost.values_list("endpoint__origin").annotate(count=Count("pk")).order_by("-count").first()
    if worst:
        what = f"{lost.count()} events were given up, {worst[1]} of them for {shown(worst[0])}"
        yield warn("deliveries", what, "See Deliveries in the admin; tell the client.")
    else:
        yield ok("deliveries", "none was given up")


def endpoints_are_served(examination: Examination) -> Iterator[Finding]:
    """Endpoints that get no webhooks until somebody takes them back."""
    parked = Endpoint.objects.filter(parked_at__isnull=False).select_related("client").order_by("parked_at")
    if first := parked.first():
        kept = Delivery.objects.filter(state=DeliveryState.PARKED).count()
        what = f"{parked.count()} are parked, such as {first.shown} of {first.client}; {kept} events are kept for them"
        yield warn("endpoints", what, "Tell the client; take them back in the admin (Endpoints).")
    else:
        yield ok("endpoints", "none is parked")
