"""What clients send and get, in the contract's words. Unknown fields are ignored at every level."""

from datetime import UTC, datetime
from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from cases.fields import (
    AnyObject,
    Line,
    ResultSchema,
    Text,
    TextOrObject,
    WebhookUrl,
    Whole,
    Zone,
    check_mail_address,
)
from cases.models import Case, Channel, InputRequest, RequestStatus, ResultStatus, Status
from cases.payload_parts import attachment_metadata, milliseconds
from cases.transcript import transcript

NOTHING_SCHEDULED = 253402300799999  # 9999-12-31T23:59:59.999Z
CHANNELS = frozenset({Channel.EMAIL})  # those that some transport serves

# --- In ---


class Goal(serializers.Serializer[Any]):
    objective = Text(help_text="What is to be reached, in a sentence or more.")
    knowledge = TextOrObject(required=False, help_text="What the agent may use and tell.")


class Counterparty(serializers.Serializer[Any]):
    address = Line(max_length=254, help_text="With channel EMAIL an e-mail address. A domain may be internationalised.")
    name = Line()
    company = Line(required=False, allow_blank=True)
    timezone = Zone(required=False, help_text="IANA name; follow-ups keep to working hours there.")
    customData = serializers.DictField(child=Text(allow_blank=True), required=False)

    def validate_address(self, address: str) -> str:
        if self.root.initial_data.get("channel") == Channel.EMAIL:
            check_mail_address(address)
        return address

    def validate_customData(self, data: dict[str, str]) -> dict[str, str]:
        if len(data) > 100:
            raise serializers.ValidationError("At most 100 entries.")
        return data


class SenderPersona(serializers.Serializer[Any]):
    name = Line()
    role = Line(required=False, allow_blank=True)
    company = Line(required=False, allow_blank=True)
    tone = Line(required=False, allow_blank=True)


class NewCase(serializers.Serializer[Any]):
    """The body of POST /cases."""

    channel = serializers.ChoiceField(choices=Channel.choices)
    goal = Goal()
    counterparty = Counterparty()
    senderPersona = SenderPersona()
    clientReferenceId = Line(required=False, allow_blank=True, max_length=255)
    constraints = serializers.ListField(
        child=Text(allow_blank=True), required=False, max_length=100, help_text="Hard rules for every message."
    )
    maxAttempts = Whole(required=False, default=3, min_value=0, max_value=1000)
    followUpDelayHours = Whole(required=False, default=72, min_value=1, max_value=8760)
    resultSchema = ResultSchema(required=False, help_text="JSON Schema (2020-12 unless $schema says else) of the result.")
    clientWebhookUrl = WebhookUrl(required=False)
    metadata = AnyObject(required=False, help_text="Comes back in webhooks, never read.")

    def validate_channel(self, channel: str) -> str:
        if channel not in CHANNELS:
            raise serializers.ValidationError(f"No transport is configured for {channel}.")
        return channel

    def model_fields(self) -> dict[str, Any]:
        """The validated fields in the model's names; objects as they were sent, unknown keys included."""
        valid, sent = self.validated_data, self.initial_data
        return {
            "channel": valid["channel"],
            "goal": sent["goal"],
            "counterparty": sent["counterparty"],
            "counterparty_address": check_mail_address(valid["counterparty"]["address"]),
            "sender_persona": sent["senderPersona"],
            "client_reference_id": valid.get("clientReferenceId"),
            "constraints": valid.get("constraints"),
            "max_attempts": valid["maxAttempts"],
            "follow_up_delay_hours": valid["followUpDelayHours"],
            "result_schema": valid.get("resultSchema"),
            "client_webhook_url": valid.get("clientWebhookUrl"),
            "metadata": valid.get("metadata"),
        }


class Answer(serializers.Serializer[Any]):
    """The body of POST /cases/{id}/input; both are trimmed."""

    inputRequestId = Text(trim_whitespace=True)
    providedContext = Text(trim_whitespace=True)


# --- Out ---


@extend_schema_field({"type": "integer", "description": "Unix time in milliseconds."})
class Milliseconds(serializers.Field[Any, Any, Any, Any]):
    """A time; where nothing is scheduled, the last millisecond of the year 9999."""

    def get_attribute(self, instance: Any) -> Any:
        return super().get_attribute(instance) or NOTHING_SCHEDULED

    def to_representation(self, value: Any) -> int:
        return value if isinstance(value, int) else milliseconds(value)


class CaseCreated(serializers.Serializer[Any]):
    caseId = serializers.UUIDField(source="pk")


class AnswerAccepted(serializers.Serializer[Any]):
    caseId = serializers.UUIDField(source="case_id")
    inputRequestId = serializers.UUIDField(source="pk")
    accepted = serializers.SerializerMethodField()

    @extend_schema_field({"type": "boolean", "const": True})
    def get_accepted(self, _: InputRequest) -> bool:
        return True


class AttachmentMetadata(serializers.Serializer[Any]):
    attachmentId = serializers.UUIDField()
    name = serializers.CharField()
    size = serializers.IntegerField(help_text="Bytes.")
    type = serializers.CharField(help_text="MIME type.")
    messageId = serializers.CharField(help_text="Message-ID (RFC 5322) of the mail that it came with.")
    inboxId = serializers.CharField(help_text="The mailbox that it came to.")
    receivedAt = serializers.IntegerField(help_text="Unix time in milliseconds.")


class AttachmentLink(AttachmentMetadata):
    downloadUrl = serializers.URLField(help_text="Needs no key; good until expiresAt.")
    expiresAt = serializers.DateTimeField(help_text="ISO 8601 in UTC with Z.")


@extend_schema_serializer(component_name="InputRequest")
class Question(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    question = serializers.CharField()
    status = serializers.SerializerMethodField()
    requestedAt = Milliseconds(source="requested_at")

    @extend_schema_field({"type": "string", "enum": ["PENDING", "RESOLVED"]})
    def get_status(self, question: InputRequest) -> str:
        return "PENDING" if question.is_pending else "RESOLVED"


@extend_schema_serializer(component_name="Case")
class CaseView(serializers.Serializer[Any]):
    """A case as its client sees it. What was not given, or does not exist yet, is absent; inputRequest may be null."""

    caseId = serializers.UUIDField(source="pk")
    clientReferenceId = serializers.CharField(source="client_reference_id", required=False)
    status = serializers.ChoiceField(choices=Status.choices)
    createdAt = Milliseconds(source="created_at")
    updatedAt = Milliseconds(source="updated_at")
    nextActionAt = Milliseconds(source="next_action_at", help_text=f"{NOTHING_SCHEDULED} if nothing is scheduled.")
    attemptCount = serializers.IntegerField(source="attempt_count")
    maxAttempts = serializers.IntegerField(source="max_attempts")
    channel = serializers.ChoiceField(choices=Channel.choices)
    counterparty = extend_schema_field(Counterparty)(AnyObject)()
    attachments = serializers.SerializerMethodField()
    resultStatus = serializers.ChoiceField(source="result_status", choices=ResultStatus.choices, required=False)
    result = serializers.JSONField(required=False)
    goal = AnyObject()
    resultSchema = AnyObject(source="result_schema", required=False)
    senderPersona = AnyObject(source="sender_persona")
    constraints = serializers.ListField(child=serializers.CharField(), required=False)
    inputRequest = serializers.SerializerMethodField()
    conversationThread = serializers.SerializerMethodField(required=False)
