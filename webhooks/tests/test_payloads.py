import json
from datetime import UTC, datetime
from typing import Any

import pytest

from cases.factories import AttachmentFactory, CaseFactory, InputRequestFactory, MessageFactory
from cases.models import Case, Direction, Event, Status
from webhooks import payloads

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 1, 12, 0, 0, 123_999, tzinfo=UTC)
AT_MS = 1772366400123


def built(case: Case, type_: str, **data: Any) -> dict[str, Any]:
    return payloads.build(case, Event(case=case, type=type_, data=data))


def test_a_completed_case_with_all_that_can_be_given() -> None:
    case = CaseFactory(
        status=Status.COMPLETED,
        attempt_count=3,
        created_at=AT,
        updated_at=AT,
        client_reference_id="PO-7",
        metadata={"team": "süd", "n": [1, None]},
        result={"total": 12.5, "paid": False},
        our_address="case-1@sandbox.invalid",
    )
    attachment = AttachmentFactory(
        message=MessageFactory(case=case, direction=Direction.IN, message_id="<a@supplier.example>", created_at=AT),
        name="Rechnung März.pdf",
        content=b"%PDF",
    )
    assert built(case, "case.completed", reason="not told") == {
        "event_id": f"evt_{case.pk}_case_completed_{AT_MS}",
        "event_type": "case.completed",
        "timestamp": AT_MS,
        "data": {
            "caseId": str(case.pk),
            "status": "COMPLETED",
            "channel": "EMAIL",
            "attemptCount": 3,
            "attachments": [
                {
                    "attachmentId": str(attachment.pk),
                    "name": "Rechnung März.pdf",
                    "size": 4,
                    "type": "application/pdf",
                    "messageId": "<a@supplier.example>",
                    "inboxId": "case-1@sandbox.invalid",
                    "receivedAt": AT_MS,
                }
            ],
            "clientReferenceId": "PO-7",
            "metadata": {"team": "süd", "n": [1, None]},
            "resultStatus": "goal_achieved",
            "result": {"total": 12.5, "paid": False},
        },
    }


def test_a_completed_case_with_the_least_that_there_can_be() -> None:
    case = CaseFactory(status=Status.COMPLETED, updated_at=AT)
    assert built(case, "case.completed")["data"] == {
        "caseId": str(case.pk),
        "status": "COMPLETED",
        "channel": "EMAIL",
        "attemptCount": 1,
        "attachments": [],
        "resultStatus": "goal_achieved",
    }


def test_null_is_a_result_where_a_schema_allows_it() -> None:
    case = CaseFactory(status=Status.COMPLETED, result_schema={"type": "null"}, updated_at=AT)
    assert built(case, "case.completed")["data"]["result"] is None


@pytest.mark.parametrize("reason", ["They said no.", None])
def test_a_failed_case_says_why_even_where_there_is_nothing_to_say(reason: str | None) -> None:
    case = CaseFactory(status=Status.FAILED, failure_reason=reason, updated_at=AT)
    assert built(case, "case.failed") == {
        "event_id": f"evt_{case.pk}_case_failed_{AT_MS}",
        "event_type": "case.failed",
        "timestamp": AT_MS,
        "data": {
            "caseId": str(case.pk),
            "status": "FAILED",
            "channel": "EMAIL",
            "attemptCount": 1,
            "attachments": [],
            "resultStatus": "failed_rejected",
            "failureReason": reason,
        },
    }


def test_a_question_with_its_id_and_time() -> None:
    question = InputRequestFactory(case__updated_at=AT, question="May we pay 200 €?", requested_at=AT)
    case = question.case
    assert built(case, "case.input_needed", inputRequestId=str(question.pk)) == {
        "event_id": f"evt_{case.pk}_case_input_needed_{AT_MS}",
        "event_type": "case.input_needed",
        "timestamp": AT_MS,
        "data": {
            "caseId": str(case.pk),
            "status": "INPUT_NEEDED",
            "channel": "EMAIL",
            "attemptCount": 1,
            "attachments": [],
            "inputRequest": "May we pay 200 €?",
            "inputRequestId": str(question.pk),
            "inputRequestStatus": "PENDING",
            "inputRequestedAt": AT_MS,
        },
    }


def test_what_a_question_may_be_answered_with() -> None:
    schema = {"type": "number", "minimum": 0}
    question = InputRequestFactory(options=["Yes", "No"], answer_schema=schema)
    data = built(question.case, "case.input_needed", inputRequestId=str(question.pk))["data"]
    assert (data["inputRequestOptions"], data["inputRequestAnswerSchema"]) == (["Yes", "No"], schema)


@pytest.mark.parametrize(("metadata", "reference"), [({}, ""), (None, None)])
def test_what_was_given_empty_is_told_empty(metadata: dict[str, Any] | None, reference: str | None) -> None:
    case = CaseFactory(status=Status.FAILED, metadata=metadata, client_reference_id=reference)
    data = built(case, "case.failed")["data"]
    assert ("metadata" in data, "clientReferenceId" in data) == (metadata is not None, reference is not None)


def test_files_that_came_after_the_end_are_not_told() -> None:
    case = CaseFactory(status=Status.COMPLETED)
    AttachmentFactory(message=MessageFactory(case=case, direction=Direction.IN, is_after_end=True))
    assert built(case, "case.completed")["data"]["attachments"] == []


def test_the_bytes_are_compact_utf_8_in_the_order_of_the_keys() -> None:
    assert payloads.encode({"b": "ü€😀", "a": [1, None, True, 1.5]}) == '{"b":"ü€😀","a":[1,null,true,1.5]}'.encode()
    with pytest.raises(ValueError):
        payloads.encode({"a": float("nan")})


def test_a_body_can_be_read_back() -> None:
    body = built(CaseFactory(status=Status.FAILED, failure_reason='a "b"\n\u2028'), "case.failed")
    assert json.loads(payloads.encode(body)) == body
