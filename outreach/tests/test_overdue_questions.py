"""A question that nobody answers: people are reminded once, and the case keeps waiting."""

from typing import Any

import pytest
from pytest_django import Settings

from cases import changes, services, transitions, work
from cases.factories import ClientFactory
from cases.models import Case, InputRequest, Status
from cases.testing import run_due
from outreach.factories import Played
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
