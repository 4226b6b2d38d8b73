"""The sandbox's API: for test keys, everything that a counterparty or its mail system can do."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.http import QueryDict
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import exceptions
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.settings import api_settings
from rest_framework.viewsets import ViewSet

from cases.authentication import caller_of
from cases.errors import Forbidden
from cases.fields import MediaType
from cases.models import Case
from cases.openapi import codes
from cases.request_body import body_of
from cases.time_travel import bring_nearer
from cases.views import CASE_ID, NO_CASE, own_case
from outreach import sandbox
from outreach.inbound.attachments import UNKNOWN, safe_name
from outreach.sandbox_fields import (
    SandboxAccepted,
    SandboxAdvance,
    SandboxBounce,
    SandboxMailbox,
    SandboxOutOfOffice,
    SandboxReply,
    SandboxReplyForm,
    SandboxSchedule,
)

MAX_REPLY_BYTES = 35_000_000  # a mail of 25 MB in base64, and a little
NOT_PLAYED = codes("NOT_A_SANDBOX_CASE")


class TooLarge(exceptions.APIException):
    """The body is larger than this route takes."""

    status_code = 413


class BoundedMultiPartParser(MultiPartParser):
    """multipart/form-data of at most MAX_REPLY_BYTES; a server reads no further than the length that was announced."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        """The form's fields and files. Raises TooLarge or ParseError."""
        if int(parser_context["request"].META.get("CONTENT_LENGTH") or 0) > MAX_REPLY_BYTES:
            raise TooLarge(f"The body is larger than {MAX_REPLY_BYTES} bytes.")
        return super().parse(stream, media_type, parser_context)


def _documented(
    operation_id: str, summary: str, *, takes: Any, says: str, example: dict[str, Any] | None = None
) -> Any:
    """What the routes that send mail to a case have in common in the OpenAPI document."""
    shown = [OpenApiExample("As JSON", example, request_only=True, media_type="application/json")] if example else []
    return extend_schema(
        operation_id=operation_id,
        summary=summary,
        description=says,
        tags=["sandbox"],
        parameters=[CASE_ID],
        request=takes,
        responses={202: SandboxAccepted, 404: NO_CASE, 409: codes("NOT_A_SANDBOX_CASE", "NOTHING_SENT_YET")},
        examples=shown,
    )


@extend_schema_view(
    mails=extend_schema(
        operation_id="sandboxMails",
        summary="The mailbox, as the counterparty sees it",
        description="Every mail of the case that was sent, oldest first.",
        tags=["sandbox"],
        parameters=[CASE_ID],
        responses={200: SandboxMailbox, 404: NO_CASE, 409: NOT_PLAYED},
    ),
    reply=_documented(
        "sandboxReply",
        "The counterparty answers the newest mail",
        takes={"application/json": SandboxReply, "multipart/form-data": SandboxReplyForm},
        says="The answer quotes the mail below its text, as mail programs do. Up to 20 files and 35 MB.",
        example={
            "text": "Invoice number: 2026-0042\nTotal: 1250.50",
            "attachments": [{"name": "invoice.pdf", "type": "application/pdf", "content": "JVBERi0xLjQK"}],
        },
    ),
    bounce=_documented(
        "sandboxBounce",
        "The newest mail can't be delivered",
        takes=SandboxBounce,
        says="A permanent bounce ends the case; a transient one changes nothing.",
        example={"permanent": True},
    ),
    complaint=_documented(
        "sandboxComplaint",
        "The newest mail is reported as spam",
        takes=None,
        says="Ends the case.",
    ),
    out_of_office=_documented(
        "sandboxOutOfOffice",
        "The counterparty is away",
        takes=SandboxOutOfOffice,
        says="An automatic reply. Nobody evaluates it; the next follow-up waits for the date, or without one for "
        "followUpDelayHours from now.",
        example={"until": "2027-01-31"},
    ),
    advance=extend_schema(
        operation_id="sandboxAdvance",
        summary="Let hours pass for the case",
        description="All that the case waits for comes so much nearer: follow-ups, pauses after failures, webhooks. "
        "What has been stays as it is, and so much longer ago: the limit of mails an hour counts it in.",
        tags=["sandbox"],
        parameters=[CASE_ID],
        request=SandboxAdvance,
        responses={200: SandboxSchedule, 404: NO_CASE, 409: NOT_PLAYED},
        examples=[OpenApiExample("Three days", {"hours": 72}, request_only=True)],
    ),
)
class SandboxViewSet(ViewSet):
    """A sandbox case seen from the other side. Any test key serves all sandbox cases of its client."""

    lookup_url_kwarg = "case_id"
    max_body_bytes = settings.OFFLOAD_MAX_BODY_BYTES

    @action(detail=True)
    def mails(self, request: Request, case_id: str) -> Response:
        return Response({"mails": sandbox.mailbox(_played_case(request, case_id))})

    @action(
        detail=True,
        methods=["post"],
        parser_classes=[*api_settings.DEFAULT_PARSER_CLASSES, BoundedMultiPartParser],
        max_body_bytes=MAX_REPLY_BYTES,
    )
    def reply(self, request: Request, case_id: str) -> Response:
        case = _played_case(request, case_id)
        given = SandboxReply(data=_with_files(request))
        given.is_valid(raise_exception=True)
        return _accepted(case, sandbox.reply(case, **given.mail()))

    @action(detail=True, methods=["post"])
    def bounce(self, request: Request, case_id: str) -> Response:
        case = _played_case(request, case_id)
        return _accepted(case, sandbox.bounce(case, **_valid(SandboxBounce, request, may_be_empty=True)))

    @action(detail=True, methods=["post"])
    def complaint(self, request: Request, case_id: str) -> Response:
        case = _played_case(request, case_id)
        body_of(request, may_be_empty=True)
        return _accepted(case, sandbox.complaint(case))

    @action(detail=True, methods=["post"], url_path="out-of-office")
    def out_of_office(self, request: Request, case_id: str) -> Response:
        case = _played_case(request, case_id)
        return _accepted(case, sandbox.out_of_office(case, **_valid(SandboxOutOfOffice, request, may_be_empty=True)))

    @action(detail=True, methods=["post"])
    def advance(self, request: Request, case_id: str) -> Response:
        case = _played_case(request, case_id)
        length = timedelta(hours=_valid(SandboxAdvance, request)["hours"])
        bring_nearer(case.pk, length, actor=caller_of(request).actor)
        case.refresh_from_db()
        return Response(SandboxSchedule(case).data)


def _played_case(request: Request, case_id: str) -> Case:
    """The caller's sandbox case. Raises Forbidden for a live key, and NotASandboxCase."""
    if not caller_of(request).key.is_test:
        raise Forbidden("The sandbox is for test keys.")
    case = own_case(request, case_id)
    if case.transport != "sandbox":
        raise sandbox.NotASandboxCase
    return case


def _valid(takes: type[Serializer[Any]], request: Request, *, may_be_empty: bool = False) -> dict[str, Any]:
    # As a dict: an empty body sent as a form arrives as one, whose absent boxes REST framework takes for unchecked.
    given = takes(data=dict(body_of(request, may_be_empty=may_be_empty)))
    given.is_valid(raise_exception=True)
    return dict(given.validated_data)


def _with_files(request: Request) -> dict[str, Any]:
    """The reply as one dict, whether it came as JSON or as a form."""
    data = body_of(request)
    if not isinstance(data, QueryDict):
        return dict(data)
    texts = {name: data[name] for name in ("text", "html") if isinstance(data.get(name), str)}
    uploads = [upload for name in request.FILES for upload in request.FILES.getlist(name)]
    return {**texts, "attachments": [_uploaded(upload) for upload in uploads]}


def _uploaded(upload: Any) -> dict[str, Any]:
    """The file; forms name types more carelessly than JSON's authors, and the type is told by the bytes anyway."""
    declared = upload.content_type or ""
    return {
        "name": safe_name(upload.name or ""),
        "type": declared if MediaType.PATTERN.fullmatch(declared) else UNKNOWN,
        "content": upload.read(),
    }


def _accepted(case: Case, message_id: str) -> Response:
    return Response({"caseId": case.pk, "messageId": message_id}, status=202)
