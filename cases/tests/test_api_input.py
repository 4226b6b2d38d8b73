"""POST /cases/{id}/input and /cancel."""

import uuid
from typing import Any

import pytest

from cases.factories import CaseFactory, InputRequestFactory
from cases.models import InputRequest, RequestStatus, Status
from cases.tests.conftest import Api, error_of


@pytest.fixture
def question(api: Api) -> InputRequest:
    return InputRequestFactory(case__client=api.key.client)


def answer(api: Api, case_id: Any, question_id: Any, text: Any = "Yes, up to 250.") -> Any:
    body = {"inputRequestId": str(question_id), "providedContext": text}
    return api.post(f"/cases/{case_id}/input", body)


def test_an_answer_is_accepted_and_shown_as_resolved_at_once(api: Api, question: InputRequest) -> None:
    case_id = str(question.case_id)
    response = answer(api, case_id, question.pk)
    assert response.status_code == 202
    data = {"caseId": case_id, "inputRequestId": str(question.pk), "accepted": True}
    assert response.json() == {"ok": True, "data": data}
    shown = api.get(f"/cases/{case_id}").json()["data"]
    assert (shown["status"], shown["inputRequest"]["status"]) == ("INPUT_NEEDED", "RESOLVED")
    question.refresh_from_db()
    assert (question.provided_context, question.answered_by) == ("Yes, up to 250.", f"client {api.key.prefix}")
    assert question.case.due_at is not None  # the work is queued
    [event] = question.case.events.all()
    assert (event.type, event.actor) == ("input.provided", f"client {api.key.prefix}")


def test_both_are_trimmed(api: Api, question: InputRequest) -> None:
    assert answer(api, question.case_id, f" {question.pk}\n", "\n Yes,\n up to 250. \t").status_code == 202
    question.refresh_from_db()
    assert question.provided_context == "Yes,\n up to 250."


def test_what_javascript_takes_off_is_trimmed_and_nothing_else(api: Api, question: InputRequest) -> None:
    space = "\ufeff\u00a0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000\t\n\v\f\r "
    assert answer(api, question.case_id, f"{space}{question.pk}\ufeff", f"{space}\x85Yes{space}").status_code == 202
    question.refresh_from_db()
    assert question.provided_context == "\x85Yes"


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        ({}, "inputRequestId", "This field is required."),
        ({"inputRequestId": "a"}, "providedContext", "This field is required."),
        ({"inputRequestId": " \n", "providedContext": "b"}, "inputRequestId", "This field may not be blank."),
        ({"inputRequestId": "a", "providedContext": "\t "}, "providedContext", "This field may not be blank."),
        ({"inputRequestId": 1, "providedContext": "b"}, "inputRequestId", "Not a valid string."),
        ({"inputRequestId": "a", "providedContext": "\ufeff "}, "providedContext", "This field may not be blank."),
        ({"inputRequestId": "a", "providedContext": True}, "providedContext", "Not a valid string."),
        ({"inputRequestId": "a", "providedContext": ["b"]}, "providedContext", "Not a valid string."),
        ({"inputRequestId": "a", "providedContext": None}, "providedContext", "This field may not be null."),
    ],
)
def test_a_wrong_body_is_refused_by_its_path(
    api: Api, question: InputRequest, body: Any, path: str, message: str
) -> None:
    response = api.post(f"/cases/{question.case_id}/input", body)
    assert error_of(response) == (400, "INVALID_REQUEST")
    assert {"path": path, "message": message} in response.json()["error"]["details"]
    question.refresh_from_db()
    assert question.status == RequestStatus.PENDING


@pytest.mark.parametrize("status", [Status.CREATED, Status.RUNNING, Status.COMPLETED, Status.FAILED])
def test_a_case_that_asks_nothing_takes_no_answer(api: Api, status: Status) -> None:
    case = CaseFactory(client=api.key.client, status=status)
    resolved = InputRequestFactory(case=case, status=RequestStatus.RESOLVED)
    for question_id in (resolved.pk, uuid.uuid4(), "nonsense"):
        assert error_of(answer(api, case.pk, question_id)) == (409, "CASE_NOT_WAITING_FOR_INPUT")


def test_a_question_is_answered_once(api: Api, question: InputRequest) -> None:
    answer(api, question.case_id, question.pk)
    for question_id in (question.pk, uuid.uuid4(), "nonsense"):  # looked at before the id is
        assert error_of(answer(api, question.case_id, question_id, "No.")) == (409, "INPUT_REQUEST_NOT_PENDING")
    question.refresh_from_db()
    assert question.provided_context == "Yes, up to 250."


def test_a_stale_or_unknown_id_is_a_mismatch(api: Api, question: InputRequest) -> None:
    stale = InputRequestFactory(
        case=question.case, status=RequestStatus.SUPERSEDED, requested_at=question.case.created_at
    )
    for question_id in (stale.pk, uuid.uuid4(), "nonsense", "1"):
        assert error_of(answer(api, question.case_id, question_id)) == (409, "INPUT_REQUEST_MISMATCH")
    question.refresh_from_db()
    assert question.status == RequestStatus.PENDING


def test_the_case_is_looked_at_before_the_body(api: Api) -> None:
    assert error_of(api.post(f"/cases/{uuid.uuid4()}/input", b"{")) == (404, "CASE_NOT_FOUND")
    assert error_of(api.post(f"/cases/{CaseFactory().pk}/input", b"{")) == (403, "FORBIDDEN")


# --- Cancel ---


@pytest.mark.parametrize("status", [Status.CREATED, Status.RUNNING, Status.INPUT_NEEDED])
def test_a_cancelled_case_is_over(api: Api, status: Status) -> None:
    case = CaseFactory(client=api.key.client, status=status)
    response = api.post(f"/cases/{case.pk}/cancel")
    assert response.status_code == 200
    shown = response.json()["data"]
    assert (shown["caseId"], shown["status"], shown["resultStatus"]) == (str(case.pk), "FAILED", "cancelled")
    assert shown == api.get(f"/cases/{case.pk}").json()["data"]
    case.refresh_from_db()
    assert case.due_at is None
    [event] = case.events.all()
    assert (event.type, event.actor) == ("case.failed", f"client {api.key.prefix}")


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED])
def test_what_is_over_can_not_be_cancelled(api: Api, status: Status) -> None:
    case = CaseFactory(client=api.key.client, status=status)
    before = api.get(f"/cases/{case.pk}").json()
    assert error_of(api.post(f"/cases/{case.pk}/cancel")) == (409, "CASE_ALREADY_FINISHED")
    assert api.get(f"/cases/{case.pk}").json() == before


@pytest.mark.parametrize(
    ("body", "content_type", "failure"),
    [
        (b"anything", "text/plain", (415, "UNSUPPORTED_MEDIA_TYPE")),
        (b"a=b", "application/x-www-form-urlencoded", (415, "UNSUPPORTED_MEDIA_TYPE")),
        (b"{", "application/json", (400, "INVALID_REQUEST")),
        (b"[]", "application/json", (400, "INVALID_REQUEST")),
        (b'{"a": "' + b"x" * 1_000_000 + b'"}', "application/json", (413, "PAYLOAD_TOO_LARGE")),
    ],
)
def test_cancel_looks_at_what_it_does_not_need(api: Api, body: bytes, content_type: str, failure: Any) -> None:
    case = CaseFactory(client=api.key.client)
    before = case.status
    assert error_of(api.post(f"/cases/{case.pk}/cancel", body, content_type=content_type)) == failure
    case.refresh_from_db()
    assert case.status == before


@pytest.mark.parametrize(
    ("body", "content_type"), [(b"", "application/x-www-form-urlencoded"), (b'{"reason": 1}', "application/json")]
)
def test_cancel_needs_no_body(api: Api, body: bytes, content_type: str) -> None:
    case = CaseFactory(client=api.key.client)
    response = api.post(f"/cases/{case.pk}/cancel", body, CONTENT_TYPE=content_type)
    assert response.status_code == 200


def test_offered_answers_are_shown_and_any_other_text_is_accepted(api: Api) -> None:
    question = InputRequestFactory(case__client=api.key.client, options=["Yes", "No"], answer_schema={"enum": [1]})
    shown = api.get(f"/cases/{question.case_id}").json()["data"]["inputRequest"]
    assert (shown["options"], shown["answerSchema"]) == (["Yes", "No"], {"enum": [1]})
    body = {"inputRequestId": str(question.pk), "providedContext": "Ask again in May."}
    assert api.post(f"/cases/{question.case_id}/input", body).status_code == 202
    question.refresh_from_db()
    assert question.provided_context == "Ask again in May."


def test_a_question_that_offers_nothing_says_nothing_of_it(api: Api) -> None:
    question = InputRequestFactory(case__client=api.key.client)
    shown = api.get(f"/cases/{question.case_id}").json()["data"]["inputRequest"]
    assert set(shown) == {"id", "question", "status", "requestedAt"}
