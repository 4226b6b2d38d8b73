"""What clients send, in the contract's words. Unknown fields are ignored at every level."""

from typing import Any, ClassVar

from django.conf import settings
from django.utils.module_loading import import_string
from rest_framework import serializers

from cases import enclosures
from cases.enclosures import GivenFile
from cases.fields import (
    AnyObject,
    Base64,
    FutureTime,
    Language,
    Line,
    MediaType,
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
from cases.models import Case, Channel, InputTimeoutAction, ReviewMode
from cases.shapes import Shape

MAX_HOURS = 24 * 366
LONGEST_NAME = 300  # characters; names stand in headers, and mail servers refuse long ones
LONGEST_SUBJECT = 300
LONGEST_BODY = 100_000
LONGEST_REASON = 2_000


class Goal(Shape):
    objective = Text(help_text="What is to be reached, in a sentence or more.")
    knowledge = TextOrObject(required=False, help_text="What the agent may use and tell.")


class Counterparty(Shape):
    address = Line(max_length=254, help_text="With channel EMAIL an e-mail address. A domain may be internationalised.")
    name = Line(max_length=LONGEST_NAME)
    company = Text(required=False, allow_blank=True)
    timezone = Zone(required=False, help_text="IANA name; follow-ups keep to working hours there.")
    customData = TextMap(required=False)

    def validate_address(self, address: str) -> str:
        """The address as mail is looked up by; the one that was sent stands in `initial_data`."""
        return check_mail_address(address) if self.root.initial_data.get("channel") == Channel.EMAIL else address


class SenderPersona(Shape):
    name = Line(max_length=LONGEST_NAME)
    role = Text(required=False, allow_blank=True)
    company = Text(required=False, allow_blank=True)
    tone = Text(required=False, allow_blank=True)


class EnclosedFile(Shape):
    """A file for the first mail."""

    name = Line(max_length=255)
    type = MediaType(max_length=150)
    content = Base64(help_text=f"At most {enclosures.MAX_FILE_BYTES} bytes.")

    def validate_content(self, content: bytes) -> bytes:
        if len(content) > enclosures.MAX_FILE_BYTES:
            raise serializers.ValidationError(f"Must be at most {enclosures.MAX_FILE_BYTES} bytes.")
        return content


class TimeoutHours(Whole):
    """How long a question of a case may wait for its answer."""

    def __init__(self, **options: Any) -> None:
        about = "When a question has waited so long, inputTimeoutAction says what happens."
        super().__init__(min_value=1, max_value=MAX_HOURS, help_text=about, **options)


class TimeoutAction(serializers.ChoiceField):
    def __init__(self, **options: Any) -> None:
        super().__init__(
            choices=InputTimeoutAction.values,
            help_text="wait: people are reminded, once. fail: the case fails, with deadline_passed.",
            error_messages={"invalid_choice": "Must be wait or fail."},
            **options,
        )


def check_timeout(hours: int | None, action: str) -> None:
    """Raises ValidationError for a case that is to fail, and does not say when."""
    if action == InputTimeoutAction.FAIL and hours is None:
        raise serializers.ValidationError({"inputTimeoutHours": "Needed with inputTimeoutAction fail."})


class NewCase(Shape):
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
    inputTimeoutHours = TimeoutHours(required=False)
    inputTimeoutAction = TimeoutAction(required=False, default=str(InputTimeoutAction.WAIT))
    clientWebhookUrl = WebhookUrl(required=False)
    metadata = AnyObject(required=False, help_text="Comes back in webhooks, never read.")
    attachments = serializers.ListField(
        child=EnclosedFile(),
        required=False,
        max_length=enclosures.MAX_FILES,
        help_text=f"Go out with the first mail; together at most {enclosures.MAX_TOTAL_BYTES} bytes.",
    )
    reviewMode = serializers.ChoiceField(
        choices=ReviewMode.values,
        required=False,
        default=str(ReviewMode.NONE),
        help_text="Which mails wait as a draft until somebody approves them.",
        error_messages={"invalid_choice": "Must be none, first or all."},
    )

    def validate_channel(self, channel: str) -> str:
        """Refuse what settings.OFFLOAD_CHANNEL_CHECK objects to: a case that nobody could ever advance."""
        translated(import_string(settings.OFFLOAD_CHANNEL_CHECK), channel, is_test=self.context["key"].is_test)
        return channel

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        check_timeout(attrs.get("inputTimeoutHours"), attrs["inputTimeoutAction"])
        return attrs

    def validate_attachments(self, files: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if sum(len(file["content"]) for file in files) > enclosures.MAX_TOTAL_BYTES:
            raise serializers.ValidationError(f"Together they must be at most {enclosures.MAX_TOTAL_BYTES} bytes.")
        return files

    def files(self) -> list[GivenFile]:
        """The validated files, in their order."""
        given = self.validated_data.get("attachments", ())
        return [GivenFile(file["name"], file["type"], file["content"]) for file in given]

    def model_fields(self) -> dict[str, Any]:
        """The validated fields in the model's names; objects as they were sent, unknown keys included."""
        valid, sent = self.validated_data, self.initial_data
        return {
            "channel": valid["channel"],
            "goal": sent["goal"],
            "counterparty": sent["counterparty"],
            "counterparty_address": valid["counterparty"]["address"],
            "sender_persona": sent["senderPersona"],
            "client_reference_id": valid.get("clientReferenceId"),
            "constraints": valid.get("constraints"),
            "language": valid.get("language"),
            "max_attempts": valid["maxAttempts"],
            "follow_up_delay_hours": valid["followUpDelayHours"],
            "deadline_at": valid.get("deadlineAt"),
            "input_timeout_hours": valid.get("inputTimeoutHours"),
            "input_timeout_action": valid["inputTimeoutAction"],
            "result_schema": valid.get("resultSchema"),
            "client_webhook_url": valid.get("clientWebhookUrl"),
            "metadata": valid.get("metadata"),
            "review_mode": valid["reviewMode"],
        }


class Answer(Shape):
    """The body of POST /cases/{id}/input; both are trimmed."""

    inputRequestId = Text(trimmed=True)
    providedContext = Text(trimmed=True)


HASH = "The draft's `hash`, as of the words that you have seen."


class Approval(Shape):
    """The body of POST /cases/{id}/drafts/{draftId}/approve."""

    hash = Text(help_text=HASH)


class DraftEdit(Shape):
    """The body of POST /cases/{id}/drafts/{draftId}/edit."""

    hash = Text(help_text=HASH)
    subject = Line(required=False, max_length=LONGEST_SUBJECT)
    body = Text(max_length=LONGEST_BODY)


class DraftRejection(Shape):
    """The body of POST /cases/{id}/drafts/{draftId}/reject; trimmed."""

    reason = Text(trimmed=True, max_length=LONGEST_REASON, help_text="What the next draft should heed.")


class GoalChange(Shape):
    knowledge = TextOrObject(required=False)


class CounterpartyChange(Shape):
    address = Line(max_length=254, required=False, help_text="Only while nothing has been sent.")

    def validate_address(self, address: str) -> str:
        if self.context["case"].channel == Channel.EMAIL:
            check_mail_address(address)
        return address


class CaseChange(Shape):
    """The body of PATCH /cases/{id}; the context has the `case`."""

    goal = GoalChange(required=False)
    counterparty = CounterpartyChange(required=False)
    constraints = serializers.ListField(child=Text(allow_blank=True), required=False)
    followUpDelayHours = Whole(required=False, min_value=1)
    deadlineAt = FutureTime(required=False, help_text="Unix time in milliseconds.")
    inputTimeoutHours = TimeoutHours(required=False)
    inputTimeoutAction = TimeoutAction(required=False)
    clientWebhookUrl = WebhookUrl(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not any(value != {} for value in attrs.values()):
            raise serializers.ValidationError(f"Name what is to change: {', '.join(CHANGEABLE)}.")
        case: Case = self.context["case"]
        check_timeout(
            attrs.get("inputTimeoutHours", case.input_timeout_hours),
            attrs.get("inputTimeoutAction", case.input_timeout_action),
        )
        return attrs

    def changes(self) -> dict[str, Any]:
        """What changes, in the words of cases/changes.py."""
        valid = dict(self.validated_data)
        for part in ("goal", "counterparty"):
            valid |= {f"{part}.{name}": value for name, value in valid.get(part, {}).items()}
        return {name: valid[field] for field, name in CHANGEABLE.items() if field in valid}


class ClientChange(Shape):
    """The body of PATCH /client. What may be switched off takes null."""

    defaultWebhookUrl = WebhookUrl(required=False, allow_null=True, help_text="Of cases that name none.")
    settleSeconds = Whole(
        required=False, allow_null=True, min_value=0, max_value=3600, help_text="Null: what the service is set to."
    )
    reminderHours = Whole(
        required=False, allow_null=True, min_value=1, max_value=MAX_HOURS, help_text="Null: nobody is reminded."
    )

    eventTypes = serializers.ListField(
        child=serializers.ChoiceField(choices=settings.OFFLOAD_OPTIONAL_EVENTS),
        required=False,
        help_text="What its webhooks tell of besides the three events that every client hears of.",
    )

    FIELDS: ClassVar = {
        "defaultWebhookUrl": "default_webhook_url",
        "eventTypes": "event_types",
        "settleSeconds": "settle_seconds",
        "reminderHours": "reminder_hours",
    }

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs:
            raise serializers.ValidationError(f"Name what is to change: {', '.join(self.FIELDS)}.")
        return attrs


class GoalAnew(GoalChange):
    objective = Text(required=False)


class Reopening(Shape):
    """The body of POST /cases/{id}/reopen: what the new case goes by instead of what the old one did."""

    goal = GoalAnew(required=False)
    constraints = serializers.ListField(child=Text(allow_blank=True), required=False)


CHANGEABLE = {
    "goal.knowledge": "knowledge",
    "counterparty.address": "address",
    "constraints": "constraints",
    "followUpDelayHours": "follow_up_delay_hours",
    "deadlineAt": "deadline_at",
    "inputTimeoutHours": "input_timeout_hours",
    "inputTimeoutAction": "input_timeout_action",
    "clientWebhookUrl": "client_webhook_url",
}
