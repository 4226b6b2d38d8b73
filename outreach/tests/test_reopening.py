"""POST /cases/{id}/reopen: an ended case stays as it is, and its thread goes on in a new one."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.test import Client

from cases import reopening, services, work
from cases.errors import CaseAlreadyReopened
from cases.factories import ApiKeyFactory, CaseFactory, InputRequestFactory
from cases.models import ApiKey, Case, MessageStatus, Purpose, RequestStatus, Status
from cases.testing import run_due
from cases.tests.engine import in_threads
from outreach import sandbox
from outreach.agents.base import Answer
from outreach.factories import FORM, Played
from outreach.situation import Situation

pytestmark = pytest.mark.django_db
STAFF = "staff ann"
COMPLETE = "Invoice number: INV-7\nTotal: 1250.50"
KEPT = {
    "client_reference_id": "order-1",
    "constraints": ["Be brief."],
    "language": "de",
    "max_attempts": 7,
    "follow_up_delay_hours": 9,
    "result_schema": FORM,
    "metadata": {"tenant": "north"},
}


@pytest.fixture
def key() -> ApiKey:
    return ApiKeyFactory(is_test=True)


@pytest.fixture
def played(key: ApiKey) -> Played:
    """A case that was cancelled after its first mail."""
    played = Played.begin(client=key.client, **KEPT)
    services.cancel_case(played.case.pk, actor=STAFF)
    played.reload()
    return played


def call(key: ApiKey, method: str, path: str, body: Any = None, **headers: str) -> Any:
    sent = {"x-api-key": key.key, **headers}  # type: ignore[attr-defined]
    if method == "get":
        return Client().get(path, headers=sent)
    return Client().post(path, b"" if body is None else body, content_type="application/json", headers=sent)


def reopen(key: ApiKey, case: Case, body: Any = None, **headers: str) -> Any:
    return call(key, "post", f"/cases/{case.pk}/reopen", body, **headers)


def shown(key: ApiKey, pk: Any) -> Any:
    return call(key, "get", f"/cases/{pk}").json()["data"]


def test_a_new_case_takes_the_old_ones_place_and_the_old_one_says_so(key: ApiKey, played: Played) -> None:
    before = shown(key, played.case.pk)
    thread = call(key, "get", f"/cases/{played.case.pk}/messages").json()
    past = call(key, "get", f"/cases/{played.case.pk}/timeline").json()
    response = reopen(key, played.case, {"goal": {"objective": "Get it at last."}, "constraints": ["Be kind."]})
    assert response.status_code == 201
    new_id = response.json()["data"]["caseId"]
    assert response.json() == {"ok": True, "data": {"caseId": new_id}}
    assert shown(key, played.case.pk) == {**before, "reopenedAs": new_id}
    assert call(key, "get", f"/cases/{played.case.pk}/messages").json() == thread
    assert call(key, "get", f"/cases/{played.case.pk}/timeline").json() == past
    new = shown(key, new_id)
    assert (new["status"], new["attemptCount"], new["reopenedFrom"]) == ("CREATED", 0, str(played.case.pk))
    assert "reopenedAs" not in new
    assert new["goal"] == {"objective": "Get it at last."}
    case = Case.objects.get(pk=new_id)
    assert {name: getattr(case, name) for name in KEPT} == {**KEPT, "constraints": ["Be kind."]}
    assert (case.client, case.is_test, case.created_at > played.case.created_at) == (key.client, True, True)
    assert [(event.type, event.actor) for event in case.events.all()] == [("case.created", f"client {key.prefix}")]


def test_without_a_body_all_stays_as_it_was(key: ApiKey, played: Played) -> None:
    Case.objects.filter(pk=played.case.pk).update(client_webhook_url="https://client.example/hook")
    case = Case.objects.get(pk=reopen(key, played.case).json()["data"]["caseId"])
    assert case.client_webhook_url == "https://client.example/hook"
    assert {name: getattr(case, name) for name in KEPT} == KEPT
    assert (case.goal, case.counterparty) == (played.case.goal, played.case.counterparty)


def test_its_first_mail_goes_into_the_same_thread(key: ApiKey, played: Played) -> None:
    old_mail = played.case.messages.get()
    case = reopening.reopen_case(played.case.pk, actor=STAFF)
    run_due()
    mail = case.messages.get()
    assert (mail.status, mail.purpose) == (MessageStatus.SENT, Purpose.OUTREACH)
    assert (mail.in_reply_to, mail.references) == (old_mail.message_id, old_mail.message_id)
    assert mail.subject == f"Re: {old_mail.subject}"
    again = services.cancel_case(case.pk, actor=STAFF)
    third = reopening.reopen_case(again.pk, actor=STAFF)
    run_due()
    mail = third.messages.get()
    assert mail.references.split() == [old_mail.message_id, case.messages.get().message_id]
    assert mail.subject == f"Re: {old_mail.subject}"


def test_mail_that_came_after_the_end_is_looked_at_before_anything_is_written(key: ApiKey, played: Played) -> None:
    sandbox.reply(played.case, text=COMPLETE)
    run_due()
    assert played.case.messages.get(direction="IN").is_after_end
    new_id = reopen(key, played.case).json()["data"]["caseId"]
    assert Case.objects.get(pk=new_id).status == Status.RUNNING
    run_due()
    new = shown(key, new_id)
    assert (new["status"], new["result"]) == ("COMPLETED", {"invoiceNumber": "INV-7", "total": 1250.5})
    assert new["attemptCount"] == 0
    [message] = call(key, "get", f"/cases/{new_id}/messages").json()["data"]["messages"]
    assert message["text"] == COMPLETE
    assert shown(key, played.case.pk)["status"] == "FAILED"


def test_a_question_about_such_mail_is_answered_by_a_reply_to_it(key: ApiKey, played: Played) -> None:
    sandbox.reply(played.case, text="Which order do you mean?")
    run_due()
    case = reopening.reopen_case(played.case.pk, actor=STAFF)
    run_due()
    question = case.input_requests.get()
    services.provide_input(case_id=case.pk, input_request_id=question.pk, provided_context="The one of March.")
    run_due()
    [mail] = case.messages.filter(direction="OUT")
    assert mail.purpose == Purpose.REPLY
    assert "The one of March." in mail.text
    assert mail.in_reply_to == case.messages.get(direction="IN").message_id


def test_a_reply_to_the_old_mail_reaches_the_new_case_which_knows_the_old_thread(key: ApiKey, played: Played) -> None:
    case = reopening.reopen_case(played.case.pk, actor=STAFF)
    run_due()
    sandbox.reply(played.case, text="Invoice number: INV-7")  # to the mail of the old case
    run_due()
    assert played.case.messages.filter(direction="IN").count() == 0
    assert case.messages.filter(direction="IN").count() == 1
    services.cancel_case(case.pk, actor=STAFF)
    third = reopening.reopen_case(case.pk, actor=STAFF)
    run_due()
    sandbox.reply(third, text="Total: 1250.50")
    run_due()
    ended = Case.objects.get(pk=third.pk)
    assert (ended.status, ended.result) == (Status.COMPLETED, {"invoiceNumber": "INV-7", "total": 1250.5})


def test_the_agent_knows_what_people_have_answered_to_the_old_case(played: Played) -> None:
    ask = partial(InputRequestFactory, case=played.case, question="Which order?")
    answered = ask(status=RequestStatus.RESOLVED, provided_context="The one of March.")
    ask(status=RequestStatus.RESOLVED, provided_context="Go on.", is_operational=True)
    ask(status=RequestStatus.CLOSED)
    case = reopening.reopen_case(played.case.pk, actor=STAFF)
    own = InputRequestFactory(case=case, status=RequestStatus.RESOLVED, provided_context="On paper.", question="How?")
    assert Situation.of(case).view().answers == (
        Answer(str(answered.pk), "Which order?", "The one of March.", used=True),
        Answer(str(own.pk), "How?", "On paper.", used=False),
    )


def test_a_late_bounce_of_the_old_mail_ends_the_new_case(played: Played) -> None:
    case = reopening.reopen_case(played.case.pk, actor=STAFF)
    before = Case.objects.get(pk=played.case.pk)
    sandbox.bounce(played.case)  # of the old case's mail
    run_due()
    ended, old = Case.objects.get(pk=case.pk), Case.objects.get(pk=played.case.pk)
    assert (ended.status, ended.result_status) == (Status.FAILED, "BOUNCED")
    assert (old.result_status, old.updated_at) == ("cancelled", before.updated_at)


@pytest.mark.parametrize("status", [Status.CREATED, Status.RUNNING, Status.INPUT_NEEDED])
def test_only_what_is_over_is_reopened(key: ApiKey, status: Status) -> None:
    case = CaseFactory(client=key.client, status=status)
    response = reopen(key, case)
    assert (response.status_code, response.json()["error"]["code"]) == (409, "CASE_NOT_FINISHED")
    assert Case.objects.count() == 1


def test_a_case_is_reopened_once(key: ApiKey, played: Played) -> None:
    reopen(key, played.case)
    response = reopen(key, played.case)
    assert (response.status_code, response.json()["error"]["code"]) == (409, "CASE_ALREADY_REOPENED")
    assert Case.objects.count() == 2


def test_with_an_idempotency_key_the_first_answer_comes_again(key: ApiKey, played: Played) -> None:
    header = {"Idempotency-Key": "again-1"}
    first = reopen(key, played.case, {}, **header)
    second = reopen(key, played.case, {}, **header)
    assert (second.status_code, second.headers["Idempotent-Replayed"]) == (201, "true")
    assert second.json() == first.json()
    other = CaseFactory(client=key.client, status=Status.FAILED)
    assert reopen(key, other, {}, **header).json()["error"]["code"] == "IDEMPOTENCY_KEY_REUSED"


def test_others_and_test_keys_may_not(key: ApiKey, played: Played) -> None:
    assert reopen(ApiKeyFactory(), played.case).status_code == 403
    live = CaseFactory(client=key.client, is_test=False, status=Status.FAILED)
    assert reopen(key, live).json()["error"]["code"] == "FORBIDDEN"
    assert Case.objects.count() == 2


def test_a_wrong_body_is_refused(key: ApiKey, played: Played) -> None:
    response = reopen(key, played.case, {"goal": {"objective": " "}})
    assert response.status_code == 400
    detail = {"path": "goal.objective", "message": "This field may not be blank."}
    assert response.json()["error"]["details"] == [detail]


def test_a_deadline_that_has_passed_does_not_end_the_new_case(played: Played) -> None:
    Case.objects.filter(pk=played.case.pk).update(deadline_at=work.now() - timedelta(hours=1))
    case = reopening.reopen_case(played.case.pk, actor=STAFF)
    run_due()
    assert Case.objects.get(pk=case.pk).status == Status.RUNNING


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_of_ten_at_once_one_reopens_it() -> None:
    case = CaseFactory(status=Status.FAILED)

    def attempt(number: int) -> str:
        try:
            reopening.reopen_case(case.pk, actor=STAFF)
        except CaseAlreadyReopened as error:
            return error.code
        return "ok"

    assert sorted(in_threads(10, attempt)) == ["CASE_ALREADY_REOPENED"] * 9 + ["ok"]
    assert Case.objects.filter(reopened_from=case).count() == 1
