"""What the service posts to a clientWebhookUrl: is it genuine, and what does it say?

Signed by Standard Webhooks (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from offload_client.errors import AnswerMalformed, WebhookInvalid
from offload_client.models import Attachment, Draft, Model, each, moment, read

TOLERANCE_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class EventData(Model):
    """What the event says of its case; a `webhook.test` has none. What an event of its type does not say is None."""

    case_id: str = ""
    status: str = ""
    channel: str = ""
    attempt_count: int = 0
    attachments: tuple[Attachment, ...] = read(each(Attachment), default=())
    client_reference_id: str | None = None
    metadata: Mapping[str, Any] | None = None
    result_status: str | None = None
    result: Any = None
    failure_reason: str | None = None
    input_request: str | None = None  # the question
    input_request_id: str | None = None
    input_request_status: str | None = None
    input_requested_at: datetime | None = read(moment, default=None)
    input_request_options: list[str] | None = None
    input_request_answer_schema: Mapping[str, Any] | None = None
    message_id: str | None = None  # the `id` of a Message
    draft: Draft | None = read(Draft.from_json, default=None)


@dataclass(frozen=True, kw_only=True)
class WebhookEvent(Model):
    """An event. Tell repetitions by `event_id`; `timestamp` is when it happened, not when it was sent."""

    event_id: str = read(str, name="event_id")
    event_type: str = read(str, name="event_type")
    timestamp: datetime = read(moment)
    data: EventData = read(EventData.from_json)


def verify_webhook(
    secret: str | Sequence[str], headers: Mapping[str, str], body: bytes, *, now: float | None = None
) -> WebhookEvent:
    """The event, if it is signed with the secret (or one of several) and not older or newer than five minutes.

    `body` is what came over the wire, before anything parses it. Raises WebhookInvalid.
    """
    given = {name.lower(): value for name, value in headers.items()}
    message_id, timestamp = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    if not timestamp.isascii() or not timestamp.isdigit():
        raise WebhookInvalid("webhook-timestamp is missing or no number")
    if abs((time.time() if now is None else now) - int(timestamp)) > TOLERANCE_SECONDS:
        raise WebhookInvalid("webhook-timestamp is more than five minutes off")
    signed = f"{message_id}.{timestamp}.".encode() + body
    ours = [_signature(each_secret, signed) for each_secret in ([secret] if isinstance(secret, str) else secret)]
    theirs = given.get("webhook-signature", "").encode().split()
    if not any(hmac.compare_digest(one, other) for one in ours for other in theirs):
        raise WebhookInvalid("no signature in webhook-signature is by the secret")
    return _event(body)


def _signature(secret: str, signed: bytes) -> bytes:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())


def _event(body: bytes) -> WebhookEvent:
    try:
        return WebhookEvent.from_json(json.loads(body))
    except (ValueError, TypeError, AttributeError, AnswerMalformed) as error:
        raise WebhookInvalid("the body is no event") from error
