"""What clients get, in the contract's words."""

from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from cases.fields import AnyObject
from cases.models import Case, Channel, InputRequest, ResultStatus, Status
from cases.payload_parts import attachment_metadata, milliseconds
from cases.serializers import Counterparty, Goal, SenderPersona
from cases.transcript import transcript

NOTHING_SCHEDULED = 253402300799999  # 9999-12-31T23:59:59.999Z, in milliseconds


class Shown(serializers.Field[Any, Any, Any, Any]):
    """A value that is only ever read. Unlike REST framework's read-only fields it may be declared optional."""

    def get_attribute(self, instance: Any) -> Any:
        return super().get_attribute(instance) if self.source != "*" else instance

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field({"type": "integer", "format": "int64", "description": "Unix time in milliseconds."})
class Milliseconds(Shown):
    def to_representation(self, value: Any) -> int:
        return milliseconds(value)


@extend_schema_field(
    {"type": "integer", "format": "int64", "description": f"{NOTHING_SCHEDULED}: nothing is scheduled."}
)
class Schedule(Milliseconds):
    def get_attribute(self, instance: Any) -> Any:
        return super().get_attribute(instance) or NOTHING_SCHEDULED

    def to_representation(self, value: Any) -> int:
        return value if isinstance(value, int) else milliseconds(value)


@extend_schema_field({"type": "boolean", "const": True})
class Accepted(Shown):
    def to_representation(self, value: Any) -> bool:
        return True


@extend_schema_field({"type": "string", "format": "date-time", "description": "ISO 8601 in UTC, ending in Z."})
class Expiry(Shown):
    pass


@extend_schema_field({"description": "Valid against resultSchema, where one was given."})
class Result(Shown):
    pass


@extend_schema_field(Goal)
class GoalAsSent(AnyObject):
    pass


@extend_schema_field(Counterparty)
class CounterpartyAsSent(AnyObject):
    pass


@extend_schema_field(SenderPersona)
class SenderPersonaAsSent(AnyObject):
    pass


@extend_schema_field({"type": ["string", "null"], "description": "For the next page; null: this is the last one."})
class NextCursor(Shown):
    pass


class CaseCreated(serializers.Serializer[Any]):
    caseId = serializers.UUIDField(source="pk")


class AnswerAccepted(serializers.Serializer[Any]):
    caseId = serializers.UUIDField(source="case_id")
    inputRequestId = serializers.UUIDField(source="pk")
    accepted = Accepted(source="*")


@extend_schema_serializer(component_name="Attachment")
class AttachmentMetadata(serializers.Serializer[Any]):
    attachmentId = serializers.UUIDField()
    name = serializers.CharField()
    size = serializers.IntegerField(help_text="Bytes.")
    type = serializers.CharField(help_text="MIME type, told by the bytes.")
    messageId = serializers.CharField(help_text="Message-ID (RFC 5322) of the mail that it came with.")
    inboxId = serializers.CharField(help_text="The mailbox that it came to.")
    receivedAt = serializers.IntegerField(help_text="Unix time in milliseconds.")


@extend_schema_serializer(component_name="AttachmentDownload")
class AttachmentLink(AttachmentMetadata):
    downloadUrl = serializers.URLField(help_text="Needs no key; good until expiresAt.")
    expiresAt = Expiry()


@extend_schema_serializer(component_name="InputRequest")
class Question(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    question = serializers.CharField()
    status = serializers.SerializerMethodField()
    requestedAt = Milliseconds(source="requested_at")

    @extend_schema_field({"type": "string", "enum": ["PENDING", "RESOLVED"]})
    def get_status(self, question: InputRequest) -> str:
        return "PENDING" if question.is_pending else "RESOLVED"


@extend_schema_field(Question(allow_null=True))
class CurrentQuestion(Shown):
    """The open question, else the one that was resolved last, else null."""

    def to_representation(self, case: Case) -> Any:
        questions = case.input_requests.all()  # which a list has read along
        question = max(questions, key=lambda asked: (asked.is_pending, asked.last_change), default=None)
        return question and Question(question).data


@extend_schema_field(AttachmentMetadata(many=True))
class Attachments(Shown):
    def to_representation(self, case: Case) -> Any:
        read_along = self.context.get("attachments")
        return attachment_metadata(case) if read_along is None else read_along[case.pk]


@extend_schema_field({"type": ["string", "null"], "description": "Only with includeTranscript=true."})
class Transcript(Shown):
    def to_representation(self, case: Case) -> str | None:
        return transcript(case)


@extend_schema_serializer(component_name="Source")
class SourceOfValue(serializers.Serializer[Any]):
    path = serializers.CharField(help_text="JSON Pointer (RFC 6901) into result; empty: all of it.")
    sourceId = serializers.CharField(
        source="source_id",
        help_text="The id of a message, an attachment or an answered input request, `goal`, or who entered the result.",
    )
    quote = serializers.CharField(allow_blank=True, help_text="What stands there, literally.")


@extend_schema_field(SourceOfValue(many=True, allow_null=True))
class Sources(Shown):
    """Where each value of the result comes from, or null as long as there is no result."""

    def to_representation(self, case: Case) -> Any:
        return None if not case.has_result else SourceOfValue(case.sources or [], many=True).data


@extend_schema_serializer(component_name="Case")
class CaseResource(serializers.Serializer[Any]):
    """A case as its client sees it. What was not given, or does not exist yet, is absent.

    `including` in the context names those of ONLY_IF_ASKED_FOR that are shown; without it, all are. `attachments` are
    those of all cases of a list, read at once.
    """

    caseId = serializers.UUIDField(source="pk")
    clientReferenceId = serializers.CharField(source="client_reference_id", required=False)
    status = serializers.ChoiceField(choices=Status.choices)
    createdAt = Milliseconds(source="created_at")
    updatedAt = Milliseconds(source="updated_at")
    nextActionAt = Schedule(source="next_action_at")
    attemptCount = serializers.IntegerField(source="attempt_count", help_text="Messages sent, replies included.")
    maxAttempts = serializers.IntegerField(source="max_attempts")
    channel = serializers.ChoiceField(choices=Channel.choices)
    counterparty = CounterpartyAsSent()
    attachments = Attachments(source="*")
    resultStatus = serializers.ChoiceField(source="result_status", choices=ResultStatus.choices, required=False)
    result = Result(required=False)
    goal = GoalAsSent()
    resultSchema = AnyObject(source="result_schema", required=False)
    senderPersona = SenderPersonaAsSent(source="sender_persona")
    constraints = serializers.ListField(child=serializers.CharField(), required=False)
    language = serializers.CharField(required=False, help_text="BCP 47, as it was given.")
    inputRequest = CurrentQuestion(source="*")
    conversationThread = Transcript(source="*", required=False)
    sources = Sources(source="*", required=False)

    ABSENT_IF_NONE = ("clientReferenceId", "resultStatus", "resultSchema", "constraints", "language")
    ONLY_IF_ASKED_FOR = ("conversationThread", "sources")

    def get_fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = super().get_fields()
        if "including" in self.context:
            for name in set(self.ONLY_IF_ASKED_FOR) - self.context["including"]:
                del fields[name]
        return fields

    def to_representation(self, instance: Case) -> dict[str, Any]:
        shown = super().to_representation(instance)
        if not instance.has_result:
            del shown["result"]
        return {name: value for name, value in shown.items() if value is not None or name not in self.ABSENT_IF_NONE}


class CaseList(serializers.Serializer[Any]):
    cases = CaseResource(many=True)
    nextCursor = NextCursor()
