"""Moving what is due for one case nearer."""

from datetime import timedelta

import pytest

from cases import work
from cases.factories import CaseFactory, InputRequestFactory, MessageFactory, reschedule
from cases.models import Case, Status
from cases.time_travel import Skipped, bring_nearer

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def test_only_the_one_case_moves() -> None:
    case, other = CaseFactory(status=Status.RUNNING), CaseFactory(status=Status.RUNNING)
    bring_nearer(case.pk, DAY)
    moved = Case.objects.get(pk=case.pk)
    assert moved.next_action_at == case.next_action_at - DAY
    assert moved.due_at == case.due_at - DAY
    assert (moved.version, moved.updated_at > case.updated_at) == (case.version + 1, True)
    untouched = Case.objects.get(pk=other.pk)
    assert (untouched.next_action_at, untouched.version) == (other.next_action_at, other.version)


def test_a_pause_after_a_failure_is_shortened_and_no_news_for_clients() -> None:
    case = CaseFactory()
    Case.objects.filter(pk=case.pk).update(retry_at=case.created_at + DAY)
    reschedule(case)
    bring_nearer(case.pk, DAY / 2)
    moved = Case.objects.get()
    assert (moved.retry_at, moved.due_at) == (case.created_at + DAY / 2, case.created_at + DAY / 2)
    assert (moved.version, moved.updated_at) == (case.version, case.updated_at)


def test_failures_are_older_by_what_was_skipped() -> None:
    case = CaseFactory()
    Case.objects.filter(pk=case.pk).update(retry_at=case.created_at + DAY, failing_since=case.created_at)
    bring_nearer(case.pk, DAY)
    assert Case.objects.get().failing_since == case.created_at - DAY


def test_what_has_been_is_older_by_what_was_skipped_since_and_keeps_its_time() -> None:
    message = MessageFactory()
    before = work.now()
    bring_nearer(message.case.pk, DAY, actor="client abc")
    bring_nearer(message.case.pk, DAY / 2, actor="client abc")
    skipped, now = Skipped.of(message.case), work.now()
    assert skipped.age(before, now) == now - before + DAY * 1.5
    assert skipped.age(now, now) == timedelta(0)
    message.refresh_from_db()
    assert message.sent_at == message.created_at
    assert Skipped.of(CaseFactory()) == Skipped()
    event = message.case.events.filter(type="time.skipped").last()
    assert (event.actor, event.data) == ("client abc", {"seconds": 43200.0})


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED])
def test_a_case_that_has_ended_stays_as_it_is(status: Status) -> None:
    case = CaseFactory(status=status)
    bring_nearer(case.pk, DAY)
    assert Case.objects.get().version == case.version


def test_a_case_that_waits_for_a_human_stays_as_it_is() -> None:
    case = InputRequestFactory().case
    bring_nearer(case.pk, DAY)
    assert Case.objects.get().version == case.version
