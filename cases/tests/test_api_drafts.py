"""POST /cases/{id}/drafts/{draftId}/approve, /edit and /reject, and the scopes of keys."""

import uuid
from typing import Any

import pytest
from django.test import Client as Browser

from cases import correspondence, drafts, work
from cases.factories import ApiKeyFactory, CaseFactory, InputRequestFactory
from cases.models import Case, Draft, MessageStatus, Purpose, Scope
from cases.payload_parts import milliseconds
from cases.tests.conftest import VALID, Api, body_with, error_of


@pytest.fixture
def draft(api: Api) -> Draft:
    return draft_of(CaseFactory(client=api.key.client, review_mode="all"))


def draft_of(case: Case) -> Draft:
    with work.transaction():
        locked = Case.objects.locked(case.pk)
        correspondence.queue(locked, purpose=Purpose.OUTREACH, subject="Invoice", text="Please send it.", is_draft=True)
    waiting = drafts.waiting(locked)
    assert waiting is not None
    return waiting


def decide(api: Api, draft: Draft, how: str, **body: Any) -> Any:
    return api.post(f"/cases/{draft.case_id}/drafts/{draft.pk}/{how}", body)


def test_a_case_shows_the_draft_that_waits(api: Api, draft: Draft) -> None:
    shown = api.get(f"/cases/{draft.case_id}").json()["data"]
    assert (shown["reviewMode"], shown["status"], shown["nextActionAt"]) == ("all", "CREATED", 253402300799999)
    assert shown["draft"] == {
        "id": str(draft.pk),
        "purpose": "OUTREACH",
        "to": "ann@supplier.example",
        "subject": "Invoice",
        "body": "Please send it.",
        "attachments": [],
        "hash": draft.hash,
        "createdAt": milliseconds(draft.created_at),
    }
    assert len(draft.hash) == 64


@pytest.mark.parametrize("mode", ["none", "first", "all"])
def test_the_mode_is_kept(api: Api, mode: str) -> None:
    case_id = api.post("/cases", body_with("reviewMode", mode)).json()["data"]["caseId"]
    assert Case.objects.get().review_mode == mode
    assert api.get(f"/cases/{case_id}").json()["data"].get("reviewMode", "none") == mode


@pytest.mark.parametrize("mode", ["some", "", "ALL", None, True, ["all"]])
def test_another_mode_is_refused(api: Api, mode: Any) -> None:
    response = api.post("/cases", body_with("reviewMode", mode))
    assert error_of(response) == (400, "INVALID_REQUEST")
    assert [detail["path"] for detail in response.json()["error"]["details"]] == ["reviewMode"]


def test_approving_answers_with_the_case_and_makes_it_due(api: Api, draft: Draft) -> None:
    response = decide(api, draft, "approve", hash=draft.hash)
    assert response.status_code == 200
    assert response.json()["data"] == api.get(f"/cases/{draft.case_id}").json()["data"]
    assert "draft" not in response.json()["data"]
    draft.refresh_from_db()
    assert (draft.status, draft.decided_by) == (MessageStatus.QUEUED, f"client {api.key.prefix}")
    assert Case.objects.get().due_at is not None
    for how in ("approve", "edit", "reject"):
        again = decide(api, draft, how, hash=draft.hash, body="No.", reason="No.")
        assert error_of(again) == (409, "DRAFT_NOT_PENDING")
    draft.refresh_from_db()
    assert (draft.status, draft.text, draft.rejection) == (MessageStatus.QUEUED, "Please send it.", "")


def test_an_approval_of_other_words_does_nothing(api: Api, draft: Draft) -> None:
    for how in ("approve", "edit"):
        assert error_of(decide(api, draft, how, hash="0" * 64, body="Hello")) == (409, "DRAFT_CHANGED")
    draft.refresh_from_db()
    assert (draft.status, draft.text, draft.decided_by) == (MessageStatus.DRAFT, "Please send it.", "")


def test_editing_answers_with_the_new_hash(api: Api, draft: Draft) -> None:
    response = decide(api, draft, "edit", hash=draft.hash, body="Send it, please.")
    changed = response.json()["data"]["draft"]
    assert (changed["id"], changed["subject"], changed["body"]) == (str(draft.pk), "Invoice", "Send it, please.")
    assert changed["hash"] != draft.hash
    assert Case.objects.get().due_at is None  # it goes on waiting
    assert error_of(decide(api, draft, "approve", hash=draft.hash)) == (409, "DRAFT_CHANGED")
    assert decide(api, draft, "approve", hash=changed["hash"]).status_code == 200


def test_rejecting_takes_the_draft_back(api: Api, draft: Draft) -> None:
    response = decide(api, draft, "reject", reason=" Name the month. ")
    assert (response.status_code, "draft" in response.json()["data"]) == (200, False)
    draft.refresh_from_db()
    assert (draft.status, draft.rejection) == (MessageStatus.DROPPED, "Name the month.")
    assert Case.objects.get().due_at is not None


@pytest.mark.parametrize(
    ("how", "body", "path"),
    [
        ("approve", {}, "hash"),
        ("approve", {"hash": None}, "hash"),
        ("edit", {"body": "Hello"}, "hash"),
        ("edit", {"hash": "x"}, "body"),
        ("edit", {"hash": "x", "body": " "}, "body"),
        ("edit", {"hash": "x", "body": "Hello", "subject": "a\r\nBcc: eve@evil.example"}, "subject"),
        ("reject", {}, "reason"),
        ("reject", {"reason": " "}, "reason"),
    ],
)
def test_a_wrong_body_is_refused(api: Api, draft: Draft, how: str, body: Any, path: str) -> None:
    response = decide(api, draft, how, **body)
    assert error_of(response) == (400, "INVALID_REQUEST")
    assert path in [detail["path"] for detail in response.json()["error"]["details"]]
    draft.refresh_from_db()
    assert draft.status == MessageStatus.DRAFT


@pytest.mark.parametrize("how", ["approve", "edit", "reject"])
def test_what_is_not_there_or_anothers_is_refused_before_the_body(api: Api, draft: Draft, how: str) -> None:
    others = draft_of(CaseFactory(review_mode="all"))
    for case_id, draft_id, expected in (
        (uuid.uuid4(), draft.pk, (404, "CASE_NOT_FOUND")),
        (others.case_id, others.pk, (403, "FORBIDDEN")),
        (draft.case_id, others.pk, (404, "DRAFT_NOT_FOUND")),
        (draft.case_id, uuid.uuid4(), (404, "DRAFT_NOT_FOUND")),
        (draft.case_id, "nonsense", (404, "DRAFT_NOT_FOUND")),
    ):
        body = {"hash": others.hash, "body": "Hello", "reason": "No."}
        assert error_of(api.post(f"/cases/{case_id}/drafts/{draft_id}/{how}", body)) == expected
    others.refresh_from_db()
    assert others.status == MessageStatus.DRAFT


def test_the_timeline_tells_what_became_of_a_draft_and_not_its_words(api: Api, draft: Draft) -> None:
    changed = decide(api, draft, "edit", hash=draft.hash, body="Send it, please.").json()["data"]["draft"]
    decide(api, draft, "approve", hash=changed["hash"])
    events = api.get(f"/cases/{draft.case_id}/timeline").json()["data"]["events"]
    about = {"id": str(draft.pk), "purpose": "OUTREACH"}
    assert [(event["type"], event["actor"], event["data"]) for event in events] == [
        ("case.draft_ready", "system", about),
        ("draft.edited", "client", about),
        ("draft.approved", "client", about),
    ]
    assert api.get(f"/cases/{draft.case_id}/messages").json()["data"]["messages"] == []


# --- Scopes ---


def caller(api: Api, *scopes: Scope) -> Api:
    """The same client, with a key that may do just that."""
    return Api(ApiKeyFactory(client=api.key.client, is_test=True, scopes=list(scopes)), Browser())


def test_a_key_without_approvals_sees_drafts_and_decides_on_none(api: Api, draft: Draft) -> None:
    agent = caller(api, Scope.CASES, Scope.ANSWERS)
    assert agent.get(f"/cases/{draft.case_id}").json()["data"]["draft"]["id"] == str(draft.pk)
    for how in ("approve", "edit", "reject"):
        refused = decide(agent, draft, how, hash=draft.hash, body="Hello", reason="No.")
        assert error_of(refused) == (403, "FORBIDDEN")
        assert refused.json()["error"]["message"] == "The API key does not have the scope `approvals`."
    draft.refresh_from_db()
    assert (draft.status, draft.text) == (MessageStatus.DRAFT, "Please send it.")
    assert decide(caller(api, Scope.APPROVALS), draft, "approve", hash=draft.hash).status_code == 200


def test_a_key_without_answers_answers_no_question(api: Api) -> None:
    question = InputRequestFactory(case__client=api.key.client)
    body = {"inputRequestId": str(question.pk), "providedContext": "Yes."}
    refused = caller(api, Scope.CASES, Scope.APPROVALS).post(f"/cases/{question.case_id}/input", body)
    assert error_of(refused) == (403, "FORBIDDEN")
    question.refresh_from_db()
    assert question.is_pending
    assert caller(api, Scope.ANSWERS).post(f"/cases/{question.case_id}/input", body).status_code == 202


def test_a_key_without_cases_posts_and_ends_none(api: Api) -> None:
    case = CaseFactory(client=api.key.client)
    reader = caller(api, Scope.ANSWERS, Scope.APPROVALS)
    for path, body in (("/cases", VALID), (f"/cases/{case.pk}/cancel", None)):
        refused = reader.post(path, body)
        assert error_of(refused) == (403, "FORBIDDEN")
        assert refused.json()["error"]["message"] == "The API key does not have the scope `cases`."
    assert (Case.objects.count(), reader.get(f"/cases/{case.pk}").json()["data"]["status"]) == (1, "CREATED")


def test_a_key_may_do_everything_unless_told_otherwise(api: Api) -> None:
    assert api.key.scopes == ["cases", "answers", "approvals"]
