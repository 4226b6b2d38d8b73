"""Days in numbers: each day's row says what happened on it, however often and however late it is counted."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from cases import chores, days, work
from cases.factories import CaseFactory, InputRequestFactory, MessageFactory
from cases.models import Case, Day, RequestStatus, ResultStatus, Status
from cases.testing import run_due

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 12, 15, 0, tzinfo=UTC)
TODAY, YESTERDAY = date(2026, 3, 12), date(2026, 3, 11)


@pytest.fixture(autouse=True)
def at_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cases.days.work.now", lambda: NOW)


def ago(**how_long: float) -> datetime:
    return NOW - timedelta(**how_long)


def ended(at: datetime, status: Status, took: timedelta, result_status: ResultStatus) -> Case:
    case: Case = CaseFactory(status=status, result_status=result_status, created_at=at - took, updated_at=at)
    return case


def test_a_day_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cases.days.model_use", lambda moments: (3, 4_500, Decimal("0.125")))
    for minutes in (10, 20, 60):
        ended(ago(hours=1), Status.COMPLETED, timedelta(minutes=minutes), ResultStatus.GOAL_ACHIEVED)
    ended(ago(hours=2), Status.FAILED, timedelta(minutes=5), ResultStatus.CANCELLED)
    running = CaseFactory(status=Status.RUNNING, created_at=ago(hours=14, minutes=59))
    CaseFactory(status=Status.RUNNING, created_at=ago(hours=15, minutes=1))  # the day before
    MessageFactory(case=running, created_at=ago(hours=3))
    MessageFactory(case=running, created_at=ago(hours=30))
    MessageFactory(case=running, direction="IN", created_at=ago(hours=2))
    for minutes in (1, 2, 30):
        InputRequestFactory(
            case=running,
            status=RequestStatus.RESOLVED,
            requested_at=ago(hours=1, minutes=minutes),
            resolved_at=ago(hours=1),
        )
    InputRequestFactory(case=running, status=RequestStatus.CLOSED, requested_at=ago(hours=4), resolved_at=ago(hours=1))
    InputRequestFactory(case=running, requested_at=ago(hours=1))
    days.count(60, None)
    today = Day.objects.get(date=TODAY)
    assert (today.created, today.completed, today.failed) == (5, 3, 1)
    assert today.ends == {"goal_achieved": 3, "cancelled": 1}
    assert (today.sent, today.received, today.asked, today.answered) == (1, 1, 5, 3)
    assert (today.answer_median_seconds, today.answer_p90_seconds) == (120, 1800)
    assert today.completion_median_seconds == 20 * 60
    assert (today.model_calls, today.model_tokens, today.model_cost) == (3, 4_500, Decimal("0.125"))
    yesterday = Day.objects.get(date=YESTERDAY)
    assert (yesterday.created, yesterday.completed, yesterday.ends, yesterday.sent) == (1, 0, {}, 1)
    assert yesterday.answer_median_seconds is None


def test_to_count_again_changes_nothing_but_what_has_changed() -> None:
    CaseFactory(created_at=ago(hours=1))
    days.count(60, None)
    before = list(Day.objects.values())
    days.count(60, NOW)
    assert list(Day.objects.values()) == before
    CaseFactory(created_at=ago(hours=20))
    CaseFactory(created_at=ago(days=2))  # a day that was never counted, for it was before the first case
    days.count(60, NOW)
    assert list(Day.objects.values_list("date", "created")) == [(date(2026, 3, 10), 1), (YESTERDAY, 1), (TODAY, 1)]


def test_all_history_is_counted_once_and_only_two_days_anew() -> None:
    CaseFactory(created_at=ago(days=40))
    days.count(60, None)
    assert Day.objects.count() == 41
    assert Day.objects.earliest("date").created == 1
    Day.objects.update(created=7)
    days.count(60, NOW)
    assert Day.objects.filter(created=7).count() == 39


def test_what_there_is_no_time_for_is_left_to_the_next_run() -> None:
    CaseFactory(created_at=ago(days=40))
    days.count(-1, None)
    assert not Day.objects.exists()


def test_days_are_those_of_the_service(settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"  # where it is the 13th already
    CaseFactory(created_at=NOW)
    days.count(60, None)
    assert Day.objects.get(created=1).date == date(2026, 3, 13)
    assert days.period(date(2026, 3, 13)) == (
        datetime(2026, 3, 12, 15, tzinfo=UTC),
        datetime(2026, 3, 13, 15, tzinfo=UTC),
    )


def test_a_day_may_have_23_hours(settings: Any) -> None:
    settings.TIME_ZONE = "Europe/Zurich"
    begins, ends = days.period(date(2026, 3, 29))
    assert ends - begins == timedelta(hours=23)


@pytest.mark.parametrize(
    ("values", "middle", "ninth"),
    [([], None, None), ([4.6], 5, 5), ([1, 2], 2, 2), ([3, 1, 2], 2, 3), (list(range(1, 101)), 50, 90)],
)
def test_median_and_percentile(values: list[float], middle: int | None, ninth: int | None) -> None:
    assert (days.median(values), days.percentile(values, 90)) == (middle, ninth)


def test_a_worker_counts(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    CaseFactory(status=Status.RUNNING)
    chores.plan()
    run_due("chore")
    assert Day.objects.get(created=1).date == work.now().date()
