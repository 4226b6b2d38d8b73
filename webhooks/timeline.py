"""What the page of a case shows of its webhooks; named in settings.OFFLOAD_TIMELINE_SOURCES."""

from collections.abc import Iterable

from django.urls import reverse

from cases.admin.lines import WEBHOOKS, Line, Link, Part
from cases.models import Case
from webhooks.admin.health import EVENTS
from webhooks.listeners import origin
from webhooks.models import Attempt, Delivery, DeliveryState, Endpoint

MAX_SAID = 500  # characters of what an endpoint has answered
PERMISSION = "webhooks.view_delivery"


def of_case(case: Case, most: int) -> Part:
    """The case's deliveries and their attempts, the newest `most` of each, and its endpoint."""
    newest = Delivery.objects.filter(case=case).defer("body").select_related("endpoint")
    deliveries = {delivery.pk: delivery for delivery in newest.order_by("-sequence")[:most]}
    attempts = Attempt.objects.filter(delivery__in=deliveries).defer("response_headers").order_by("-started_at")[:most]
    lines = [_of_delivery(delivery) for delivery in deliveries.values()]
    lines += [_of_attempt(attempt, deliveries[attempt.delivery_id]) for attempt in attempts]
    return Part(lines, _links(case, deliveries.values()))


def _of_delivery(delivery: Delivery) -> Line:
    return Line(
        at=delivery.created_at,
        words=f"The client is to hear that {_event(delivery)}: {_state(delivery)}",
        kind=WEBHOOKS,
        said=delivery.note,
        links=[_link(delivery)],
        is_urgent=delivery.state in (DeliveryState.EXHAUSTED, DeliveryState.FAILED),
    )


def _event(delivery: Delivery) -> str:
    """What the client is told of, within a sentence; a kind that has no words by its name."""
    words = EVENTS.get(delivery.event_type)
    return f"{words[0].lower()}{words[1:]}" if words else f"there is “{delivery.event_type}”"


def _state(delivery: Delivery) -> str:
    attempts = "" if delivery.attempt_count < 2 else f", after {delivery.attempt_count} attempts"
    return f"{delivery.get_state_display()}{attempts}"


def _of_attempt(attempt: Attempt, delivery: Delivery) -> Line:
    said = attempt.error or (attempt.response_body if _failed(attempt) else "")
    return Line(
        at=attempt.started_at,
        words=f"Attempt {attempt.number} to tell that {_event(delivery)}: {_answer(attempt)}",
        kind=WEBHOOKS,
        who=delivery.endpoint.shown,
        said=said[:MAX_SAID],
        links=[_link(delivery)],
    )


def _failed(attempt: Attempt) -> bool:
    return attempt.status is None or not 200 <= attempt.status < 300


def _answer(attempt: Attempt) -> str:
    took = f"after {attempt.duration_ms / 1000:.1f} s"
    return f"no answer, {took}" if attempt.status is None else f"answered {attempt.status} {took}"


def _link(delivery: Delivery) -> Link:
    return Link("the webhook", reverse("admin:webhooks_delivery_change", args=[delivery.pk]), PERMISSION)


def _links(case: Case, deliveries: Iterable[Delivery]) -> list[Link]:
    """To the endpoint that the case's webhooks go to, where anything has been told there."""
    if not case.client_webhook_url:
        return []
    theirs = origin(case.client_webhook_url)
    told = [delivery.endpoint for delivery in deliveries if delivery.endpoint.origin == theirs]
    endpoint = told[0] if told else Endpoint.objects.filter(client_id=case.client_id, origin=theirs).first()
    if endpoint is None:
        return []
    state = ", parked: it gets nothing" if endpoint.is_parked else ""
    url = reverse("admin:webhooks_endpoint_change", args=[endpoint.pk])
    return [Link(f"The endpoint {endpoint.shown}{state}", url, "webhooks.view_endpoint")]
