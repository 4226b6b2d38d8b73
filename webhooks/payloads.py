"""What the client is told: the event's body, frozen when it happens."""

import json
from typing import Any

from django.conf import settings

from cases.models import Case, Draft, Event, Status
from cases.payload_parts import attachment_metadata, draft_content, milliseconds


def build(case: Case, event: Event) -> dict[str, Any]:
    """The event's body; keys that have no value on this case are absent."""
    return {
        "event_id": event_id(case, event),
        "event_type": event.type,
        "timestamp": milliseconds(case.updated_at),
        "data": _data(case, event),
    }


def event_id(case: Case, event: Event) -> str:
    """The key that clients tell repetitions by.

    Of the events that all clients hear of, no two of a case share an `updated_at`; others are told apart by their line
    of the timeline.
    """
    key = f"evt_{case.pk}_{event.type.replace('.', '_')}_{milliseconds(case.updated_at)}"
    return f"{key}_{event.pk}" if event.type in settings.OFFLOAD_OPTIONAL_EVENTS else key


def encode(body: dict[str, Any]) -> bytes:
    """The bytes that are signed and sent: compact JSON in UTF-8."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _data(case: Case, event: Event) -> dict[str, Any]:
    data: dict[str, Any] = {
        "caseId": str(case.pk),
        "status": str(case.status),
        "channel": case.channel,
        "attemptCount": case.attempt_count,
        "attachments": attachment_metadata(case),
    }
    if case.client_reference_id is not None:
        data["clientReferenceId"] = case.client_reference_id
    if case.metadata is not None:
        data["metadata"] = case.metadata
    if case.is_terminal:
        data["resultStatus"] = case.result_status
    if case.has_result:
        data["result"] = case.result
    if case.status == Status.FAILED:
        data["failureReason"] = case.failure_reason
    if event.type in {"case.input_needed", "case.input_overdue"}:
        data |= _question(case, event)
    if event.type == "case.draft_ready":
        data["draft"] = draft_content(Draft.objects.get(pk=event.data["messageId"]))
    if "messageId" in event.data:
        data["messageId"] = event.data["messageId"]
    return data


def _question(case: Case, event: Event) -> dict[str, Any]:
    request = case.input_requests.get(pk=event.data["inputRequestId"])
    data: dict[str, Any] = {
        "inputRequest": request.question,
        "inputRequestId": str(request.pk),
        "inputRequestStatus": str(request.status),
        "inputRequestedAt": milliseconds(request.requested_at),
    }
    if request.options is not None:
        data["inputRequestOptions"] = request.options
    if request.answer_schema is not None:
        data["inputRequestAnswerSchema"] = request.answer_schema
    return data
