"""Answers become models, whatever a later version of the service adds; events are believed only if they are signed."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest

from offload_client import AnswerMalformed, Case, WebhookInvalid, verify_webhook
from offload_client.webhooks import EventData
from offload_samples import CASE

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
EVENT = {
    "event_id": "evt_1",
    "event_type": "case.input_needed",
    "timestamp": 1772370000000,
    "data": {
        "caseId": "c",
        "status": "INPUT_NEEDED",
        "channel": "EMAIL",
        "attemptCount": 1,
        "attachments": [],
        "inputRequest": "Which?",
        "inputRequestedAt": 1772370000000,
    },
}
NOW = 1772370001


def signed(body: bytes, *, at: int = NOW, secret: str = SECRET) -> dict[str, str]:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signature = hmac.new(key, f"evt_1.{at}.".encode() + body, hashlib.sha256).digest()
    return {
        "Webhook-Id": "evt_1",
        "Webhook-Timestamp": str(at),
        "Webhook-Signature": f"v1a,other v1,{base64.b64encode(signature).decode()}",
    }


def test_a_case_is_read_and_what_is_unknown_is_kept() -> None:
    case = Case.from_json(CASE)
    assert (case.case_id, case.created_at) == (
        CASE["caseId"],
        datetime(2026, 3, 1, 12, 0, 0, 123000, tzinfo=UTC),
    )
    assert case.next_action_at is None
    assert case.counterparty["name"] == "Ann"
    assert (case.client_reference_id, case.sources, case.is_finished) == (None, None, False)
    assert case.open_question
    assert case.open_question.question == "Which?"
    assert case.raw["addedLater"] == {"by": "the service"}


def test_a_result_that_is_null_is_not_none_at_all() -> None:
    assert not Case.from_json(CASE).has_result
    case = Case.from_json({**CASE, "status": "COMPLETED", "result": None, "inputRequest": None})
    assert case.has_result
    assert case.is_finished
    assert case.open_question is None


def test_what_a_case_has_besides_is_read() -> None:
    plain = Case.from_json(CASE)
    assert (plain.deadline_at, plain.paused, plain.draft, plain.review_mode) == (None, False, None, None)
    file = {"name": "order.pdf", "size": 4, "type": "application/pdf", "sha256": "ab"}
    draft = {
        "id": "d",
        "purpose": "OUTREACH",
        "to": "ann@supplier.example",
        "subject": "Invoice",
        "body": "Please.",
        "attachments": [file],
        "hash": "h",
        "createdAt": 1772370000000,
    }
    more = {"deadlineAt": 1772370000000, "paused": True, "reopenedFrom": "old", "reviewMode": "all", "draft": draft}
    case = Case.from_json({**CASE, **more})
    assert (case.deadline_at, case.paused) == (datetime(2026, 3, 1, 13, tzinfo=UTC), True)
    assert (case.reopened_from, case.reopened_as, case.review_mode) == ("old", None, "all")
    assert case.draft
    assert (case.draft.id, case.draft.hash, case.draft.attachments[0].sha256) == ("d", "h", "ab")
    event = EventData.from_json({"caseId": "c", "draft": draft})
    assert event.draft == case.draft


def test_an_answered_question_is_not_open() -> None:
    case = Case.from_json({**CASE, "inputRequest": {**CASE["inputRequest"], "status": "RESOLVED"}})
    assert case.input_request is not None
    assert case.open_question is None


def test_what_is_always_there_may_not_be_missing() -> None:
    with pytest.raises(AnswerMalformed, match="updatedAt"):
        Case.from_json({name: value for name, value in CASE.items() if name != "updatedAt"})


def test_the_standards_own_signature_is_recognised() -> None:
    body = b'{"test": 2432232314}'
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    with pytest.raises(WebhookInvalid, match="the body is no event"):  # so the signature was right
        verify_webhook(SECRET, headers, body, now=1614265330)


def test_a_signed_event_is_read() -> None:
    body = json.dumps(EVENT).encode()
    event = verify_webhook(SECRET, signed(body), body, now=NOW)
    assert (event.event_id, event.event_type) == ("evt_1", "case.input_needed")
    assert event.timestamp == datetime(2026, 3, 1, 13, tzinfo=UTC)
    assert (event.data.case_id, event.data.input_request, event.data.failure_reason) == ("c", "Which?", None)


def test_one_of_several_secrets_is_enough() -> None:
    body = json.dumps(EVENT).encode()
    older = "whsec_" + base64.b64encode(b"another secret of 24 byt").decode()
    assert verify_webhook([older, SECRET], signed(body), body, now=NOW)
    assert verify_webhook([older, SECRET], signed(body, secret=older), body, now=NOW)
    with pytest.raises(WebhookInvalid, match="no signature"):
        verify_webhook(older, signed(body), body, now=NOW)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Webhook-Timestamp": str(NOW + 1)}, "no signature"),
        ({"Webhook-Id": "evt_2"}, "no signature"),
        ({"Webhook-Signature": ""}, "no signature"),
        ({"Webhook-Signature": "v1,é"}, "no signature"),
        ({"Webhook-Timestamp": ""}, "missing"),
        ({"Webhook-Timestamp": "1e9"}, "no number"),
        ({"Webhook-Timestamp": "٣"}, "no number"),
    ],
)
def test_what_is_not_signed_is_refused(change: dict[str, str], reason: str) -> None:
    body = json.dumps(EVENT).encode()
    with pytest.raises(WebhookInvalid, match=reason):
        verify_webhook(SECRET, {**signed(body), **change}, body, now=NOW)


def test_a_changed_body_is_refused() -> None:
    body = json.dumps(EVENT).encode()
    with pytest.raises(WebhookInvalid, match="no signature"):
        verify_webhook(SECRET, signed(body), body + b" ", now=NOW)


@pytest.mark.parametrize("off", [-301, 301])
def test_another_time_is_refused(off: int) -> None:
    body = json.dumps(EVENT).encode()
    with pytest.raises(WebhookInvalid, match="five minutes"):
        verify_webhook(SECRET, signed(body), body, now=NOW + off)
    assert verify_webhook(SECRET, signed(body), body, now=NOW + off // abs(off) * 300)


@pytest.mark.parametrize("body", [b"[]", b"no json", b'"text"', b'{"event_id": "evt_1"}'])
def test_a_signed_body_that_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(WebhookInvalid, match="no event"):
        verify_webhook(SECRET, signed(body), body, now=NOW)
