"""Logging in: wrong passwords, and the code beside the right one."""

import time
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client as Browser
from django.urls import reverse
from django_otp.oath import totp
from django_otp.plugins.otp_totp.models import TOTPDevice
from pytest_django import Settings

pytestmark = pytest.mark.django_db
PAGE = "/admin/second-factor/"


@pytest.fixture
def ann() -> User:
    return User.objects.create_superuser("ann", password="the right one")


def log_in(browser: Browser, password: str = "the right one", name: str = "ann", **options: Any) -> Any:
    return browser.post("/admin/login/", {"username": name, "password": password}, **options)


def code_of(device: TOTPDevice) -> str:
    return f"{totp(device.bin_key):06d}"


def with_second_factor(user: User) -> TOTPDevice:
    return TOTPDevice.objects.create(user=user, name="authenticator")


# --- Wrong passwords ---


def test_after_five_wrong_passwords_the_right_one_waits_too(ann: User, client: Browser) -> None:
    assert [log_in(client, "wrong").status_code for _ in range(5)] == [200] * 4 + [429]
    refused = log_in(client)
    assert refused.status_code == 429
    assert "Try again in 15 minutes" in refused.content.decode()
    assert client.get("/admin/").status_code == 302


def test_only_the_name_and_the_address_together_are_locked(ann: User, client: Browser) -> None:
    for _ in range(6):
        log_in(client, "wrong")
    assert log_in(client, REMOTE_ADDR="198.51.100.3").status_code == 302
    User.objects.create_superuser("bob", password="the right one")
    assert log_in(Browser(), name="bob").status_code == 302


def test_behind_a_proxy_the_address_is_the_clients(ann: User, client: Browser, settings: Settings) -> None:
    settings.OFFLOAD_BEHIND_PROXY = True
    for _ in range(6):
        log_in(client, "wrong", headers={"x-forwarded-for": "198.51.100.3"})
    assert log_in(client, headers={"x-forwarded-for": "198.51.100.3"}).status_code == 429
    assert log_in(client, headers={"x-forwarded-for": "198.51.100.3, 198.51.100.4"}).status_code == 302


def test_no_password_is_kept_of_a_failed_login(ann: User, client: Browser) -> None:
    from axes.models import AccessAttempt

    log_in(client, "a-wrong-password")
    kept = vars(AccessAttempt.objects.get())
    assert kept["username"] == "ann"
    assert "a-wrong-password" not in str(kept)


# --- The code ---


def test_without_a_second_factor_the_password_is_enough(ann: User, client: Browser) -> None:
    log_in(client)
    assert client.get("/admin/").status_code == 200


def test_a_second_factor_is_set_up_by_showing_that_it_works(ann: User, client: Browser) -> None:
    log_in(client)
    assert TOTPDevice.objects.count() == 0
    client.get(PAGE)
    assert TOTPDevice.objects.count() == 0
    client.post(PAGE, {"act": "set up"})
    device = TOTPDevice.objects.get()
    assert (device.user, device.confirmed) == (ann, False)
    html = client.get(PAGE).content.decode()
    assert 'src="data:image/svg+xml;base64,' in html
    assert client.get("/admin/").status_code == 200  # nobody is locked out by what they have begun
    assert "not the code" in client.post(PAGE, {"act": "code", "code": wrong(device)}).content.decode()
    device.refresh_from_db()
    assert not device.confirmed
    device.throttle_reset()
    assert client.post(PAGE, {"act": "code", "code": code_of(device)}).headers["location"] == reverse("admin:index")
    device.refresh_from_db()
    assert bool(device.confirmed)
    assert LogEntry.objects.get().change_message == "Set up a second factor"
    assert client.get("/admin/").status_code == 200


def wrong(device: TOTPDevice) -> str:
    near = {f"{totp(device.bin_key, drift=drift):06d}" for drift in range(-3, 4)}
    return next(code for code in map("{:06d}".format, range(10)) if code not in near)


def test_with_a_second_factor_the_password_alone_opens_nothing(ann: User, client: Browser) -> None:
    device = with_second_factor(ann)
    log_in(client)
    for path in ("/admin/", "/admin/cases/case/", "/admin/auth/user/", "/admin/password_change/", "/admin/jsi18n/"):
        assert client.get(path).headers.get("location") == PAGE, path
    before = client.session.session_key
    client.post(PAGE, {"act": "remove"})
    client.post(PAGE, {"act": "set up"})
    assert list(TOTPDevice.objects.all()) == [device]
    assert client.post(PAGE, {"act": "code", "code": code_of(device)}).headers["location"] == reverse("admin:index")
    assert client.get("/admin/").status_code == 200
    assert client.session.session_key != before


def test_a_code_is_good_once_and_guessing_gets_slower(ann: User) -> None:
    device = with_second_factor(ann)
    code = code_of(device)
    first, second = Browser(), Browser()
    for browser in (first, second):
        log_in(browser)
    assert first.post(PAGE, {"act": "code", "code": code}).status_code == 302
    assert second.post(PAGE, {"act": "code", "code": code}).status_code == 200
    TOTPDevice.objects.update(last_t=-1)  # even the right one has to wait now
    assert second.post(PAGE, {"act": "code", "code": code_of(device)}).status_code == 200
    assert second.get("/admin/").headers["location"] == PAGE


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "１２３４５６7"])
def test_what_is_no_code_is_not_looked_up(ann: User, client: Browser, code: str) -> None:
    device = with_second_factor(ann)
    log_in(client)
    assert client.post(PAGE, {"act": "code", "code": code}).status_code == 200
    device.refresh_from_db()
    assert device.throttling_failure_count == 0


def test_where_all_must_have_one_nobody_gets_further_without(ann: User, client: Browser, settings: Settings) -> None:
    settings.OFFLOAD_REQUIRE_TOTP = True
    log_in(client)
    assert client.get("/admin/").headers["location"] == PAGE
    client.post(PAGE, {"act": "set up"})
    device = TOTPDevice.objects.get()
    assert client.get("/admin/").headers["location"] == PAGE
    client.post(PAGE, {"act": "code", "code": code_of(device)})
    assert client.get("/admin/").status_code == 200
    client.post(PAGE, {"act": "remove"})
    assert TOTPDevice.objects.count() == 1


def test_it_can_be_removed_by_its_owner_and_by_an_admin(ann: User, client: Browser) -> None:
    device = with_second_factor(ann)
    log_in(client)
    client.post(PAGE, {"act": "code", "code": code_of(device)})
    client.post(PAGE, {"act": "remove"})
    assert TOTPDevice.objects.count() == 0
    bob = User.objects.create_user("bob", is_staff=True)
    with_second_factor(bob)
    client.post("/admin/auth/user/", {"action": "remove_second_factor", "_selected_action": [bob.pk]})
    assert TOTPDevice.objects.count() == 0
    said = [str(entry.change_message) for entry in LogEntry.objects.order_by("pk")]
    assert said == ["Removed the second factor", "Removed the second factor"]


def test_strangers_are_sent_to_the_login(client: Browser) -> None:
    assert client.get(PAGE).headers["location"] == f"/admin/login/?next={PAGE}"
    assert TOTPDevice.objects.count() == 0


def test_the_session_is_short_and_its_cookie_is_for_us_alone(ann: User, client: Browser) -> None:
    cookie = log_in(client).cookies["sessionid"]
    assert (cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (True, "Lax", 12 * 3600)
    assert Session.objects.get().expire_date.timestamp() - time.time() < 12 * 3600 + 60


def test_staff_pages_are_kept_by_no_cache_and_found_by_no_search_engine(ann: User, client: Browser) -> None:
    for path in ("/admin/login/", "/admin/", PAGE):
        response = client.get(path, follow=True)
        assert "no-store" in response["Cache-Control"], path
        assert response["X-Robots-Tag"] == "noindex, nofollow"
