"""The least that Django needs to answer POST /cases and GET /cases/{id}: what benchmarks/post_get.py measures against.

Bare views without middleware: a SELECT of the key by its digest, and two INSERTs in one transaction, or a SELECT of the
case. The rows are the product's own, and so are database, pool and durability. Nothing is checked, limited or counted.
`Bare`, the same INSERTs in a view of REST framework without any of its options, shows how much of the way that is.
"""

import json
from typing import Any

from django.core.handlers.wsgi import WSGIHandler
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import override_settings
from django.urls import path
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from rest_framework.parsers import JSONParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cases.models import ApiKey, Case, Event
from cases.models.clients import hash_key


def key_of(request: HttpRequest | Request) -> ApiKey:
    return ApiKey.objects.get(key_hash=hash_key(request.headers["x-api-key"]))


def insert(key: ApiKey, body: dict[str, Any]) -> Case:
    """The rows that a case begins with, with the same columns filled as the product fills."""
    now = timezone.now()
    with transaction.atomic():
        case: Case = Case.objects.create(
            client_id=key.client_id,
            is_test=key.is_test,
            channel=body["channel"],
            goal=body["goal"],
            counterparty=body["counterparty"],
            counterparty_address=body["counterparty"]["address"],
            sender_persona=body["senderPersona"],
            client_reference_id=body["clientReferenceId"],
            constraints=body["constraints"],
            result_schema=body["resultSchema"],
            client_webhook_url=body["clientWebhookUrl"],
            metadata=body["metadata"],
            transport="sandbox",
            created_at=now,
            updated_at=now,
            due_at=now,
        )
        Event.objects.create(case=case, type="case.created", actor=key.prefix, at=now)
    return case


@csrf_exempt
def create(request: HttpRequest) -> HttpResponse:
    case = insert(key_of(request), json.loads(request.body))
    return JsonResponse({"ok": True, "data": {"caseId": case.pk}}, status=201)


def retrieve(request: HttpRequest, case_id: str) -> HttpResponse:
    case = Case.objects.get(pk=case_id, client_id=key_of(request).client_id)
    data = {
        "caseId": case.pk,
        "clientReferenceId": case.client_reference_id,
        "status": case.status,
        "createdAt": case.created_at,
        "updatedAt": case.updated_at,
        "nextActionAt": case.next_action_at,
        "attemptCount": case.attempt_count,
        "maxAttempts": case.max_attempts,
        "channel": case.channel,
        "counterparty": case.counterparty,
        "goal": case.goal,
        "resultSchema": case.result_schema,
        "senderPersona": case.sender_persona,
        "constraints": case.constraints,
    }
    return JsonResponse({"ok": True, "data": data})


class Bare(APIView):
    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    parser_classes = (JSONParser,)
    renderer_classes = (JSONRenderer,)

    def post(self, request: Request) -> Response:
        body: Any = request.data
        case = insert(key_of(request), body)
        return Response({"ok": True, "data": {"caseId": case.pk}}, status=201)


urlpatterns = [path("cases", create), path("cases/<str:case_id>", retrieve), path("bare", Bare.as_view())]


class Floor(WSGIHandler):
    """Django's handler, with these routes and no middleware."""

    def load_middleware(self, is_async: bool = False) -> None:
        with override_settings(MIDDLEWARE=[]):
            super().load_middleware(is_async)

    def get_response(self, request: HttpRequest) -> Any:
        request.urlconf = __name__
        return super().get_response(request)
