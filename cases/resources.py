"""What clients get, in the contract's words."""

from typing import Any
from uuid import UUID

from django.db.models import Exists, F, OuterRef, QuerySet
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from cases import drafts
from cases.fields import AnyObject
from cases.models import (
    Attachment,
    Case,
    Channel,
    InputRequest,
    InputTimeoutAction,
    Purpose,
    ResultStatus,
    ReviewMode,
    Status,
)
from cases.payload_parts import attachment_metadata, draft_content, milliseconds
from cases.prepared import Prepared
from cases.serializers import Counterparty, Goal, SenderPersona
from cases.shapes import Shape
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
class Schedule(Shown):
    """Of a case: when its next follow-up is planned. None is while it is paused, or a draft waits."""

    def to_representation(self, case: Case) -> int:
        if case.next_action_at is None or case.paused_at or drafts.waiting(case):
            return NOTHING_SCHEDULED
        return milliseconds(case.next_action_at)


@extend_schema_field({"type": "boolean", "const": True, "description": "Absent unless the case is paused."})
class IsPaused(Shown):
    def to_representation(self, value: Any) -> bool:
        return True


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


class CaseCreated(Shape):
    caseId = serializers.UUIDField(source="pk")


class AnswerAccepted(Shape):
    caseId = serializers.UUIDField(source="case_id")
    inputRequestId = serializers.UUIDField(source="pk")
    accepted = Accepted(source="*")


@extend_schema_serializer(component_name="Attachment")
class AttachmentMetadata(Shape):
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


OFFERED = "Where the agent offers it. Any text is accepted all the same."


@extend_schema_serializer(component_name="InputRequest")
class Question(Shape):
    id = serializers.UUIDField()
    question = serializers.CharField()
    status = serializers.SerializerMethodField()
    requestedAt = Milliseconds(source="requested_at")
    options = serializers.ListField(child=serializers.CharField(), required=False, help_text=OFFERED)
    answerSchema = AnyObject(source="answer_schema", required=False, help_text=OFFERED)

    def to_representation(self, instance: InputRequest) -> dict[str, Any]:
        shown = super().to_representation(instance)
        return {name: value for name, value in shown.items() if value is not None}

    @extend_schema_field({"type": "string", "enum": ["PENDING", "RESOLVED"]})
    def get_status(self, question: InputRequest) -> str:
        return "PENDING" if question.is_pending else "RESOLVED"


@extend_schema_field(Question(allow_null=True))
class CurrentQuestion(Shown):
    """The open question, else the one that was resolved last, else null."""

    def to_representation(self, case: Case) -> Any:
        if not case.may_have_questions:
            return None
        questions = case.input_requests.all()  # which a list has read along
        question = max(questions, key=lambda asked: (asked.is_pending, asked.last_change), default=None)
        return question and Question(question).data


@extend_schema_field(AttachmentMetadata(many=True))
class Attachments(Shown):
    def to_representation(self, case: Case) -> Any:
        if not case.may_have_files:
            return []
        read_along = self.context.get("attachments")
        return attachment_metadata(case) if read_along is None else read_along[case.pk]


@extend_schema_field({"type": ["string", "null"], "description": "Only with includeTranscript=true."})
class Transcript(Shown):
    def to_representation(self, case: Case) -> str | None:
        return transcript(case)


@extend_schema_field({"type": "string", "format": "uuid", "description": "The case that continues this one."})
class Successor(Shown):
    def to_representation(self, case: Case) -> str | None:
        if hasattr(case, "successor_id"):  # read along
            return case.successor_id and str(case.successor_id)
        successor: Case | None = getattr(case, "reopened_as", None)
        return str(successor.pk) if successor else None


@extend_schema_serializer(component_name="Source")
class SourceOfValue(Shape):
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


class DraftFile(Shape):
    name = serializers.CharField()
    size = serializers.IntegerField(help_text="Bytes.")
    type = serializers.CharField(help_text="MIME type.")
    sha256 = serializers.CharField(help_text="In hex.")


@extend_schema_serializer(component_name="Draft")
class DraftContent(Shape):
    id = serializers.UUIDField()
    purpose = serializers.ChoiceField(choices=[Purpose.OUTREACH, Purpose.FOLLOW_UP, Purpose.REPLY])
    to = serializers.CharField()
    subject = serializers.CharField()
    body = serializers.CharField()
    attachments = DraftFile(many=True)
    hash = serializers.CharField(help_text="Of recipient, subject, body and attachments: what an approval is about.")
    createdAt = serializers.IntegerField(help_text="Unix time in milliseconds.")


@extend_schema_field(DraftContent)
class DraftThatWaits(Shown):
    """The mail that is sent once somebody has approved it; absent where none waits."""

    def to_representation(self, case: Case) -> Any:
        draft = drafts.waiting(case)
        return draft and draft_content(draft)


@extend_schema_field({"type": "string", "enum": [str(ReviewMode.FIRST), str(ReviewMode.ALL)]})
class ReviewModeIfAny(Shown):
    """Absent where mail is sent without review."""

    def to_representation(self, value: str) -> str | None:
        return None if value == ReviewMode.NONE else value


@extend_schema_field({"type": "string", "const": str(InputTimeoutAction.FAIL)})
class TimeoutActionIfAny(Shown):
    """Absent where the case keeps waiting."""

    def to_representation(self, value: str) -> str | None:
        return None if value == InputTimeoutAction.WAIT else value


@extend_schema_serializer(component_name="Case")
class CaseResource(Shape):
    """A case as its client sees it. What was not given, or does not exist yet, is absent.

    `including` in the context names those of ONLY_IF_ASKED_FOR that are shown; without it, all are. `attachments` are
    those of all cases of a list, read at once.
    """

    caseId = serializers.UUIDField(source="pk")
    clientReferenceId = serializers.CharField(source="client_reference_id", required=False)
    status = serializers.ChoiceField(choices=Status.choices)
    createdAt = Milliseconds(source="created_at")
    updatedAt = Milliseconds(source="updated_at")
    nextActionAt = Schedule(source="*")
    deadlineAt = Milliseconds(source="deadline_at", required=False)
    inputTimeoutHours = serializers.IntegerField(source="input_timeout_hours", required=False)
    inputTimeoutAction = TimeoutActionIfAny(source="input_timeout_action", required=False)
    paused = IsPaused(source="paused_at", required=False)
    attemptCount = serializers.IntegerField(source="attempt_count", help_text="Messages sent, replies included.")
    maxAttempts = serializers.IntegerField(source="max_attempts")
    channel = serializers.ChoiceField(choices=Channel.choices)
    counterparty = CounterpartyAsSent()
    reopenedFrom = serializers.UUIDField(
        source="reopened_from_id", required=False, help_text="The ended case that this one continues."
    )
    reopenedAs = Successor(source="*", required=False)
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
    reviewMode = ReviewModeIfAny(source="review_mode", required=False)
    draft = DraftThatWaits(source="*", required=False)

    ABSENT_IF_NONE = (
        "clientReferenceId",
        "resultStatus",
        "resultSchema",
        "constraints",
        "language",
        "reviewMode",
        "draft",
        "deadlineAt",
        "inputTimeoutHours",
        "inputTimeoutAction",
        "paused",
        "reopenedFrom",
        "reopenedAs",
    )
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


@Prepared
def at_once(case: UUID) -> QuerySet[Any, Any]:
    """The case, with what CaseResource would ask for by itself where, as mostly, there is nothing to be found.

    That is `successor_id`, and whether there may be questions and files. Columns that clients don't see are left out.
    """
    cases: QuerySet[Any] = Case.objects.order_by().annotate(
        successor_id=F("reopened_as"),
        may_have_questions=Exists(InputRequest.objects.filter(case=OuterRef("pk"))),
        may_have_files=Exists(Attachment.objects.filter(message__case=OuterRef("pk"))),
    )
    unseen = (*Case.WORK_FIELDS, "metadata", "failure_reason", "model_calls", "model_tokens", "model_cost")
    return cases.filter(pk=case).defer(*unseen)


@extend_schema_serializer(many=False)  # else the generator takes what a list answers for a list
class CaseList(Shape):
    cases = CaseResource(many=True)
    nextCursor = NextCursor()
