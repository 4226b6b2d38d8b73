"""`POST /inbound/agentmail`: where AgentMail tells what has happened. Nothing is understood here, only stored."""

import json
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError, WebhookVerificationError

from outreach.agentmail import door

MAX_BYTES = 1_500_000  # AgentMail leaves the bodies out above 1 MB
SIGNED_BY = ("svix-id", "svix-timestamp", "svix-signature")  # Standard Webhooks under the names it had before


class TooLarge(exceptions.APIException):
    """The body is larger than this route takes."""

    status_code = 413
    default_detail = f"The body is larger than {MAX_BYTES} bytes."


class NotSigned(exceptions.AuthenticationFailed):
    """No signature of ours, a wrong one, or one from another hour."""

    default_detail = "The request is not signed, not by this endpoint's secret, or not within the last five minutes."


@extend_schema(exclude=True)
class AgentMailEvents(APIView):
    """One event at a time. Answered 200 once it is stored, and also where it is known already."""

    authentication_classes = ()
    permission_classes = ()

    def post(self, request: Request) -> Response:
        body = _body(request)
        _verify(body, request)
        return Response({"stored": door.take(_event(body), body, request.headers["svix-id"])})


def _body(request: Request) -> bytes:
    """The raw bytes, of which no more than the limit are read: the signature is over them, not over what they mean."""
    body: bytes = request.stream.read(MAX_BYTES + 1) if request.stream else b""
    if len(body) > MAX_BYTES:
        raise TooLarge
    return body


def _verify(body: bytes, request: Request) -> None:
    """Raise NotSigned unless one of the configured secrets has signed the body within five minutes."""
    headers = {name.replace("svix-", "webhook-"): request.headers.get(name, "") for name in SIGNED_BY}
    if not any(_is_signed(secret, body, headers) for secret in settings.AGENTMAIL_WEBHOOK_SECRET):
        raise NotSigned


def _is_signed(secret: str, body: bytes, headers: dict[str, str]) -> bool:
    try:
        Webhook(secret).verify(body, headers, json_parse=False)
    except (WebhookVerificationError, EmptyWebhookSecretError, ValueError):  # ValueError: not base64, or not UTF-8
        return False
    return True


def _event(body: bytes) -> dict[str, Any]:
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise exceptions.ParseError("The body is not valid JSON.") from error
    if not isinstance(event, dict):
        raise exceptions.ParseError("The body must be a JSON object.")
    return event
