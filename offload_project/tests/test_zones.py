"""The staff's pages in the reader's zone, and nothing else in it."""

from datetime import UTC, datetime

import pytest
from django.test import Client as Browser
from django.utils import timezone

from cases.factories import ApiKeyFactory, CaseFactory, MessageFactory
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
        ("", "2026-01-15 12:30 UTC"),
        ("Europe/Zurich", "2026-01-15 13:30 CET"),
        ("Asia/Kolkata", "2026-01-15 18:00 IST"),
        ("America/Los_Angeles", "2026-01-15 04:30 PST"),
        ("Nowhere/Land", "2026-01-15 12:30 UTC"),
        ("../../etc/passwd", "2026-01-15 12:30 UTC"),
        ("/etc/localtime", "2026-01-15 12:30 UTC"),
        ("x" * 4000, "2026-01-15 12:30 UTC"),
    ],
)
def test_times_are_shown_in_the_zone_that_the_browser_names(clerk: Browser, zone: str, shown: str) -> None:
    clerk.cookies["offload_zone"] = zone
    assert shown in clerk.get(MAILS).content.decode()
    assert timezone.get_current_timezone_name() == "UTC"  # again


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
