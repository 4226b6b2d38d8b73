"""Messages and events, in the API's words."""

from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from cases import timeline
from cases.fields import AnyObject
from cases.models import Direction, Event, Message, Purpose
from cases.payload_parts import describe
from cases.resources import AttachmentMetadata, Milliseconds, NextCursor
from cases.shapes import Shape

SHOWN_PURPOSES = [purpose for purpose in Purpose.values if purpose != Purpose.DELAY]


@extend_schema_serializer(component_name="Message")
class MessageResource(Shape):
    """A mail of the thread. `sentAt` stands on ours, `receivedAt` on theirs. The context has the `case`."""

    id = serializers.UUIDField(help_text="What the sourceId of a result's source refers to.")
    messageId = serializers.CharField(source="message_id", help_text="RFC 5322, with its angle brackets.")
    direction = serializers.SerializerMethodField()
    purpose = serializers.ChoiceField(
        choices=SHOWN_PURPOSES, help_text="OUTREACH, FOLLOW_UP, REPLY: ours. HUMAN, MACHINE, REPORT: theirs."
    )
    sender = serializers.CharField(source="from_address")  # `from`, which is no name in Python
    fromName = serializers.CharField(source="from_name", help_text="As they call themselves; may be empty.")
    to = serializers.CharField(source="to_address")
    cc = serializers.ListField(child=serializers.CharField())
    subject = serializers.CharField()
    text = serializers.SerializerMethodField(help_text="Of theirs the new words, without what they quote.")
    attachments = serializers.SerializerMethodField()
    sentAt = Milliseconds(source="moment", required=False)
    receivedAt = Milliseconds(source="moment", required=False)

    def get_fields(self) -> dict[str, Any]:
        return {"from" if name == "sender" else name: field for name, field in super().get_fields().items()}

    @extend_schema_field({"type": "string", "enum": ["OUTBOUND", "INBOUND"]})
    def get_direction(self, message: Message) -> str:
        return "OUTBOUND" if message.direction == Direction.OUT else "INBOUND"

    def get_text(self, message: Message) -> str:
        return message.text or message.full_text

    @extend_schema_field(AttachmentMetadata(many=True))
    def get_attachments(self, message: Message) -> list[dict[str, Any]]:
        return [describe(attachment, self.context["case"]) for attachment in message.attachments.all()]

    def to_representation(self, instance: Message) -> dict[str, Any]:
        shown = super().to_representation(instance)
        del shown["receivedAt" if instance.direction == Direction.OUT else "sentAt"]
        return shown


class MessageList(Shape):
    messages = MessageResource(many=True)
    nextCursor = NextCursor()


class TimelineEvent(Shape):
    """Something that happened on the case."""

    type = serializers.ChoiceField(choices=sorted(timeline.SHOWN))
    at = Milliseconds()
    actor = serializers.SerializerMethodField()
    facts = serializers.SerializerMethodField(method_name="get_facts")  # `data`, which serializers have already

    def get_fields(self) -> dict[str, Any]:
        return {"data" if name == "facts" else name: field for name, field in super().get_fields().items()}

    @extend_schema_field({"type": "string", "enum": list(timeline.ACTORS)})
    def get_actor(self, event: Event) -> str:
        return timeline.actor_of(event)

    @extend_schema_field(AnyObject)
    def get_facts(self, event: Event) -> dict[str, Any]:
        return timeline.data_of(event)


class Timeline(Shape):
    events = TimelineEvent(many=True)
    nextCursor = NextCursor()
