"""A question that nobody answers: people are reminded once and the case keeps waiting, unless it is told to fail."""

from typing import Any

import pytest
from pytest_django import Settings

from cases import changes, services, transitions, work
from cases.factories import ClientFactory
from cases.models import Case, InputRequest, Status
from cases.testing import run_due
from outreach import sandbox
from outreach.factories import FORM, Played
from outreach.models import StaffNotice

pytestmark = [pytest.mark.engine, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def staff(settings: Settings) -> None:
    settings.OFFLOAD_STAFF_NOTICES = ["ann@staff.example"]


def asked(**fields: Any) -> tuple[Played, InputRequest]:
    played = Played.begin(**fields)
    return played, ask(played)


def ask(played: Played) -> InputRequest:
    with work.transaction():
        question = transitions.ask(Case.objects.locked(played.case.pk), question="Which one?", reason="")
    run_due("case")
    return question


def test_people_are_reminded_once_and_the_case_keeps_waiting() -> None:
    played, question = asked(input_timeout_hours=24)
    before = played.reload()
    played.wait(hours=23)
    assert (StaffNotice.objects.count(), "case.input_overdue" in played.timeline) == (1, False)
    played.wait(hours=2)
    played.wait(hours=500)
    case = played.reload()
    assert (StaffNotice.objects.count(), played.timeline.count("case.input_overdue")) == (2, 1)
    assert (case.status, case.due_at, len(played.mails)) == (Status.INPUT_NEEDED, None, 1)
    assert (case.version, case.updated_at) == (before.version, before.updated_at)
    question.refresh_from_db()
    assert question.is_pending
    event = case.events.get(type="case.input_overdue")
    assert event.data == {"inputRequestId": str(question.pk), "question": "Which one?"}


def test_an_answered_question_is_never_overdue() -> None:
    played, question = asked(input_timeout_hours=24)
    services.provide_input(case_id=played.case.pk, input_request_id=question.pk, provided_context="This one.")
    played.wait(hours=25)
    assert "case.input_overdue" not in played.timeline


def test_the_clients_reminder_counts_where_the_case_names_no_time() -> None:
    client = ClientFactory(reminder_hours=3)
    by_client, _ = asked(client=client)
    by_case, _ = asked(client=client, input_timeout_hours=24)
    for played in (by_client, by_case):
        played.wait(hours=4)
    assert "case.input_overdue" in by_client.timeline
    assert "case.input_overdue" not in by_case.timeline


def test_without_either_nobody_is_reminded() -> None:
    played, _ = asked()
    played.wait(hours=5000)
    assert (StaffNotice.objects.count(), "case.input_overdue" in played.timeline) == (1, False)


def test_a_later_question_has_its_own_time() -> None:
    played, _ = asked(input_timeout_hours=24)
    played.wait(hours=23)
    ask(played)
    played.wait(hours=23)
    assert "case.input_overdue" not in played.timeline
    played.wait(hours=2)
    assert played.timeline.count("case.input_overdue") == 1


def test_a_paused_case_reminds_nobody_until_it_is_resumed() -> None:
    played, _ = asked(input_timeout_hours=24)
    changes.pause_case(played.case.pk, actor="staff ann")
    played.wait(hours=25)
    assert "case.input_overdue" not in played.timeline
    changes.resume_case(played.case.pk, actor="staff ann")
    run_due()
    assert played.timeline.count("case.input_overdue") == 1


def test_an_ended_case_has_nothing_overdue() -> None:
    played, _ = asked(input_timeout_hours=24)
    services.cancel_case(played.case.pk, actor="staff ann")
    case = played.reload()
    assert (case.due_at, case.input_overdue_at) == (None, None)


# --- A case that does not wait ---

FAILS = {"input_timeout_hours": 24, "input_timeout_action": "fail"}


def test_a_case_that_is_not_to_wait_fails_when_nobody_has_answered() -> None:
    played, question = asked(**FAILS)
    played.wait(hours=23)
    assert played.reload().status == Status.INPUT_NEEDED
    played.wait(hours=2)
    case = played.reload()
    assert (case.status, case.result_status) == (Status.FAILED, "deadline_passed")
    assert case.failure_reason == "Nobody answered the question within 24 hours."
    question.refresh_from_db()
    assert (question.status, case.due_at, len(played.mails)) == ("CLOSED", None, 1)
    assert "case.input_overdue" not in played.timeline


def test_an_answer_keeps_it_from_failing() -> None:
    played, question = asked(**FAILS)
    services.provide_input(case_id=played.case.pk, input_request_id=question.pk, provided_context="This one.")
    played.wait(hours=25)
    assert played.reload().status != Status.FAILED


def test_mail_that_has_come_by_then_is_judged_first() -> None:
    client = ClientFactory(settle_seconds=3600)
    played, _ = asked(client=client, result_schema=FORM, **FAILS)
    Case.objects.filter(pk=played.case.pk).update(transport="email")  # there replies settle
    sandbox.reply(played.case, text="Invoice number: INV-7\nTotal: 1250.50")
    run_due("payload")
    played.wait(hours=25)
    case = played.reload()
    assert (case.status, case.failures) == (Status.INPUT_NEEDED, 0)
    assert case.due_at is not None  # when the reply has settled
    Case.objects.filter(pk=case.pk).update(transport="sandbox", due_at=work.now())
    run_due("case")
    assert played.reload().status == Status.COMPLETED


def test_a_question_of_the_service_itself_is_no_exception() -> None:
    played = Played.begin(**FAILS)
    with work.transaction():
        transitions.ask(Case.objects.locked(played.case.pk), question="Go on?", reason="", is_operational=True)
    sandbox.reply(played.case, text="What is it about?")
    run_due()
    played.wait(hours=25)
    assert played.reload().result_status == "deadline_passed"


# --- PATCH ---


def change(played: Played, **fields: Any) -> Case:
    changed = changes.change_case(played.case.pk, fields, actor="client k")
    run_due("case")
    return changed


def test_another_time_counts_from_when_the_question_was_asked() -> None:
    played, _ = asked(input_timeout_hours=24)
    played.wait(hours=20)
    change(played, input_timeout_hours=30)
    played.wait(hours=9)
    assert "case.input_overdue" not in played.timeline
    played.wait(hours=2)
    assert played.timeline.count("case.input_overdue") == 1


def test_nobody_is_reminded_twice_of_one_question() -> None:
    played, _ = asked(input_timeout_hours=24)
    played.wait(hours=25)
    change(played, input_timeout_hours=48)
    played.wait(hours=100)
    assert (played.timeline.count("case.input_overdue"), StaffNotice.objects.count()) == (1, 2)
    assert played.reload().status == Status.INPUT_NEEDED


def test_a_question_that_has_waited_too_long_already_ends_the_case_at_once() -> None:
    played, _ = asked(input_timeout_hours=24)
    played.wait(hours=25)
    assert change(played, input_timeout_action="fail").status == Status.INPUT_NEEDED
    assert played.reload().result_status == "deadline_passed"


def test_a_case_without_an_open_question_plans_nothing() -> None:
    played = Played.begin()
    change(played, input_timeout_hours=1)
    assert played.reload().input_overdue_at is None
