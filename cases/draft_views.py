"""The API of a draft that waits: approve it, change its words, or have it written anew. cases/drafts.py decides."""

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.viewsets import ViewSet

from cases import drafts
from cases.authentication import caller_of
from cases.errors import DraftNotFound
from cases.models import Scope
from cases.openapi import codes
from cases.request_body import body_of
from cases.resources import CaseResource
from cases.serializers import Approval, DraftEdit, DraftRejection
from cases.views import CASE_ID, own_case, parsed_id, shown

DRAFT_ID = OpenApiParameter("draft_id", OpenApiTypes.UUID, OpenApiParameter.PATH)
NO_DRAFT = codes("CASE_NOT_FOUND", "DRAFT_NOT_FOUND")
NOT_PENDING, OR_CHANGED = codes("DRAFT_NOT_PENDING"), codes("DRAFT_NOT_PENDING", "DRAFT_CHANGED")


def decision(name: str, summary: str, body: type[Serializer[Any]], conflict: OpenApiResponse) -> Any:
    """The description of one of the routes; each answers with the case as it is then."""
    return extend_schema(
        operation_id=f"{name}Draft",
        summary=summary,
        tags=["drafts"],
        parameters=[CASE_ID, DRAFT_ID],
        request=body,
        responses={200: CaseResource, 404: NO_DRAFT, 409: conflict},
    )


class DraftViewSet(ViewSet):
    """The drafts of a client's own case. Deciding on them takes a scope of its own."""

    lookup_url_kwarg = "draft_id"
    scopes: ClassVar = dict.fromkeys(("approve", "edit", "reject"), Scope.APPROVALS)

    @decision("approve", "Have the draft sent as it is", Approval, OR_CHANGED)
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, case_id: str, draft_id: str) -> Response:
        ids, said = _asked(request, case_id, draft_id, Approval)
        return Response(shown(drafts.approve(*ids, hash=said["hash"], actor=caller_of(request).actor)))

    @decision("edit", "Change the draft's words; it goes on waiting, under another hash", DraftEdit, OR_CHANGED)
    @action(detail=True, methods=["post"])
    def edit(self, request: Request, case_id: str, draft_id: str) -> Response:
        ids, said = _asked(request, case_id, draft_id, DraftEdit)
        return Response(shown(drafts.edit(*ids, **said, actor=caller_of(request).actor)))

    @decision("reject", "Have the draft written anew, heeding a reason", DraftRejection, NOT_PENDING)
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, case_id: str, draft_id: str) -> Response:
        ids, said = _asked(request, case_id, draft_id, DraftRejection)
        return Response(shown(drafts.reject(*ids, reason=said["reason"], actor=caller_of(request).actor)))


def _asked(request: Request, case_id: str, draft_id: str, body: type[Serializer[Any]]) -> tuple[Any, dict[str, Any]]:
    """The ids of the caller's case and of the draft, and the valid body."""
    ids = own_case(request, case_id).pk, parsed_id(draft_id, DraftNotFound)
    said = body(data=body_of(request))
    said.is_valid(raise_exception=True)
    return ids, said.validated_data
