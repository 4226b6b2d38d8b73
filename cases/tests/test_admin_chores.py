"""What is done every now and then, on the staff's pages."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client as Browser
from django.urls import reverse

from cases import chores, work
from cases.models import Chore
from cases.tests.staff import HOSTILE, assert_harmless, staff, told

LIST = "/admin/cases/chore/"


def sweep(seconds: float, last_at: datetime | None) -> None:
    """Sweep the floor.

    And nothing else.
    """


@pytest.fixture(autouse=True)
def configured(settings: Any) -> None:
    settings.OFFLOAD_CHORES = {"sweep": ("cases.tests.test_admin_chores.sweep", 900)}


@pytest.fixture
def operator(db: None) -> Browser:
    return staff("view_case", "change_case")


def planned(**fields: Any) -> Chore:
    chores.plan()
    Chore.objects.update(**fields)
    chore: Chore = Chore.objects.get()
    return chore


def run(browser: Browser, name: str = "sweep") -> Any:
    return browser.post(reverse("admin:cases_chore_run", args=[name]))


def test_the_list_says_what_is_done_when(operator: Browser) -> None:
    at = work.now() + timedelta(minutes=10)
    planned(next_at=at, due_at=at, done_at="2026-03-04T05:06Z", failures=3, last_error=HOSTILE)
    html = operator.get(LIST).content.decode()
    assert_harmless(html)
    for words in (
        "Sweep the floor.",
        "15 minutes",
        "in 10 minutes",
        "Wed 4 Mar 2026, 05:06 UTC",
        '<span class="badge bad">3<',
    ):
        assert words in html
    assert "And nothing else." not in html


def test_a_chore_is_done_now_even_after_a_failure(operator: Browser) -> None:
    later = work.now() + timedelta(hours=1)
    planned(next_at=later, due_at=later, retry_at=later, failures=2)
    assert told(run(operator), "success") == ["“sweep” is done as soon as a worker is free."]
    chore = Chore.objects.get()
    assert [row.pk for row in work.due("chore")] == ["sweep"]
    assert chore.next_at <= work.now()
    assert (chore.retry_at, chore.failures) == (None, 2)
    assert LogEntry.objects.get().change_message == "Asked for a run now"
    assert "about to be done" in operator.get(LIST).content.decode()


def test_a_chore_that_is_overdue_keeps_its_place(operator: Browser) -> None:
    before = work.now() - timedelta(hours=1)
    planned(next_at=before, due_at=before)
    run(operator)
    assert Chore.objects.get().next_at == before


def test_who_may_only_look_runs_nothing(db: None) -> None:
    later = work.now() + timedelta(hours=1)
    planned(next_at=later, due_at=later)
    viewer = staff("view_case")
    html = viewer.get(LIST).content.decode()
    assert "Sweep the floor." in html
    assert "Run now" not in html
    assert run(viewer).status_code == 403
    assert viewer.get(reverse("admin:cases_chore_run", args=["sweep"])).status_code == 405
    assert staff("view_client").get(LIST).status_code == 403
    assert Chore.objects.get().next_at == later


def test_what_is_not_planned_is_not_listed_and_not_run(operator: Browser, settings: Any) -> None:
    assert "Nothing is planned here." in operator.get(LIST).content.decode()
    assert told(run(operator)) == ["There is no such chore any more."]
    planned()
    settings.OFFLOAD_CHORES = {}
    assert "Nothing is planned here." in operator.get(LIST).content.decode()
    assert (LogEntry.objects.count(), operator.get(f"{LIST}sweep/change/").status_code) == (0, 302)


def test_nobody_adds_changes_or_deletes_a_chore(operator: Browser) -> None:
    planned()
    assert operator.get(f"{LIST}add/").status_code == 403
    assert operator.post(f"{LIST}sweep/delete/", {"post": "yes"}).status_code == 403
    assert Chore.objects.count() == 1
