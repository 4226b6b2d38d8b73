"""What clients were told of a person who is to be forgotten; see cases/erasure.py."""

import json
from typing import Any

from cases.erasure import ERASED, Person
from cases.models import Case
from webhooks import payloads
from webhooks.models import Attempt, Delivery

# Of an event's data: what says nothing of the person.
KEPT = frozenset(
    [
        "caseId",
        "status",
        "channel",
        "attemptCount",
        "resultStatus",
        "messageId",
        "inputRequestId",
        "inputRequestStatus",
        "inputRequestedAt",
    ]
)
STRUCK = frozenset({"clientReferenceId", "metadata"})
REPLACED = frozenset({"inputRequest", "failureReason"})


def erase(case: Case, person: Person, *, keep_results: bool) -> None:
    """Bodies of a case that you hold locked lose what may be about the person. What has still to be sent says as much
    as is left: that the case has ended, and how."""
    for delivery in Delivery.objects.filter(case=case).select_for_update(of=("self",)):
        delivery.body = _redacted(bytes(delivery.body), person, keep_results=keep_results)
        delivery.url = person.struck_from(delivery.url)
        delivery.note = person.struck_from(delivery.note)
        delivery.last_error = ""
        delivery.save(update_fields=["body", "url", "note", "last_error"])
    attempts = Attempt.objects.filter(delivery__case=case)
    attempts.update(response_body="", response_headers={})
    attempts.exclude(error="").update(error=ERASED)


def strike(case: Case, person: Person) -> None:
    """Only their name and address go."""
    for delivery in Delivery.objects.filter(case=case).select_for_update(of=("self",)):
        body = _read(bytes(delivery.body))
        if (struck := person.struck_from(body)) != body:
            delivery.body = payloads.encode(struck)
            delivery.save(update_fields=["body"])
    for attempt in Attempt.objects.filter(delivery__case=case):
        attempt.response_body = person.struck_from(attempt.response_body)
        attempt.response_headers = person.struck_from(attempt.response_headers)
        attempt.save(update_fields=["response_body", "response_headers"])


def _redacted(raw: bytes, person: Person, *, keep_results: bool) -> bytes:
    body = _read(raw)
    data = body.get("data", {})
    body["data"] = {
        key: new for key, value in data.items() if (new := _of(key, value, person, keep_results)) is not None
    }
    return payloads.encode(body)


def _of(key: str, value: Any, person: Person, keep_results: bool) -> Any:
    """What is left of one value; None: the key goes."""
    if key in KEPT or (key == "result" and keep_results):
        return value
    if key in STRUCK:
        return person.struck_from(value)
    if key in REPLACED:
        return ERASED
    return [] if key == "attachments" else None


def _read(raw: bytes) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(raw)
    return body
