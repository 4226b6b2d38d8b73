"""What the sandbox's routes take and answer."""

from datetime import date
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from cases.fields import Base64, Line, MediaType, Text
from cases.resources import Schedule
from outreach.inbound.content import InboundAttachment

MAX_ATTACHMENTS = 20
MAX_TEXT_CHARS = 1_000_000


@extend_schema_field({"type": "string", "format": "date"})
class Day(Text):
    """A date as `YYYY-MM-DD` and in no other of ISO 8601's spellings."""

    def to_internal_value(self, data: Any) -> Any:
        text = super().to_internal_value(data)
        try:
            day = date.fromisoformat(text)
        except ValueError:
            day = None
        if day is None or day.isoformat() != text:
            raise serializers.ValidationError("Not a date like 2027-01-31.")
        return day


@extend_schema_field({"type": "boolean"})
class Flag(serializers.Field[Any, Any, Any, Any]):
    """true or false, and none of the words that REST framework takes for them."""

    default_error_messages = {"invalid": "Neither true nor false."}

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid")
        return data


@extend_schema_field({"type": "number", "exclusiveMinimum": 0, "maximum": 87600})
class Hours(serializers.Field[Any, Any, Any, Any]):
    """A number of hours, more than none and at most ten years."""

    default_error_messages = {"invalid": "Not a number.", "range": "Must be more than 0 and at most 87600."}

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        if not 0 < data <= 87600:
            self.fail("range")
        return float(data)


@extend_schema_field(OpenApiTypes.BINARY)
class Upload(serializers.FileField):
    pass


class SandboxAttachment(serializers.Serializer[Any]):
    name = Line(max_length=255)
    type = MediaType(max_length=150)
    content = Base64()


class SandboxReply(serializers.Serializer[Any]):
    """A person's answer; something must be in it."""

    text = Text(required=False, allow_blank=True, max_length=MAX_TEXT_CHARS)
    html = Text(required=False, allow_blank=True, max_length=MAX_TEXT_CHARS)
    attachments = serializers.ListField(child=SandboxAttachment(), required=False, max_length=MAX_ATTACHMENTS)

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if not (given.get("text", "").strip() or given.get("html", "").strip() or given.get("attachments")):
            raise serializers.ValidationError("One of text, html and attachments must not be empty.")
        return given

    def mail(self) -> dict[str, Any]:
        """The validated answer as arguments of `sandbox.reply`."""
        valid = self.validated_data
        files = valid.get("attachments", ())
        return {
            "text": valid.get("text", ""),
            "html": valid.get("html", ""),
            "attachments": [InboundAttachment(file["name"], file["type"], file["content"]) for file in files],
        }


class SandboxReplyForm(serializers.Serializer[Any]):
    """The same as multipart/form-data; files may come under any name."""

    text = Text(required=False, allow_blank=True, max_length=MAX_TEXT_CHARS)
    html = Text(required=False, allow_blank=True, max_length=MAX_TEXT_CHARS)
    attachments = serializers.ListField(child=Upload(), required=False, max_length=MAX_ATTACHMENTS)


class SandboxBounce(serializers.Serializer[Any]):
    permanent = Flag(required=False, default=True, help_text="false: the mailbox is full for the moment.")


class SandboxOutOfOffice(serializers.Serializer[Any]):
    until = Day(required=False, help_text="The note says so, and the next follow-up waits for it.")
    text = Text(required=False, allow_blank=True, max_length=10_000, help_text="In other words.")


class SandboxAdvance(serializers.Serializer[Any]):
    hours = Hours()


class SandboxAccepted(serializers.Serializer[Any]):
    caseId = serializers.UUIDField()
    messageId = serializers.CharField(help_text="Message-ID (RFC 5322) of the mail that was sent to the case.")


class SandboxSchedule(serializers.Serializer[Any]):
    caseId = serializers.UUIDField(source="pk")
    status = serializers.CharField(help_text="As in the case.")
    nextActionAt = Schedule(source="*")


@extend_schema_serializer(component_name="SandboxMailAttachment")
class MailedFile(serializers.Serializer[Any]):
    name = serializers.CharField()
    type = serializers.CharField(help_text="MIME type.")
    size = serializers.IntegerField(help_text="Bytes.")


@extend_schema_serializer(component_name="SandboxMail")
class DeliveredMail(serializers.Serializer[Any]):
    messageId = serializers.CharField()
    to = serializers.CharField()
    subject = serializers.CharField(allow_blank=True)
    text = serializers.CharField(allow_blank=True)
    sentAt = serializers.IntegerField(help_text="Unix time in milliseconds.")
    attachments = MailedFile(many=True)
    raw = serializers.CharField(help_text="The mail as it went over the wire (RFC 5322).")

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), "from": serializers.CharField()}  # a keyword: it can't be an attribute


class SandboxMailbox(serializers.Serializer[Any]):
    mails = DeliveredMail(many=True)
