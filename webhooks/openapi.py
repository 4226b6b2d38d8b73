"""The events that clients get, as the OpenAPI document's `webhooks`; payloads.py builds what is described here."""

from typing import Any

from drf_spectacular.utils import OpenApiResponse, OpenApiWebhook, extend_schema, extend_schema_field
from rest_framework import serializers

from cases.fields import AnyObject
from cases.models import Channel, ResultStatus, Status
from cases.resources import OFFERED, AttachmentMetadata, DraftContent, Milliseconds, Result

OPEN = [Status.CREATED.value, Status.RUNNING.value, Status.INPUT_NEEDED.value]
FAILURES = [value for value in ResultStatus.values if value != ResultStatus.GOAL_ACHIEVED]
TAKEN = OpenApiResponse(
    description="Any 2xx within 15 seconds: the event has arrived. Anything else is a failed attempt, to be repeated."
)


def constant(value: str) -> Any:
    """A text that is always the same one."""
    return extend_schema_field({"type": "string", "const": value})(type("Constant", (serializers.CharField,), {}))


class EventData(serializers.Serializer[Any]):
    """What every event says of its case. What was not given is absent."""

    caseId = serializers.UUIDField()
    channel = serializers.ChoiceField(choices=Channel.choices)
    attemptCount = serializers.IntegerField(help_text="Messages sent, replies included.")
    attachments = AttachmentMetadata(many=True)
    clientReferenceId = serializers.CharField(required=False)
    metadata = AnyObject(required=False, help_text="As it was given.")


class CaseCompletedData(EventData):
    status = constant("COMPLETED")()
    resultStatus = constant("goal_achieved")()
    result = Result(required=False)


class CaseFailedData(EventData):
    status = constant("FAILED")()
    resultStatus = serializers.ChoiceField(choices=FAILURES)
    failureReason = serializers.CharField(allow_null=True, help_text="A sentence for people.")


class QuestionData(EventData):
    status = constant("INPUT_NEEDED")()
    inputRequest = serializers.CharField(help_text="The question.")
    inputRequestId = serializers.UUIDField(help_text="What POST /cases/{id}/input names.")
    inputRequestStatus = constant("PENDING")()
    inputRequestedAt = Milliseconds()
    inputRequestOptions = serializers.ListField(child=serializers.CharField(), required=False, help_text=OFFERED)
    inputRequestAnswerSchema = AnyObject(required=False, help_text=OFFERED)


class OpenCaseData(EventData):
    status = serializers.ChoiceField(choices=OPEN)


class MessageData(OpenCaseData):
    messageId = serializers.UUIDField(help_text="The `id` that GET /cases/{id}/messages has.")


class DraftData(OpenCaseData):
    messageId = serializers.UUIDField(help_text="The draft's `id`.")
    draft = DraftContent()


# `data` is a field of each kind: REST framework takes fields off the class, whose property of that name stays.
class Event(serializers.Serializer[Any]):
    event_id = serializers.CharField(help_text="Tells repetitions; the header webhook-id is the same.")
    timestamp = serializers.IntegerField(
        help_text="The case's updatedAt at that change, in Unix milliseconds; not the time of sending."
    )


class CaseCompletedEvent(Event):
    event_type = constant("case.completed")()
    data = CaseCompletedData()  # type: ignore[assignment]


class CaseFailedEvent(Event):
    event_type = constant("case.failed")()
    data = CaseFailedData()  # type: ignore[assignment]


class CaseInputNeededEvent(Event):
    event_type = constant("case.input_needed")()
    data = QuestionData()  # type: ignore[assignment]


class CaseCreatedEvent(Event):
    event_type = constant("case.created")()
    data = OpenCaseData()  # type: ignore[assignment]


class CaseInputOverdueEvent(Event):
    event_type = constant("case.input_overdue")()
    data = QuestionData()  # type: ignore[assignment]


class CaseDraftReadyEvent(Event):
    event_type = constant("case.draft_ready")()
    data = DraftData()  # type: ignore[assignment]


class MessageSentEvent(Event):
    event_type = constant("message.sent")()
    data = MessageData()  # type: ignore[assignment]


class MessageReceivedEvent(Event):
    event_type = constant("message.received")()
    data = MessageData()  # type: ignore[assignment]


class WebhookTestEvent(Event):
    event_type = constant("webhook.test")()
    data = AnyObject(help_text="Empty: there is no case.")  # type: ignore[assignment]


def _webhook(name: str, body: type[Event], summary: str, description: str = "") -> OpenApiWebhook:
    described: Any = extend_schema(
        summary=summary, description=description, tags=["webhooks"], request=body, responses={"2XX": TAKEN}
    )
    return OpenApiWebhook(name, described)


IF_ASKED_FOR = "Only for clients that have asked for it, and never after the end of a case."
WEBHOOKS = [
    _webhook("case.completed", CaseCompletedEvent, "The goal is reached"),
    _webhook("case.failed", CaseFailedEvent, "The case can't go on"),
    _webhook("case.input_needed", CaseInputNeededEvent, "A human must decide"),
    _webhook("case.created", CaseCreatedEvent, "A case has been created", IF_ASKED_FOR),
    _webhook("case.input_overdue", CaseInputOverdueEvent, "A question has waited too long", IF_ASKED_FOR),
    _webhook("case.draft_ready", CaseDraftReadyEvent, "A mail waits to be approved", IF_ASKED_FOR),
    _webhook("message.sent", MessageSentEvent, "A mail has gone out", IF_ASKED_FOR),
    _webhook("message.received", MessageReceivedEvent, "A mail has come in", IF_ASKED_FOR),
    _webhook("webhook.test", WebhookTestEvent, "A test", "What POST /webhooks/test sends."),
]
