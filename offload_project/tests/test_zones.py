"""The staff's pages in the reader's zone, and nothing else in it."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client as Browser
from django.utils import timezone

from cases.admin.forms import WaitForm
from cases.claims import ClaimedByAnother
from cases.factories import ApiKeyFactory, CaseFactory, MessageFactory
from cases.models import Case
from cases.moments import shortly
from cases.tests.staff import staff

MAILS = "/admin/cases/message/"
MOMENT = datetime(2026, 1, 15, 12, 30, tzinfo=UTC)


@pytest.fixture
def clerk(db: None) -> Browser:
    MessageFactory(created_at=MOMENT)
    return staff("view_case")


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("", "Thu 15 Jan 2026, 12:30 UTC"),
        ("Europe/Zurich", "Thu 15 Jan 2026, 13:30"),
        ("Asia/Kolkata", "Thu 15 Jan 2026, 18:00"),
        ("America/Los_Angeles", "Thu 15 Jan 2026, 04:30"),
        ("Nowhere/Land", "Thu 15 Jan 2026, 12:30 UTC"),
        ("../../etc/passwd", "Thu 15 Jan 2026, 12:30 UTC"),
        ("/etc/localtime", "Thu 15 Jan 2026, 12:30 UTC"),
        ("x" * 4000, "Thu 15 Jan 2026, 12:30 UTC"),
    ],
)
def test_times_are_shown_in_the_zone_that_the_browser_names(clerk: Browser, zone: str, shown: str) -> None:
    clerk.cookies["offload_zone"] = zone
    assert shown in clerk.get(MAILS).content.decode()
    assert timezone.get_current_timezone_name() == "UTC"  # again


def test_no_page_calls_a_time_in_the_readers_zone_utc() -> None:
    """What a template formats is in the reader's zone, so that only the format can name it."""
    pages = (settings.BASE_DIR / "templates" / "admin").rglob("*.html")
    wrong = [path.name for path in pages if re.search(r'date:"[^"]*" *\}\}[^{<]{0,3}(</time>)? ?UTC', path.read_text())]
    assert wrong == []


def test_who_has_a_question_and_since_when(db: None) -> None:
    since = datetime(2026, 1, 15, 12, 30, tzinfo=UTC)
    with timezone.override("Europe/Zurich"):
        assert "since 13:30 CET." in ClaimedByAnother(User(username="bo"), since).message
        assert shortly(since) == "Thu 15 Jan 2026, 13:30"
    assert shortly(since) == "Thu 15 Jan 2026, 12:30 UTC"


def clocks(case: Case) -> list[str]:
    zones: Any = WaitForm(case).fields["zone"]
    return [name for name, _ in zones.choices]


def test_a_person_may_choose_their_own_clock(db: None) -> None:
    case = CaseFactory(counterparty={"address": "a@b.example", "name": "A", "timezone": "Asia/Tokyo"})
    with timezone.override("Europe/Zurich"):
        assert clocks(case) == ["Asia/Tokyo", "Europe/Zurich", "UTC"]
    assert clocks(case) == ["Asia/Tokyo", "UTC"]


def test_the_api_knows_no_zone(db: None) -> None:
    key = ApiKeyFactory()
    case = CaseFactory(client=key.client, is_test=False)
    browser = Browser(headers={"x-api-key": key.key})
    plain = browser.get(f"/cases/{case.pk}").content
    browser.cookies["offload_zone"] = "Europe/Zurich"
    assert browser.get(f"/cases/{case.pk}").content == plain


def test_a_page_that_fails_leaves_no_zone_behind(clerk: Browser) -> None:
    clerk.cookies["offload_zone"] = "Asia/Kolkata"
    assert clerk.get("/admin/cases/case/nonsense/change/").status_code == 404
    assert timezone.get_current_timezone_name() == "UTC"
