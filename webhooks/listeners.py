"""How the timeline of a case becomes deliveries; named in settings.OFFLOAD_EVENT_LISTENERS."""

from urllib.parse import urlsplit

from django.db.models import Max

from cases import work
from cases.models import Case, Event, Purpose
from webhooks import payloads
from webhooks.models import Delivery, DeliveryState, Endpoint


def enqueue(case: Case, event: Event) -> None:
    """Freeze the event's body and put it behind what the client has still to hear of this case.

    For a case that the caller holds locked, with all its fields set: sequence and body are taken from what stands. For
    an endpoint that is parked it is kept without being sent.
    """
    if not case.client_webhook_url:
        return
    endpoint = _endpoint(case)
    # An earlier delivery may be about to end. Its row lock decides who comes first: either it sees this one and frees
    # it, or this one sees that it has ended.
    list(Delivery.objects.waiting(case.pk).select_for_update())
    delivery = Delivery(
        client_id=case.client_id,
        case=case,
        endpoint=endpoint,
        timeline_event=event,
        event_id=payloads.event_id(case, event),
        event_type=event.type,
        url=case.client_webhook_url,
        body=payloads.encode(payloads.build(case, event)),
        sequence=1 + (case.deliveries.aggregate(last=Max("sequence"))["last"] or 0),
        state=DeliveryState.PARKED if endpoint.is_parked else DeliveryState.WAITING,
        created_at=case.now,
        next_attempt_at=case.now,
    )
    delivery.now = case.now
    work.reschedule(delivery)
    delivery.save(force_insert=True)


def enqueue_if_asked_for(case: Case, event: Event) -> None:
    """As `enqueue`, for the events that a client hears of only if it has asked for them.

    Of a case that has ended, and of mail that clients do not see, nothing is told.
    """
    is_hidden = event.data.get("purpose") in {Purpose.DELAY, Purpose.REPORT}
    if not case.is_terminal and not is_hidden and event.type in case.client.event_types:
        enqueue(case, event)


def _endpoint(case: Case) -> Endpoint:
    endpoint, _ = Endpoint.objects.get_or_create(
        client_id=case.client_id, origin=origin(case.client_webhook_url or ""), defaults={"created_at": case.now}
    )
    # Whoever takes it back looks for what was kept: this event must be among that, or find it taken back.
    return Endpoint.objects.locked(endpoint.pk) if endpoint.is_parked else endpoint


def origin(url: str) -> str:
    """`https://host:port` of a URL, "" where it has none: a bad URL must not undo the change that it would tell of."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (ValueError, KeyError):
        return ""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{port}" if host and len(host) <= 255 else ""
