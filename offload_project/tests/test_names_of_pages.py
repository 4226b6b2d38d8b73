"""What lists and pages call things: the words of this service, also where a library or the theme has its own."""

from typing import Any

import pytest
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.test import Client as Browser
from django.utils.html import strip_tags

from cases.factories import CaseFactory
from cases.models import Case

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser() -> Browser:
    return as_user(User.objects.create_superuser("ann", password="not a secret"))


def as_user(user: User) -> Browser:
    browser = Browser()
    browser.force_login(user)
    return browser


def words(browser: Browser, path: str) -> str:
    response = browser.get(path)
    assert response.status_code == 200
    return " ".join(strip_tags(response.content.decode()).split())


def tried(failures: int) -> AccessAttempt:
    attempt: AccessAttempt = AccessAttempt.objects.create(
        username="olaf", ip_address="198.51.100.3", user_agent="Mozilla/5.0", failures_since_start=failures
    )
    return attempt


def test_failed_logins_are_told_in_words(browser: Browser) -> None:
    attempt = tried(settings.AXES_FAILURE_LIMIT - 1)
    said = words(browser, "/admin/axes/accessattempt/")
    assert "Login attempts" in said
    assert "1 more try" in said
    assert "1 login attempt" in said
    page = words(browser, f"/admin/axes/accessattempt/{attempt.pk}/change/")
    assert "Login attempt of olaf" in page
    assert "Save" not in page
    assert f"{attempt.attempt_time:%Y-%m-%d}" not in page  # a time is said as everywhere else


def test_a_lockout_is_lifted_by_an_admin(db: Any) -> None:
    attempt = tried(settings.AXES_FAILURE_LIMIT)
    admin = User.objects.create_user("adam", is_staff=True)
    admin.groups.add(Group.objects.get(name="admin"))
    browser = as_user(admin)
    assert "locked out" in words(browser, "/admin/axes/accessattempt/")
    response = browser.post(
        "/admin/axes/accessattempt/", {"action": "delete_selected", "_selected_action": [attempt.pk], "post": "yes"}
    )
    assert response.status_code == 302
    assert not AccessAttempt.objects.exists()


@pytest.mark.parametrize("model", [AccessAttempt, AccessFailureLog, AccessLog])
def test_logins_are_shown_to_whoever_may_see_them_and_changed_by_nobody(browser: Browser, model: Any) -> None:
    counted = {"failures_since_start": 1} if model is AccessAttempt else {}
    row = model.objects.create(username="olaf", ip_address="198.51.100.3", user_agent="Mozilla/5.0", **counted)
    path = f"/admin/axes/{model._meta.model_name}/{row.pk}/change/"
    assert browser.post(path, {"username": "zoe"}).status_code == 403
    row.refresh_from_db()
    assert row.username == "olaf"
    viewer = User.objects.create_user("vic", is_staff=True)
    viewer.groups.add(Group.objects.get(name="viewer"))
    assert as_user(viewer).get(path).status_code == 403


def test_groups_are_called_roles(browser: Browser) -> None:
    assert "3 roles" in words(browser, "/admin/auth/group/")
    page = words(browser, f"/admin/auth/group/{Group.objects.get(name='viewer').pk}/change/")
    assert "Role: viewer" in page
    assert "Groups" not in page
    assert "New account" in words(browser, "/admin/auth/user/add/")


def test_an_empty_list_says_whether_a_filter_makes_it_so(browser: Browser) -> None:
    assert "No case yet." in words(browser, "/admin/cases/case/")
    assert "Nothing here matches. Show all" in words(browser, "/admin/cases/case/?q=4711")
    assert "Nothing here matches. Show all" in words(browser, "/admin/cases/case/?status__exact=RUNNING")


def test_mail_is_counted_in_mails(browser: Browser) -> None:
    assert "0 incoming mails" in words(browser, "/admin/outreach/inboundpayload/")
    assert "0 sandbox mails" in words(browser, "/admin/outreach/sandboxmail/")


def test_a_case_without_a_reference_is_called_by_what_it_is_about(db: None) -> None:
    goal = {"objective": "Please confirm the delivery date."}
    case: Case = CaseFactory(goal=goal, client_reference_id="")
    assert str(case) == f"Please confirm the delivery date. ({str(case.pk)[:8]})"
    assert str(CaseFactory(goal=goal, client_reference_id="INV-7")) == "INV-7: Please confirm the delivery date."


def test_an_admin_lifts_a_lockout(browser: Browser) -> None:
    attempt = tried(failures=5)
    path = f"/admin/axes/accessattempt/{attempt.pk}/"
    assert "Lift the lockout" in words(browser, f"{path}change/")
    asked = words(browser, f"{path}delete/")
    assert "Login attempt of" in asked
    assert "The failed logins of this name from this address are forgotten" in asked
    assert AccessAttempt.objects.count() == 1
    browser.post(f"{path}delete/", {"post": "yes"})
    assert AccessAttempt.objects.count() == 0
