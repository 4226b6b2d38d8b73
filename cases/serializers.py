"""What clients send, in the contract's words. Unknown fields are ignored at every level."""

from typing import Any, ClassVar

from django.conf import settings
from django.utils.module_loading import import_string
from rest_framework import serializers

from cases.fields import (
    AnyObject,
    FutureTime,
    Language,
    Line,
    ResultSchema,
    Text,
    TextMap,
    TextOrObject,
    WebhookUrl,
    Whole,
    Zone,
    check_mail_address,
    translated,
)
from cases.models import Channel

MAX_HOURS = 24 * 366
LONGEST_NAME = 300  # characters; names stand in headers, and mail servers refuse long ones


class Goal(serializers.Serializer[Any]):
    objective = Text(help_text="What is to be reached, in a sentence or more.")
    knowledge = TextOrObject(required=False, help_text="What the agent may use and tell.")


class Counterparty(serializers.Serializer[Any]):
    address = Line(max_length=254, help_text="With channel EMAIL an e-mail address. A domain may be internationalised.")
    name = Line(max_length=LONGEST_NAME)
    company = Text(required=False, allow_blank=True)
    timezone = Zone(required=False, help_text="IANA name; follow-ups keep to working hours there.")
    customData = TextMap(required=False)

    def validate_address(self, address: str) -> str:
        if self.root.initial_data.get("channel") == Channel.EMAIL:
            check_mail_address(address)
        return address


class SenderPersona(serializers.Serializer[Any]):
    name = Line(max_length=LONGEST_NAME)
    role = Text(required=False, allow_blank=True)
    company = Text(required=False, allow_blank=True)
    tone = Text(required=False, allow_blank=True)


class NewCase(serializers.Serializer[Any]):
    """The body of POST /cases; the context has the `key` that it came with."""

    channel = serializers.ChoiceField(
        choices=Channel.choices, error_messages={"invalid_choice": "Must be EMAIL or SMS."}
    )
    goal = Goal()
    counterparty = Counterparty()
    senderPersona = SenderPersona()
    clientReferenceId = Text(required=False, allow_blank=True)
    constraints = serializers.ListField(
        child=Text(allow_blank=True), required=False, help_text="Hard rules for every message."
    )
    language = Language(required=False, help_text="BCP 47; of the first mail, later ones follow the counterparty's.")
    maxAttempts = Whole(required=False, default=3, min_value=0)
    followUpDelayHours = Whole(required=False, default=72, min_value=1)
    resultSchema = ResultSchema(
        required=False, help_text="JSON Schema (2020-12 unless $schema says else) of the result."
    )
    deadlineAt = FutureTime(required=False, help_text="Unix time in milliseconds; past it the case fails.")
    inputTimeoutHours = Whole(
        required=False, min_value=1, max_value=MAX_HOURS, help_text="People are reminded of a question then."
    )
    clientWebhookUrl = WebhookUrl(required=False)
    metadata = AnyObject(required=False, help_text="Comes back in webhooks, never read.")

    def validate_channel(self, channel: str) -> str:
        """Refuse what settings.OFFLOAD_CHANNEL_CHECK objects to: a case that nobody could ever advance."""
        translated(import_string(settings.OFFLOAD_CHANNEL_CHECK), channel, is_test=self.context["key"].is_test)
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
            "language": valid.get("language"),
            "max_attempts": valid["maxAttempts"],
            "follow_up_delay_hours": valid["followUpDelayHours"],
            "deadline_at": valid.get("deadlineAt"),
            "input_timeout_hours": valid.get("inputTimeoutHours"),
            "result_schema": valid.get("resultSchema"),
            "client_webhook_url": valid.get("clientWebhookUrl"),
            "metadata": valid.get("metadata"),
        }


class Answer(serializers.Serializer[Any]):
    """The body of POST /cases/{id}/input; both are trimmed."""

    inputRequestId = Text(trimmed=True)
    providedContext = Text(trimmed=True)


class GoalChange(serializers.Serializer[Any]):
    knowledge = TextOrObject(required=False)


class CounterpartyChange(serializers.Serializer[Any]):
    address = Line(max_length=254, required=False, help_text="Only while nothing has been sent.")

    def validate_address(self, address: str) -> str:
        if self.context["case"].channel == Channel.EMAIL:
            check_mail_address(address)
        return address


class CaseChange(serializers.Serializer[Any]):
    """The body of PATCH /cases/{id}; the context has the `case`."""

    goal = GoalChange(required=False)
    counterparty = CounterpartyChange(required=False)
    constraints = serializers.ListField(child=Text(allow_blank=True), required=False)
    followUpDelayHours = Whole(required=False, min_value=1)
    deadlineAt = FutureTime(required=False, help_text="Unix time in milliseconds.")
    clientWebhookUrl = WebhookUrl(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not any(value != {} for value in attrs.values()):
            raise serializers.ValidationError(f"Name what is to change: {', '.join(CHANGEABLE)}.")
        return attrs

    def changes(self) -> dict[str, Any]:
        """What changes, in the words of cases/changes.py."""
        valid = dict(self.validated_data)
        for part in ("goal", "counterparty"):
            valid |= {f"{part}.{name}": value for name, value in valid.get(part, {}).items()}
        return {name: valid[field] for field, name in CHANGEABLE.items() if field in valid}


class ClientChange(serializers.Serializer[Any]):
    """The body of PATCH /client. What may be switched off takes null."""

    defaultWebhookUrl = WebhookUrl(required=False, allow_null=True, help_text="Of cases that name none.")
    settleSeconds = Whole(
        required=False, allow_null=True, min_value=0, max_value=3600, help_text="Null: what the service is set to."
    )
    reminderHours = Whole(
        required=False, allow_null=True, min_value=1, max_value=MAX_HOURS, help_text="Null: nobody is reminded."
    )

    FIELDS: ClassVar = {
        "defaultWebhookUrl": "default_webhook_url",
        "settleSeconds": "settle_seconds",
        "reminderHours": "reminder_hours",
    }

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs:
            raise serializers.ValidationError(f"Name what is to change: {', '.join(self.FIELDS)}.")
        return attrs


class GoalAnew(GoalChange):
    objective = Text(required=False)


class Reopening(serializers.Serializer[Any]):
    """The body of POST /cases/{id}/reopen: what the new case goes by instead of what the old one did."""

    goal = GoalAnew(required=False)
    constraints = serializers.ListField(child=Text(allow_blank=True), required=False)


CHANGEABLE = {
    "goal.knowledge": "knowledge",
    "counterparty.address": "address",
    "constraints": "constraints",
    "followUpDelayHours": "follow_up_delay_hours",
    "deadlineAt": "deadline_at",
    "clientWebhookUrl": "client_webhook_url",
}
