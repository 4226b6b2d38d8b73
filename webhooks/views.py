"""A client's view of its webhooks: what it was told, and whether its endpoints are well."""

from typing import Any

from django.db.models import Count, Q, QuerySet
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cases.authentication import caller_of
from cases.errors import Forbidden
from cases.models import Client
from cases.openapi import codes
from cases.request_body import body_of
from cases.views import CASE_ID, NO_CASE, own_case
from webhooks import trial
from webhooks.errors import EventNotFound, TestedTooSoon
from webhooks.models import Delivery, DeliveryState
from webhooks.paging import page
from webhooks.replay import replay
from webhooks.resources import EventsOfCase, TestOutcome, WebhookEndpoints, WebhookEvent, WebhookEvents
from webhooks.serializers import EventQuery, NewTest

EVENT_ID = OpenApiParameter("event_id", str, OpenApiParameter.PATH)


def own_events(client: Client) -> QuerySet[Delivery]:
    return Delivery.objects.filter(client=client).defer("body")


def own_event(request: Request, event_id: str) -> Delivery:
    """The caller's event. Raises EventNotFound, or Forbidden for another client's."""
    delivery: Delivery | None = Delivery.objects.defer("body").filter(event_id=event_id).first()
    if delivery is None:
        raise EventNotFound
    if delivery.client_id != caller_of(request).client.pk:
        raise Forbidden("You may not see this event.")
    return delivery


class EventsView(APIView):
    """All events of a client."""

    @extend_schema(
        operation_id="listEvents",
        summary="What you were told by webhook, newest first",
        tags=["webhooks"],
        parameters=[EventQuery],
        responses={200: WebhookEvents, 404: NO_CASE},
    )
    def get(self, request: Request) -> Response:
        asked = EventQuery.of(request)
        wanted: dict[str, Any] = {}
        if "type" in asked:
            wanted["event_type"] = asked["type"]
        if "state" in asked:
            wanted["state"] = asked["state"]
        if "caseId" in asked:
            wanted["case"] = own_case(request, asked["caseId"])
        rows = own_events(caller_of(request).client).filter(**wanted)
        events, cursor = page(rows, asked["limit"], asked.get("cursor"))
        return Response(WebhookEvents({"events": events, "nextCursor": cursor}).data)


class CaseEventsView(APIView):
    """The events of one case."""

    @extend_schema(
        operation_id="listCaseEvents",
        summary="What you were told of a case, in order, with each attempt",
        tags=["webhooks"],
        parameters=[CASE_ID],
        responses={200: EventsOfCase, 404: NO_CASE},
    )
    def get(self, request: Request, case_id: str) -> Response:
        case = own_case(request, case_id)
        events = own_events(case.client).filter(case=case).prefetch_related("attempts").order_by("sequence")
        return Response(EventsOfCase({"events": events}).data)


class RedeliverView(APIView):
    """Sending an event once more."""

    @extend_schema(
        operation_id="redeliverEvent",
        summary="Send an event again: the same bytes under the same id",
        tags=["webhooks"],
        parameters=[EVENT_ID],
        request=None,
        responses={202: WebhookEvent, 404: codes("EVENT_NOT_FOUND"), 409: codes("EVENT_NOT_ENDED")},
    )
    def post(self, request: Request, event_id: str) -> Response:
        event = own_event(request, event_id)
        body_of(request, may_be_empty=True)
        return Response(WebhookEvent(replay(event.pk)).data, status=202)


class EndpointsView(APIView):
    """Where a client's webhooks go."""

    @extend_schema(
        operation_id="listEndpoints",
        summary="Your endpoints, and whether they are well",
        tags=["webhooks"],
        responses=WebhookEndpoints,
    )
    def get(self, request: Request) -> Response:
        kept = Count("deliveries", filter=Q(deliveries__state=DeliveryState.PARKED))
        endpoints = caller_of(request).client.endpoints.annotate(parked_count=kept)
        return Response(WebhookEndpoints({"endpoints": endpoints}).data)


class TestView(APIView):
    """Trying an endpoint out."""

    @extend_schema(
        operation_id="testWebhook",
        summary="Send a signed webhook.test now, and see what comes of it",
        tags=["webhooks"],
        request=NewTest,
        responses={200: TestOutcome, 429: OpenApiResponse(description="Another test was made a moment ago")},
    )
    def post(self, request: Request) -> Response:
        client = caller_of(request).client
        asked = NewTest(data=body_of(request, may_be_empty=True))
        asked.is_valid(raise_exception=True)
        url = asked.validated_data.get("url") or trial.usual_url(client)
        try:
            tried = trial.try_out(client, url, and_replay=asked.validated_data["replayParked"])
        except TestedTooSoon as error:
            raise Throttled(error.wait_seconds, str(error)) from error
        return Response(TestOutcome(tried).data)
