"""PATCH /cases/{id}, /pause and /resume: what changes, what is refused, and what stays as it is."""

from datetime import timedelta
from typing import Any

import pytest

from cases import work
from cases.factories import CaseFactory, InputRequestFactory, MessageFactory
from cases.models import Case, MessageStatus, Purpose, Status
from cases.payload_parts import milliseconds
from cases.tests.conftest import VALID, Api, body_with, error_of
from cases.time_travel import bring_nearer

HOUR = timedelta(hours=1)
NOTHING_SCHEDULED = 253402300799999
OPEN = [Status.CREATED, Status.RUNNING, Status.INPUT_NEEDED]
ENDED = [Status.COMPLETED, Status.FAILED]


def case_of(api: Api, **fields: Any) -> Case:
    case: Case = CaseFactory(client=api.key.client, **fields)
    return case


def fresh(case: Case) -> Case:
    found: Case = Case.objects.get(pk=case.pk)
    return found


def ahead(**length: float) -> int:
    return milliseconds(work.now() + timedelta(**length))


# --- Pause and resume ---


@pytest.mark.parametrize("status", OPEN)
def test_a_paused_case_keeps_its_status_and_has_nothing_scheduled(api: Api, status: Status) -> None:
    case = case_of(api, status=status)
    response = api.post(f"/cases/{case.pk}/pause")
    assert response.status_code == 200
    shown = response.json()["data"]
    assert (shown["status"], shown["paused"], shown["nextActionAt"]) == (status, True, NOTHING_SCHEDULED)
    assert shown == api.get(f"/cases/{case.pk}").json()["data"]
    paused = fresh(case)
    assert (paused.due_at, paused.version, paused.next_action_at) == (None, case.version + 1, case.next_action_at)
    [event] = case.events.all()
    assert (event.type, event.actor) == ("case.paused", f"client {api.key.prefix}")


def test_pausing_again_changes_nothing(api: Api) -> None:
    case = case_of(api)
    first = api.post(f"/cases/{case.pk}/pause").json()
    assert api.post(f"/cases/{case.pk}/pause").json() == first
    assert case.events.count() == 1


def test_a_resumed_case_goes_on_where_it_stood(api: Api) -> None:
    case = case_of(api, status=Status.RUNNING)
    before = api.get(f"/cases/{case.pk}").json()["data"]
    api.post(f"/cases/{case.pk}/pause")
    shown = api.post(f"/cases/{case.pk}/resume").json()["data"]
    assert "paused" not in shown
    assert {**shown, "updatedAt": 0} == {**before, "updatedAt": 0}
    assert fresh(case).due_at == case.next_action_at
    assert [event.type for event in case.events.all()] == ["case.paused", "case.resumed"]


def test_a_follow_up_whose_time_has_passed_is_due_when_the_case_is_resumed(api: Api) -> None:
    case = case_of(api, status=Status.RUNNING, next_action_at=work.now() + HOUR)
    api.post(f"/cases/{case.pk}/pause")
    bring_nearer(case.pk, 5 * HOUR)
    assert fresh(case).due_at is None
    before = work.now()
    api.post(f"/cases/{case.pk}/resume")
    resumed = fresh(case)
    assert resumed.next_action_at is not None
    assert before <= resumed.next_action_at <= work.now()
    assert resumed.due_at == resumed.next_action_at


def test_resuming_what_is_not_paused_changes_nothing(api: Api) -> None:
    case = case_of(api, status=Status.RUNNING)
    before = api.get(f"/cases/{case.pk}").json()
    assert api.post(f"/cases/{case.pk}/resume").json() == before
    assert case.events.count() == 0


def test_an_answer_is_taken_while_paused_and_used_afterwards(api: Api) -> None:
    question = InputRequestFactory(case__client=api.key.client)
    case = question.case
    api.post(f"/cases/{case.pk}/pause")
    answer = {"inputRequestId": str(question.pk), "providedContext": "Yes."}
    assert api.post(f"/cases/{case.pk}/input", answer).status_code == 202
    assert fresh(case).due_at is None
    api.post(f"/cases/{case.pk}/resume")
    question.refresh_from_db()
    assert fresh(case).due_at == question.resolved_at


def test_a_paused_case_can_be_cancelled_and_is_no_longer_paused(api: Api) -> None:
    case = case_of(api, status=Status.RUNNING)
    api.post(f"/cases/{case.pk}/pause")
    shown = api.post(f"/cases/{case.pk}/cancel").json()["data"]
    assert (shown["status"], "paused" in shown) == ("FAILED", False)


@pytest.mark.parametrize("status", ENDED)
@pytest.mark.parametrize("what", ["pause", "resume"])
def test_what_is_over_is_neither_paused_nor_resumed(api: Api, status: Status, what: str) -> None:
    case = case_of(api, status=status)
    before = api.get(f"/cases/{case.pk}").json()
    assert error_of(api.post(f"/cases/{case.pk}/{what}")) == (409, "CASE_ALREADY_FINISHED")
    assert api.get(f"/cases/{case.pk}").json() == before


@pytest.mark.parametrize("what", ["pause", "resume"])
def test_only_ones_own(api: Api, what: str) -> None:
    assert error_of(api.post(f"/cases/{CaseFactory().pk}/{what}")) == (403, "FORBIDDEN")
    assert error_of(api.post(f"/cases/{CaseFactory(client=api.key.client).pk}/{what}", b"{")) == (
        400,
        "INVALID_REQUEST",
    )


# --- PATCH ---


def test_each_field_is_changed_and_shown(api: Api) -> None:
    case = case_of(api, constraints=["Be brief."], goal={"objective": "Ask.", "knowledge": "Old", "extra": 1})
    deadline = ahead(days=9)
    change = {
        "goal": {"knowledge": {"order": "4711"}},
        "counterparty": {"address": "Bea@Supplier.example"},
        "constraints": [],
        "followUpDelayHours": 5,
        "deadlineAt": deadline,
        "clientWebhookUrl": "https://client.example/hook",
    }
    response = api.patch(f"/cases/{case.pk}", change)
    assert response.status_code == 200
    shown = response.json()["data"]
    assert shown["goal"] == {"objective": "Ask.", "knowledge": {"order": "4711"}, "extra": 1}
    assert shown["counterparty"] == {"address": "Bea@Supplier.example", "name": "Ann Supplier"}
    assert (shown["constraints"], shown["deadlineAt"]) == ([], deadline)
    changed = fresh(case)
    assert (changed.counterparty_address, changed.follow_up_delay_hours) == ("bea@supplier.example", 5)
    assert (changed.client_webhook_url, changed.version) == ("https://client.example/hook", case.version + 1)
    assert changed.updated_at > case.updated_at
    [event] = case.events.all()
    assert (event.type, event.actor) == ("case.changed", f"client {api.key.prefix}")
    assert event.data == {
        "fields": [
            "address",
            "client_webhook_url",
            "constraints",
            "deadline_at",
            "follow_up_delay_hours",
            "knowledge",
        ]
    }


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        ({"followUpDelayHours": 0}, "followUpDelayHours", "Ensure this value is greater than or equal to 1."),
        ({"followUpDelayHours": "5"}, "followUpDelayHours", "A valid integer is required."),
        ({"constraints": "none"}, "constraints", 'Expected a list of items but got type "str".'),
        ({"constraints": None}, "constraints", "This field may not be null."),
        ({"goal": {"knowledge": 1}}, "goal.knowledge", "Neither a string nor an object."),
        ({"clientWebhookUrl": "ftp://x.example"}, "clientWebhookUrl", "Not an http or https URL."),
        ({"deadlineAt": 1772366400123}, "deadlineAt", "Must be in the future."),
        ({"deadlineAt": 253402300800000}, "deadlineAt", "Ensure this value is less than"),
        ({"counterparty": {"address": "ann\n@x.example"}}, "counterparty.address", None),
        ({}, "", "Name what is to change: "),
        ({"maxAttempts": 9, "goal": {"objective": "Another."}}, "", "Name what is to change: "),
    ],
)
def test_a_wrong_change_is_refused(api: Api, change: Any, path: str, message: str | None) -> None:
    case = case_of(api)
    response = api.patch(f"/cases/{case.pk}", change)
    assert error_of(response) == (400, "INVALID_REQUEST")
    [detail] = response.json()["error"]["details"]
    assert detail["path"] == path
    assert detail["message"].startswith(message or "")
    assert (fresh(case).version, case.events.count()) == (case.version, 0)


@pytest.mark.parametrize("status", ENDED)
def test_what_is_over_is_not_changed(api: Api, status: Status) -> None:
    case = case_of(api, status=status)
    before = api.get(f"/cases/{case.pk}").json()
    assert error_of(api.patch(f"/cases/{case.pk}", {"constraints": []})) == (409, "CASE_ALREADY_FINISHED")
    assert api.get(f"/cases/{case.pk}").json() == before


ADDRESS = {"counterparty": {"address": "bea@supplier.example"}, "constraints": ["Be brief."]}


def test_the_address_stays_once_a_mail_has_gone_to_it_and_so_does_all_else(api: Api) -> None:
    case = case_of(api, status=Status.RUNNING)
    assert error_of(api.patch(f"/cases/{case.pk}", ADDRESS)) == (409, "ALREADY_SENT")
    assert (fresh(case).counterparty, fresh(case).constraints) == (case.counterparty, None)


def test_the_address_stays_while_a_mail_may_be_on_its_way_to_it(api: Api) -> None:
    case = case_of(api)
    MessageFactory(case=case, status=MessageStatus.QUEUED, send_started_at=work.now())
    assert error_of(api.patch(f"/cases/{case.pk}", ADDRESS)) == (409, "ALREADY_SENT")


@pytest.mark.parametrize("written_by", ["", "staff ann"])
def test_a_mail_to_the_old_address_is_taken_back(api: Api, written_by: str) -> None:
    case = case_of(api)
    queued = MessageFactory(case=case, status=MessageStatus.QUEUED, written_by=written_by)
    assert api.patch(f"/cases/{case.pk}", ADDRESS).status_code == 200
    queued.refresh_from_db()
    assert queued.status == MessageStatus.DROPPED
    assert fresh(case).due_at == case.created_at


@pytest.mark.parametrize(("written_by", "status"), [("", MessageStatus.DROPPED), ("staff ann", MessageStatus.QUEUED)])
def test_a_mail_that_was_written_before_the_change_is_taken_back_unless_a_person_wrote_it(
    api: Api, written_by: str, status: MessageStatus
) -> None:
    case = case_of(api, status=Status.RUNNING)
    queued = MessageFactory(case=case, status=MessageStatus.QUEUED, written_by=written_by)
    api.patch(f"/cases/{case.pk}", {"constraints": ["Be brief."]})
    queued.refresh_from_db()
    assert queued.status == status


def test_another_delay_counts_from_the_last_mail(api: Api) -> None:
    sent_at = work.now() - 10 * HOUR
    case = case_of(api, status=Status.RUNNING, created_at=sent_at, next_action_at=sent_at + 72 * HOUR)
    MessageFactory(case=case, created_at=sent_at)
    shown = api.patch(f"/cases/{case.pk}", {"followUpDelayHours": 24}).json()["data"]
    assert abs(shown["nextActionAt"] - milliseconds(sent_at + 24 * HOUR)) < 1000
    assert milliseconds(fresh(case).due_at or sent_at) == shown["nextActionAt"]
    before = ahead()
    shown = api.patch(f"/cases/{case.pk}", {"followUpDelayHours": 2}).json()["data"]
    assert before <= shown["nextActionAt"] <= ahead()  # not in the past


def test_time_that_was_skipped_counts(api: Api) -> None:
    case = case_of(api, status=Status.RUNNING)
    MessageFactory(case=case)
    bring_nearer(case.pk, 10 * HOUR)
    shown = api.patch(f"/cases/{case.pk}", {"followUpDelayHours": 24}).json()["data"]
    assert abs(shown["nextActionAt"] - ahead(hours=14)) < 5000


def test_a_wait_that_was_asked_for_stays(api: Api) -> None:
    until = work.now() + 200 * HOUR
    case = case_of(api, status=Status.RUNNING, next_action_at=until)
    MessageFactory(case=case, purpose=Purpose.OUTREACH)
    case.events.create(type="case.waiting", actor="system", at=work.now())
    shown = api.patch(f"/cases/{case.pk}", {"followUpDelayHours": 24}).json()["data"]
    assert shown["nextActionAt"] == milliseconds(until)


def test_only_ones_own_case_is_changed(api: Api) -> None:
    other = CaseFactory()
    assert error_of(api.patch(f"/cases/{other.pk}", {"constraints": []})) == (403, "FORBIDDEN")
    assert fresh(other).version == other.version


# --- Deadline ---


def test_a_deadline_is_shown_and_bounds_the_schedule(api: Api) -> None:
    deadline = ahead(hours=30)
    case_id = api.post("/cases", body_with("deadlineAt", deadline)).json()["data"]["caseId"]
    assert api.get(f"/cases/{case_id}").json()["data"]["deadlineAt"] == deadline
    case = case_of(api, status=Status.RUNNING)
    shown = api.patch(f"/cases/{case.pk}", {"deadlineAt": deadline}).json()["data"]
    assert (shown["nextActionAt"], shown["deadlineAt"]) == (deadline, deadline)
    assert milliseconds(fresh(case).due_at or work.now()) == deadline


@pytest.mark.parametrize("value", [0, 1772366400123, "253402300799999", None, 1.5, -1, True])
def test_a_deadline_that_is_none_is_refused(api: Api, value: Any) -> None:
    response = api.post("/cases", body_with("deadlineAt", value))
    assert error_of(response) == (400, "INVALID_REQUEST")
    assert response.json()["error"]["details"][0]["path"] == "deadlineAt"


def test_without_a_deadline_none_is_shown(api: Api) -> None:
    case_id = api.post("/cases", VALID).json()["data"]["caseId"]
    assert not {"deadlineAt", "paused"} & api.get(f"/cases/{case_id}").json()["data"].keys()


# --- Questions that nobody answers ---


def test_how_long_a_question_may_wait_can_be_changed(api: Api) -> None:
    case = case_of(api, status=Status.RUNNING)
    shown = api.patch(f"/cases/{case.pk}", {"inputTimeoutHours": 12, "inputTimeoutAction": "fail"}).json()["data"]
    assert (shown["inputTimeoutHours"], shown["inputTimeoutAction"]) == (12, "fail")
    changed = fresh(case)
    assert (changed.input_timeout_hours, changed.input_timeout_action) == (12, "fail")
    shown = api.patch(f"/cases/{case.pk}", {"inputTimeoutAction": "wait"}).json()["data"]
    assert (shown["inputTimeoutHours"], "inputTimeoutAction" in shown) == (12, False)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"inputTimeoutAction": "fail"}, "inputTimeoutHours"),
        ({"inputTimeoutHours": 0}, "inputTimeoutHours"),
        ({"inputTimeoutHours": 24 * 366 + 1}, "inputTimeoutHours"),
        ({"inputTimeoutHours": "12"}, "inputTimeoutHours"),
        ({"inputTimeoutAction": "stop", "inputTimeoutHours": 1}, "inputTimeoutAction"),
    ],
)
def test_what_is_no_time_to_answer_is_refused(api: Api, body: dict[str, Any], path: str) -> None:
    case = case_of(api, status=Status.RUNNING)
    response = api.patch(f"/cases/{case.pk}", body)
    assert response.status_code == 400
    assert [detail["path"] for detail in response.json()["error"]["details"]] == [path]
    assert fresh(case).version == case.version
    created = api.post("/cases", {**VALID, **body})
    assert (created.status_code, Case.objects.count()) == (400, 1)
