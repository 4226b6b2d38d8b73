"""Every change of a case's status: what comes along with it, and what is refused."""

from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from cases import transitions, work
from cases.errors import IllegalTransition
from cases.factories import CaseFactory, InputRequestFactory, MessageFactory
from cases.models import Case, MessageStatus, RequestStatus, ResultStatus, Status

pytestmark = pytest.mark.django_db
ALLOWED = {
    ("CREATED", "RUNNING"),
    ("CREATED", "INPUT_NEEDED"),
    ("CREATED", "FAILED"),
    *product(("RUNNING", "INPUT_NEEDED"), ("RUNNING", "INPUT_NEEDED", "COMPLETED", "FAILED")),
}


def change(case: Case, to: str) -> None:
    changes: dict[str, Any] = {
        "RUNNING": lambda row: transitions.run(row, next_action_at=None),
        "INPUT_NEEDED": lambda row: transitions.ask(row, question="May we?", reason="Money."),
        "COMPLETED": lambda row: transitions.complete(row, result={"total": 1}),
        "FAILED": lambda row: transitions.fail(row, result_status=ResultStatus.BOUNCED, reason="It bounced."),
    }
    with work.transaction():
        changes[to](Case.objects.locked(case.pk))


@pytest.mark.parametrize(("before", "after"), list(product(Status, ["RUNNING", "INPUT_NEEDED", "COMPLETED", "FAILED"])))
def test_the_lifecycle_knows_these_changes_and_no_others(before: Status, after: str) -> None:
    case = CaseFactory(status=before)
    state = Case.objects.values().get(pk=case.pk)
    if (before, after) in ALLOWED:
        change(case, after)
        case.refresh_from_db()
        assert case.status == after
    else:
        with pytest.raises(IllegalTransition):
            change(case, after)
        assert Case.objects.values().get(pk=case.pk) == state
        assert case.events.count() == 0


def test_a_running_case_is_due_at_its_next_action() -> None:
    case = CaseFactory()
    with work.transaction():
        locked = Case.objects.locked(case.pk)
        transitions.run(locked, next_action_at=locked.now + timedelta(hours=1))
    case.refresh_from_db()
    assert case.due_at == case.next_action_at == locked.now + timedelta(hours=1)


def test_a_question_pauses_the_case_and_takes_the_mail_as_read() -> None:
    case = CaseFactory(status=Status.RUNNING)
    mail = MessageFactory(case=case, direction="IN")
    older = InputRequestFactory(case=case)
    change(case, "INPUT_NEEDED")
    case.refresh_from_db()
    mail.refresh_from_db()
    older.refresh_from_db()
    assert (case.next_action_at, case.due_at) == (None, None)
    assert mail.read_at is not None
    assert (older.status, older.resolved_at) == (RequestStatus.SUPERSEDED, mail.read_at)
    question = case.input_requests.get(status=RequestStatus.PENDING)
    assert (question.question, question.reason) == ("May we?", "Money.")
    [event] = case.events.all()
    assert event.type == "case.input_needed"
    assert event.data == {"inputRequestId": str(question.pk), "question": "May we?", "reason": "Money."}


def test_a_completed_case_has_its_result_and_nothing_to_do() -> None:
    case = CaseFactory(status=Status.RUNNING)
    change(case, "COMPLETED")
    case.refresh_from_db()
    assert (case.result_status, case.result, case.failure_reason) == ("goal_achieved", {"total": 1}, None)
    assert (case.due_at, case.next_action_at) == (None, None)
    assert [event.type for event in case.events.all()] == ["case.completed"]


def test_a_failed_case_says_why_and_has_nothing_to_do() -> None:
    case = CaseFactory(status=Status.RUNNING)
    change(case, "FAILED")
    case.refresh_from_db()
    assert (case.result_status, case.result, case.failure_reason) == ("BOUNCED", None, "It bounced.")
    assert (case.due_at, case.next_action_at) == (None, None)
    [event] = case.events.all()
    assert (event.type, event.data) == ("case.failed", {"resultStatus": "BOUNCED", "reason": "It bounced."})


@pytest.mark.parametrize("end", ["COMPLETED", "FAILED"])
def test_the_end_leaves_nothing_open(end: str) -> None:
    case = CaseFactory(status=Status.INPUT_NEEDED)
    question = InputRequestFactory(case=case)
    answered = InputRequestFactory(case=case, status=RequestStatus.RESOLVED)
    mail = MessageFactory(case=case, direction="IN")
    queued = MessageFactory(case=case, status=MessageStatus.QUEUED)
    change(case, end)
    for row in (question, answered, mail, queued):
        row.refresh_from_db()
    assert (question.status, queued.status) == (RequestStatus.CLOSED, MessageStatus.DROPPED)
    assert question.resolved_at == answered.used_at == mail.read_at


def test_a_send_under_way_at_the_end_has_an_unknown_outcome() -> None:
    case = CaseFactory(status=Status.RUNNING)
    queued = MessageFactory(case=case, status=MessageStatus.QUEUED, send_started_at=work.now())
    change(case, "FAILED")
    queued.refresh_from_db()
    assert queued.status == MessageStatus.UNKNOWN


@pytest.mark.parametrize("to", ["INPUT_NEEDED", "COMPLETED", "FAILED"])
def test_clients_see_updated_at_rise_even_within_a_millisecond(to: str) -> None:
    future = work.now() + timedelta(hours=1)  # another machine's clock was ahead
    case = CaseFactory(status=Status.RUNNING, updated_at=future)
    change(case, to)
    case.refresh_from_db()
    assert (case.updated_at, case.version) == (future + timedelta(milliseconds=1), 2)
