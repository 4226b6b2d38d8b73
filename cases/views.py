"""The API of the case: parse, call, answer. What a call means is decided in services.py."""

import uuid
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from cases import changes, downloads, idempotency, listing, log_context, reopening, services
from cases.authentication import caller_of
from cases.errors import AttachmentNotFound, CaseError, CaseNotFound, Forbidden
from cases.idempotency import AlreadyAnswered, Asked
from cases.models import Attachment, Case, Scope
from cases.openapi import codes
from cases.payload_parts import attachments_of, describe
from cases.queries import CasesQuery
from cases.request_body import body_of, check_length
from cases.resources import AnswerAccepted, AttachmentLink, CaseCreated, CaseList, CaseResource, at_once
from cases.serializers import Answer, CaseChange, NewCase, Reopening

CASE_ID = OpenApiParameter("case_id", OpenApiTypes.UUID, OpenApiParameter.PATH)
ATTACHMENT_ID = OpenApiParameter("attachment_id", OpenApiTypes.UUID, OpenApiParameter.PATH)
INCLUDE_TRANSCRIPT = OpenApiParameter(
    "includeTranscript", str, description="`true`, and nothing else, adds conversationThread."
)
INCLUDE_SOURCES = OpenApiParameter("includeSources", str, description="`true`, and nothing else, adds sources.")
ADDITIONS = {"includeTranscript": "conversationThread", "includeSources": "sources"}  # parameter to field
IDEMPOTENCY_KEY = OpenApiParameter(
    idempotency.HEADER,
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x21-\\x7e]+$"},
    OpenApiParameter.HEADER,
    description="Repeats of the same request within 24 hours get the first answer again.",
)
REPLAYED = OpenApiParameter(
    idempotency.REPLAYED,
    {"const": "true"},
    OpenApiParameter.HEADER,
    description="The answer is the first one to the same request, again.",
    response=[201],
)
ONCE = {409: codes("IDEMPOTENCY_KEY_IN_USE"), 422: codes("IDEMPOTENCY_KEY_REUSED")}
NO_CASE = codes("CASE_NOT_FOUND")
NEW_CASE = {
    "channel": "EMAIL",
    "goal": {
        "objective": "Get the invoice for order 4711 as a PDF, with its number and total.",
        "knowledge": {"orderNumber": "4711", "orderedOn": "2026-03-02"},
    },
    "counterparty": {
        "address": "ann@supplier.example",
        "name": "Ann Supplier",
        "company": "Supplier Ltd",
        "timezone": "Europe/Zurich",
    },
    "senderPersona": {"name": "Bob Buyer", "role": "Accounting", "company": "Buyer Inc", "tone": "friendly, brief"},
    "clientReferenceId": "order-4711",
    "constraints": ["Never promise a date of payment."],
    "resultSchema": {
        "type": "object",
        "properties": {"invoiceNumber": {"type": "string"}, "total": {"type": "number"}},
        "required": ["invoiceNumber", "total"],
    },
    "metadata": {"tenant": "north"},
}


def own_case(request: Request, case_id: str, find: Callable[[uuid.UUID], Sequence[Case]] | None = None) -> Case:
    """The caller's case, as `find` gives it if that is given.

    Raises CaseNotFound, for a malformed id too, or Forbidden for another client's.
    """
    pk = parsed_id(case_id, CaseNotFound)
    case: Case | None = next(iter(find(pk) if find else Case.objects.filter(pk=pk).order_by()), None)
    if case is None:
        raise CaseNotFound
    if case.client_id != caller_of(request).key.client_id:
        raise Forbidden
    log_context.add(case_id=case.pk)
    return case


def parsed_id(text: str, error: type[CaseError]) -> uuid.UUID:
    """The UUID in its usual spelling (RFC 9562 §4), or the error: Python would take braces and missing hyphens too."""
    try:
        parsed = uuid.UUID(text)
    except ValueError as cause:
        raise error from cause
    if str(parsed) != text.lower():
        raise error
    return parsed


def shown(case: Case, *including: str) -> dict[str, Any]:
    """The case as its client sees it, with the fields that have to be asked for."""
    return CaseResource(case, context={"including": set(including)}).data


def answered_once(request: Request, body: Any, act: Callable[[Asked | None], Response]) -> Response:
    """The answer of `act`, or the first one to the same request where this one repeats it."""
    caller = caller_of(request)
    asked = idempotency.asked_by(caller.key, request.headers.get(idempotency.HEADER), request.path, body, at=caller.at)
    try:
        with idempotency.turn_of(asked):
            return act(asked)
    except AlreadyAnswered as first:
        return Response(first.answer, status=first.status, headers={idempotency.REPLAYED: "true"})


def _encoded_bytes(body: dict[str, Any]) -> int:
    """How much of the body its files are, whether they are valid or not."""
    files = body.get("attachments")
    contents = [file.get("content") for file in files if isinstance(file, dict)] if isinstance(files, list) else []
    return sum(len(content) for content in contents if isinstance(content, str))


class CaseViewSet(ViewSet):
    """A client's own cases."""

    lookup_url_kwarg = "case_id"
    max_body_bytes = settings.OFFLOAD_MAX_BODY_BYTES
    scopes: ClassVar = {"provide_input": Scope.ANSWERS}

    @extend_schema(
        operation_id="createCase",
        summary="Create a case and queue its first message",
        tags=["cases"],
        request=NewCase,
        parameters=[IDEMPOTENCY_KEY, REPLAYED],
        responses={201: CaseCreated, **ONCE},
        examples=[OpenApiExample("An invoice", NEW_CASE, request_only=True)],
    )
    def create(self, request: Request) -> Response:
        caller, body = caller_of(request), body_of(request)
        check_length(request, besides=_encoded_bytes(body))

        def act(asked: Asked | None) -> Response:
            new = NewCase(data=body, context={"key": caller.key})
            new.is_valid(raise_exception=True)
            case = services.create_case(caller.key, asked=asked, files=new.files(), at=caller.at, **new.model_fields())
            return Response(CaseCreated(case).data, status=201)

        return answered_once(request, body, act)

    @extend_schema(
        operation_id="listCases",
        summary="Your cases, the newest first",
        tags=["cases"],
        parameters=[CasesQuery],
        responses={200: CaseList},
    )
    def list(self, request: Request) -> Response:
        query = CasesQuery.of(request)
        page = listing.page_of_cases(caller_of(request).client, query)
        context = {"including": set(), "attachments": attachments_of(page.rows)}
        return Response(
            {"cases": CaseResource(page.rows, many=True, context=context).data, "nextCursor": page.next_cursor}
        )

    @extend_schema(
        operation_id="getCase",
        summary="A case as it stands",
        tags=["cases"],
        parameters=[CASE_ID, INCLUDE_TRANSCRIPT, INCLUDE_SOURCES],
        responses={200: CaseResource, 404: NO_CASE},
    )
    def retrieve(self, request: Request, case_id: str) -> Response:
        asked_for = [field for name, field in ADDITIONS.items() if request.query_params.get(name) == "true"]
        return Response(shown(own_case(request, case_id, at_once), *asked_for))

    @extend_schema(
        operation_id="changeCase",
        summary="Change what an open case goes by",
        tags=["cases"],
        parameters=[CASE_ID],
        request=CaseChange,
        responses={200: CaseResource, 404: NO_CASE, 409: codes("CASE_ALREADY_FINISHED", "ALREADY_SENT")},
        examples=[OpenApiExample("Patience", {"followUpDelayHours": 120}, request_only=True)],
    )
    def partial_update(self, request: Request, case_id: str) -> Response:
        case = own_case(request, case_id)
        change = CaseChange(data=body_of(request), context={"case": case})
        change.is_valid(raise_exception=True)
        return Response(shown(changes.change_case(case.pk, change.changes(), actor=caller_of(request).actor)))

    @extend_schema(
        operation_id="getAttachment",
        summary="An attachment and a link to download it",
        tags=["cases"],
        parameters=[CASE_ID, ATTACHMENT_ID],
        responses={200: AttachmentLink, 404: codes("CASE_NOT_FOUND", "ATTACHMENT_NOT_FOUND")},
    )
    @action(detail=True, url_path="attachments/<str:attachment_id>")
    def attachment(self, request: Request, case_id: str, attachment_id: str) -> Response:
        case = own_case(request, case_id)
        pk = parsed_id(attachment_id, AttachmentNotFound)
        attachment = Attachment.objects.shown(case).select_related("message").filter(pk=pk).first()
        if attachment is None:
            raise AttachmentNotFound
        return Response({**describe(attachment, case), **downloads.link(attachment)})

    @extend_schema(
        operation_id="provideInput",
        summary="Answer the question that the case waits on",
        tags=["cases"],
        parameters=[CASE_ID],
        request=Answer,
        responses={
            202: AnswerAccepted,
            404: NO_CASE,
            409: codes("CASE_NOT_WAITING_FOR_INPUT", "INPUT_REQUEST_NOT_PENDING", "INPUT_REQUEST_MISMATCH"),
        },
    )
    @action(detail=True, methods=["post"], url_path="input")
    def provide_input(self, request: Request, case_id: str) -> Response:
        case = own_case(request, case_id)
        answer = Answer(data=body_of(request))
        answer.is_valid(raise_exception=True)
        question = services.provide_input(
            case_id=case.pk,
            input_request_id=answer.validated_data["inputRequestId"],
            provided_context=answer.validated_data["providedContext"],
            actor=caller_of(request).actor,
        )
        return Response(AnswerAccepted(question).data, status=202)

    @extend_schema(
        operation_id="cancelCase",
        summary="End a case: nothing is sent any more",
        tags=["cases"],
        parameters=[CASE_ID],
        request=None,
        responses={200: CaseResource, 404: NO_CASE, 409: codes("CASE_ALREADY_FINISHED")},
    )
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, case_id: str) -> Response:
        case = own_case(request, case_id)
        body_of(request, may_be_empty=True)
        return Response(shown(services.cancel_case(case.pk, actor=caller_of(request).actor)))

    @extend_schema(
        operation_id="pauseCase",
        summary="Send and evaluate nothing until the case is resumed",
        tags=["cases"],
        parameters=[CASE_ID],
        request=None,
        responses={200: CaseResource, 404: NO_CASE, 409: codes("CASE_ALREADY_FINISHED")},
    )
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, case_id: str) -> Response:
        case = own_case(request, case_id)
        body_of(request, may_be_empty=True)
        return Response(shown(changes.pause_case(case.pk, actor=caller_of(request).actor)))

    @extend_schema(
        operation_id="resumeCase",
        summary="Let a paused case go on",
        tags=["cases"],
        parameters=[CASE_ID],
        request=None,
        responses={200: CaseResource, 404: NO_CASE, 409: codes("CASE_ALREADY_FINISHED")},
    )
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, case_id: str) -> Response:
        case = own_case(request, case_id)
        body_of(request, may_be_empty=True)
        return Response(shown(changes.resume_case(case.pk, actor=caller_of(request).actor)))

    @extend_schema(
        operation_id="reopenCase",
        summary="Go on with an ended case as a new one, in the same thread",
        tags=["cases"],
        parameters=[CASE_ID, IDEMPOTENCY_KEY, REPLAYED],
        request=Reopening,
        responses={
            201: CaseCreated,
            404: NO_CASE,
            409: codes("CASE_NOT_FINISHED", "CASE_ALREADY_REOPENED", "IDEMPOTENCY_KEY_IN_USE"),
            422: ONCE[422],
        },
        examples=[
            OpenApiExample("Another try", {"goal": {"objective": "Get the corrected invoice."}}, request_only=True)
        ],
    )
    @action(detail=True, methods=["post"])
    def reopen(self, request: Request, case_id: str) -> Response:
        case = own_case(request, case_id)
        body, caller = body_of(request, may_be_empty=True), caller_of(request)
        if caller.key.is_test and not case.is_test:
            raise Forbidden("A test key can't reopen a live case.")

        def act(asked: Asked | None) -> Response:
            anew = Reopening(data=body)
            anew.is_valid(raise_exception=True)
            successor = reopening.reopen_case(case.pk, actor=caller.actor, asked=asked, **anew.validated_data)
            return Response(CaseCreated(successor).data, status=201)

        return answered_once(request, body, act)
