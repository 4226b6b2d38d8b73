"""What clients see of their webhooks, in the API's words."""

from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from cases.payload_parts import milliseconds
from cases.resources import Milliseconds, Shown
from webhooks.models import Delivery, DeliveryState, Endpoint


@extend_schema_field(
    {
        "type": ["integer", "null"],
        "format": "int64",
        "description": "Unix time in milliseconds; null: it has ended, or waits for an earlier event of its case.",
    }
)
class NextAttempt(Shown):
    def to_representation(self, delivery: Delivery) -> int | None:
        return milliseconds(delivery.due_at) if delivery.due_at else None


class WithoutNone(serializers.Serializer[Any]):
    """What there is not is absent, for the fields named in ABSENT_IF_NONE."""

    ABSENT_IF_NONE: tuple[str, ...] = ()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        shown = super().to_representation(instance)
        return {name: value for name, value in shown.items() if value is not None or name not in self.ABSENT_IF_NONE}


class WebhookEvent(WithoutNone):
    eventId = serializers.CharField(source="event_id")
    eventType = serializers.CharField(source="event_type")
    caseId = serializers.UUIDField(source="case_id")
    state = serializers.ChoiceField(
        choices=DeliveryState.choices,
        help_text="DELIVERED; WAITING: it will be sent by itself; EXHAUSTED: given up after the last attempt; PARKED: "
        "kept, since its endpoint is parked; FAILED: the service could not send it, and its staff looks at it.",
    )
    url = serializers.CharField()
    attemptCount = serializers.IntegerField(source="attempt_count")
    createdAt = Milliseconds(source="created_at")
    nextAttemptAt = NextAttempt(source="*")
    deliveredAt = Milliseconds(source="delivered_at", required=False)

    ABSENT_IF_NONE = ("deliveredAt",)


class WebhookAttempt(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    startedAt = Milliseconds(source="started_at")
    durationMs = serializers.IntegerField(source="duration_ms")
    status = serializers.IntegerField(allow_null=True, help_text="HTTP status; null: no answer came.")
    error = serializers.CharField(allow_blank=True, help_text="What went wrong, in words; may be empty.")
    responseBody = serializers.CharField(source="response_body", allow_blank=True, help_text="Its first 4 KB.")


@extend_schema_serializer(component_name="WebhookEventWithAttempts")
class WebhookEventWithAttempts(WebhookEvent):
    attempts = WebhookAttempt(many=True)


class WebhookEvents(serializers.Serializer[Any]):
    events = WebhookEvent(many=True)
    nextCursor = serializers.CharField(allow_null=True)


class EventsOfCase(serializers.Serializer[Any]):
    events = WebhookEventWithAttempts(many=True)


class WebhookEndpoint(WithoutNone):
    origin = serializers.CharField(help_text="Scheme, host and port of your URLs: what shares them fails together.")
    state = serializers.SerializerMethodField()
    consecutiveFailures = serializers.IntegerField(source="failures")
    failingSince = Milliseconds(source="failing_since", required=False)
    lastSuccessAt = Milliseconds(source="last_success_at", required=False)
    lastFailureAt = Milliseconds(source="last_failure_at", required=False)
    parkedAt = Milliseconds(source="parked_at", required=False)
    parkedReason = serializers.CharField(source="parked_reason", required=False)
    parkedEventCount = serializers.IntegerField(source="parked_count", help_text="Events that are kept for it.")

    ABSENT_IF_NONE = ("failingSince", "lastSuccessAt", "lastFailureAt", "parkedAt", "parkedReason")

    @extend_schema_field({"type": "string", "enum": ["OK", "FAILING", "PARKED"]})
    def get_state(self, endpoint: Endpoint) -> str:
        if endpoint.is_parked:
            return "PARKED"
        return "FAILING" if endpoint.failing_since else "OK"

    def to_representation(self, instance: Endpoint) -> dict[str, Any]:
        shown = super().to_representation(instance)
        if not instance.is_parked:
            del shown["parkedReason"]
        return shown


class WebhookEndpoints(serializers.Serializer[Any]):
    endpoints = WebhookEndpoint(many=True)


class TestOutcome(serializers.Serializer[Any]):
    """What the endpoint said to a test."""

    eventId = serializers.CharField(source="event_id")
    url = serializers.CharField()
    delivered = serializers.BooleanField(source="outcome.is_success")
    status = serializers.IntegerField(source="outcome.status", allow_null=True)
    durationMs = serializers.IntegerField(source="outcome.duration_ms")
    error = serializers.CharField(source="outcome.error", allow_blank=True)
    responseBody = serializers.CharField(source="outcome.text", allow_blank=True, help_text="Its first 4 KB.")
    replayedCount = serializers.IntegerField(source="replayed", help_text="Kept events that are being sent by now.")
