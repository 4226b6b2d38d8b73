"""GET /cases/{id}: the contract's fields, each present exactly when it should be."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from cases import services
from cases.factories import AttachmentFactory, CaseFactory, InputRequestFactory, MessageFactory
from cases.models import Case, RequestStatus, Status
from cases.tests.conftest import VALID, Api, error_of
from cases.tests.test_api_create import FULL
from cases.views import shown

CREATED_AT = datetime(2026, 3, 1, 12, 0, 0, 123000, tzinfo=UTC)
CREATED_MS = 1772366400123
ALWAYS = {
    "caseId",
    "status",
    "createdAt",
    "updatedAt",
    "nextActionAt",
    "attemptCount",
    "maxAttempts",
    "channel",
    "counterparty",
    "attachments",
    "goal",
    "senderPersona",
    "inputRequest",
}


def case_of(api: Api, **fields: Any) -> Any:
    return CaseFactory(client=api.key.client, **fields)


def get(api: Api, case: Any, **query: str) -> dict[str, Any]:
    response = api.get(f"/cases/{case.pk}", **query)
    assert response.status_code == 200
    assert response.json().keys() == {"ok", "data"}
    return response.json()["data"]  # type: ignore[no-any-return]


def test_a_new_case_shows_what_was_sent_and_nothing_else(api: Api) -> None:
    case_id = api.post("/cases", VALID).json()["data"]["caseId"]
    shown = api.get(f"/cases/{case_id}").json()["data"]
    assert shown.keys() == ALWAYS
    assert shown["createdAt"] == shown["updatedAt"]
    assert {name: shown[name] for name in ALWAYS - {"createdAt", "updatedAt"}} == {
        "caseId": case_id,
        "status": "CREATED",
        "nextActionAt": 253402300799999,
        "attemptCount": 0,
        "maxAttempts": 3,
        "channel": "EMAIL",
        "counterparty": VALID["counterparty"],
        "attachments": [],
        "goal": VALID["goal"],
        "senderPersona": VALID["senderPersona"],
        "inputRequest": None,
    }


def test_optional_fields_that_were_given_are_shown_as_they_were_sent(api: Api) -> None:
    case_id = api.post("/cases", FULL).json()["data"]["caseId"]
    shown = api.get(f"/cases/{case_id}").json()["data"]
    assert shown.keys() == ALWAYS | {"clientReferenceId", "resultSchema", "constraints", "language"}
    for field in (
        "goal",
        "counterparty",
        "senderPersona",
        "clientReferenceId",
        "resultSchema",
        "constraints",
        "language",
    ):
        assert shown[field] == FULL[field]
    assert shown["maxAttempts"] == 0


def test_empty_is_not_absent(api: Api) -> None:
    case = case_of(api, client_reference_id="", constraints=[], result_schema={})
    shown = get(api, case)
    assert (shown["clientReferenceId"], shown["constraints"], shown["resultSchema"]) == ("", [], {})


def test_times_are_unix_milliseconds(api: Api) -> None:
    case = case_of(
        api,
        status=Status.RUNNING,
        created_at=CREATED_AT,
        updated_at=CREATED_AT + timedelta(milliseconds=1),
        next_action_at=CREATED_AT + timedelta(hours=72),
    )
    shown = get(api, case)
    assert (shown["createdAt"], shown["updatedAt"]) == (CREATED_MS, CREATED_MS + 1)
    assert shown["nextActionAt"] == CREATED_MS + 72 * 3600 * 1000
    assert shown["attemptCount"] == 1


def test_null_is_a_result_where_a_schema_allows_it(api: Api) -> None:
    case = case_of(api, status=Status.COMPLETED, result=None, result_schema={"type": "null"}, sources=[])
    shown = get(api, case, includeSources="true")
    assert (shown["result"], shown["sources"]) == (None, [])
    assert "result" not in get(api, case_of(api, status=Status.COMPLETED, result=None))
    assert "result" not in get(api, case_of(api, status=Status.RUNNING, result_schema={"type": "null"}))


@pytest.mark.parametrize("result", [{"total": 12.5}, {}, [], "text", 0, False])
def test_a_completed_case_shows_its_result(api: Api, result: Any) -> None:
    shown = get(api, case_of(api, status=Status.COMPLETED, result=result))
    assert (shown["status"], shown["resultStatus"], shown["result"]) == ("COMPLETED", "goal_achieved", result)
    assert shown.keys() == ALWAYS | {"resultStatus", "result"}
    assert shown["nextActionAt"] == 253402300799999


def test_a_failed_case_shows_why_and_no_sentence(api: Api) -> None:
    case = case_of(
        api, status=Status.FAILED, result_status="BOUNCED", failure_reason="secret", metadata={"m": "secret"}
    )
    response = api.get(f"/cases/{case.pk}")
    shown = response.json()["data"]
    assert shown.keys() == ALWAYS | {"resultStatus"}
    assert (shown["status"], shown["resultStatus"]) == ("FAILED", "BOUNCED")
    assert "secret" not in response.content.decode()


def test_the_open_question_is_shown(api: Api) -> None:
    case = case_of(api, status=Status.INPUT_NEEDED)
    InputRequestFactory(case=case, status=RequestStatus.SUPERSEDED, requested_at=CREATED_AT)
    question = InputRequestFactory(case=case, question="May we pay 200 EUR?", requested_at=CREATED_AT)
    assert get(api, case)["inputRequest"] == {
        "id": str(question.pk),
        "question": "May we pay 200 EUR?",
        "status": "PENDING",
        "requestedAt": CREATED_MS,
    }


@pytest.mark.parametrize("status", [RequestStatus.RESOLVED, RequestStatus.SUPERSEDED, RequestStatus.CLOSED])
def test_without_one_the_last_that_was_resolved_is_shown(api: Api, status: RequestStatus) -> None:
    case = case_of(api, status=Status.RUNNING)
    later = CREATED_AT + timedelta(hours=1)
    last = InputRequestFactory(case=case, status=status, requested_at=CREATED_AT, resolved_at=later)
    InputRequestFactory(
        case=case, status=RequestStatus.RESOLVED, requested_at=CREATED_AT + timedelta(minutes=1), resolved_at=CREATED_AT
    )
    shown = get(api, case)["inputRequest"]
    assert (shown["id"], shown["status"]) == (str(last.pk), "RESOLVED")


def test_attachments_are_listed_without_their_content(api: Api) -> None:
    case = case_of(api, status=Status.RUNNING)
    message = MessageFactory(case=case, direction="IN", message_id="<m1@supplier.example>", created_at=CREATED_AT)
    attachment = AttachmentFactory(message=message, name="Rechnung März.pdf")
    AttachmentFactory(message__case=case, message__is_after_end=True)
    AttachmentFactory()  # of another case
    assert get(api, case)["attachments"] == [
        {
            "attachmentId": str(attachment.pk),
            "name": "Rechnung März.pdf",
            "size": 19,
            "type": "application/pdf",
            "messageId": "<m1@supplier.example>",
            "inboxId": case.our_address,
            "receivedAt": CREATED_MS,
        }
    ]


def test_the_transcript_comes_only_by_that_word(api: Api) -> None:
    case = case_of(api, status=Status.RUNNING)
    MessageFactory(case=case, text="Please send us the invoice.")
    assert "Please send us the invoice." in get(api, case, includeTranscript="true")["conversationThread"]
    for other in ("", "True", "TRUE", "1", "yes", "true ", "false"):
        assert "conversationThread" not in get(api, case, includeTranscript=other)
    assert "conversationThread" not in get(api, case)


def test_without_messages_the_transcript_is_null(api: Api) -> None:
    shown = get(api, case_of(api), includeTranscript="true")
    assert shown.keys() == ALWAYS | {"conversationThread"}
    assert shown["conversationThread"] is None


SOURCES = [{"path": "/total", "source_id": "goal", "quote": "12.5"}]


def test_the_sources_of_a_result_come_only_by_that_word(api: Api) -> None:
    case = case_of(api, status=Status.COMPLETED, result={"total": 12.5}, sources=SOURCES)
    shown = get(api, case, includeSources="true")
    assert shown.keys() == ALWAYS | {"resultStatus", "result", "sources"}
    assert shown["sources"] == [{"path": "/total", "sourceId": "goal", "quote": "12.5"}]
    for other in ("", "True", "1", "yes", "true ", "false"):
        assert "sources" not in get(api, case, includeSources=other)
    assert "sources" not in get(api, case, includeTranscript="true")
    both = get(api, case, includeSources="true", includeTranscript="true")
    assert both.keys() == shown.keys() | {"conversationThread"}


@pytest.mark.parametrize("status", [Status.CREATED, Status.RUNNING, Status.INPUT_NEEDED, Status.FAILED])
def test_without_a_result_its_sources_are_null(api: Api, status: Status) -> None:
    shown = get(api, case_of(api, status=status, sources=[]), includeSources="true")
    assert shown["sources"] is None
    assert "result" not in shown


@pytest.mark.parametrize("sources", [None, []])
def test_a_result_in_which_nothing_needs_a_source_has_an_empty_list(api: Api, sources: Any) -> None:
    case = case_of(api, status=Status.COMPLETED, result={}, sources=sources)
    assert get(api, case, includeSources="true")["sources"] == []


def test_a_result_that_a_person_entered_has_them_as_its_source(api: Api) -> None:
    case = case_of(api, status=Status.RUNNING)
    services.complete_case(case.pk, result={"total": 1}, actor="staff ann")
    sources = get(api, case, includeSources="true")["sources"]
    assert sources == [{"path": "", "sourceId": "staff ann", "quote": ""}]


@pytest.mark.parametrize(
    "case_id",
    [
        "00000000-0000-4000-8000-000000000000",
        "1",
        "not-a-uuid",
        "{00000000-0000-4000-8000-000000000000}",
        "urn:uuid:00000000-0000-4000-8000-000000000000",
        "%F0%9F%98%80",
        "%ff%fe",
        "%0a",
        "' OR 1=1 --",
        "x" * 2000,
    ],
)
@pytest.mark.parametrize(
    ("method", "suffix"), [("get", ""), ("get", "/attachments/1"), ("post", "/input"), ("post", "/cancel")]
)
def test_an_unknown_or_malformed_id_is_no_case(api: Api, case_id: str, method: str, suffix: str) -> None:
    response = getattr(api, method)(f"/cases/{case_id}{suffix}")
    assert error_of(response) == (404, "CASE_NOT_FOUND")


def test_an_id_without_hyphens_is_no_id_and_one_in_capitals_is(api: Api) -> None:
    case = case_of(api)
    assert api.get(f"/cases/{str(case.pk).upper()}").status_code == 200
    assert error_of(api.get(f"/cases/{case.pk.hex}")) == (404, "CASE_NOT_FOUND")


@pytest.mark.parametrize("path", ["/cases/", "/case", "/cases/{id}/", "/cases/{id}/nothing", "/v1/cases/{id}"])
def test_an_unknown_route_is_not_found(api: Api, path: str) -> None:
    assert error_of(api.get(path.format(id=case_of(api).pk))) == (404, "NOT_FOUND")


def test_a_nul_in_the_query_is_refused(api: Api) -> None:
    assert error_of(api.get(f"/cases/{uuid.uuid4()}?x=%00")) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize("status", [Status.RUNNING, Status.FAILED])
def test_what_is_read_at_once_is_what_is_read_one_by_one(
    api: Api, status: Status, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    bare = case_of(api, status=status, metadata={"a": 1})
    MessageFactory(case=bare)
    full = case_of(api, status=Status.FAILED)
    AttachmentFactory(message=MessageFactory(case=full, direction="IN", created_at=full.created_at))
    InputRequestFactory(case=full, status=RequestStatus.RESOLVED, resolved_at=CREATED_AT)
    follower = case_of(api, reopened_from=full)
    asked_for = ("conversationThread", "sources")
    for case, statements in ((bare, 3), (follower, 3), (full, 6)):  # files, their mails' names, and questions besides
        with django_assert_num_queries(statements):
            seen = get(api, case, includeTranscript="true", includeSources="true")
        one_by_one = shown(Case.objects.get(pk=case.pk), *asked_for)
        assert seen == json.loads(json.dumps(one_by_one))
    assert get(api, full)["reopenedAs"] == str(follower.pk)
