"""Forms sent after the session has ended, or from a page that is too old: nothing is done, nothing typed is lost."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import Client as Browser
from django.urls import reverse
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import expect
from pytest_django.live_server_helper import LiveServer

from cases.factories import InputRequestFactory
from cases.models import InputRequest, RequestStatus
from offload_project.tests.browser import log_in, new_context

pytestmark = pytest.mark.django_db


def act(question: InputRequest, what: str) -> str:
    return reverse(f"admin:cases_inputrequest_{what}", args=[question.pk])


def answered_without_login(question: InputRequest, **headers: str) -> Any:
    return Browser().post(act(question, "complete"), {"result": "{}"}, headers=headers)


@pytest.mark.parametrize("came_from", ["change", "complete"])
def test_after_the_login_comes_the_page_and_not_what_only_takes_a_post(came_from: str) -> None:
    question = InputRequestFactory()
    response = answered_without_login(question, referer=f"http://testserver{act(question, came_from)}")
    assert response.status_code == 302
    to = urlsplit(response.url)
    assert (to.path, parse_qs(to.query)["next"]) == ("/admin/login/", [act(question, "change")])
    question.refresh_from_db()
    assert question.status == RequestStatus.PENDING


@pytest.mark.parametrize("referer", ["", "https://evil.example/admin/cases/case/", "http://testserver/docs"])
def test_whoever_comes_from_elsewhere_goes_to_the_home_page(referer: str) -> None:
    response = answered_without_login(InputRequestFactory(), referer=referer)
    assert parse_qs(urlsplit(response.url).query)["next"] == ["/admin/"]


def test_a_part_that_renews_itself_is_not_replaced_by_the_login() -> None:
    response = Browser().get(act(InputRequestFactory(), "bar"), headers={"HX-Request": "true"})
    assert (response.status_code, response.content) == (401, b"You have been logged out.")


def test_a_page_that_is_asked_for_leads_to_itself() -> None:
    response = Browser().get("/admin/cases/case/?q=ann")
    assert response["Location"] == "/admin/login/?next=/admin/cases/case/%3Fq%3Dann"


def test_a_form_without_its_token_is_refused_in_words() -> None:
    browser = Browser(enforce_csrf_checks=True)
    browser.force_login(User.objects.create_superuser("ann"))
    question = InputRequestFactory()
    response = browser.post(act(question, "change"), {"provided_context": "Yes."})
    assert response.status_code == 403
    page = response.content.decode()
    assert "This page is too old" in page
    assert "<style" not in page
    question.refresh_from_db()
    assert question.status == RequestStatus.PENDING


def test_what_was_typed_is_there_again_after_the_login(chromium: Chromium, live_server: LiveServer) -> None:
    User.objects.create_superuser("ann", password="not a secret")
    question = InputRequestFactory(question="May we pay 200 EUR?")
    complaints: list[str] = []
    context = new_context(chromium, live_server.url, complaints)
    try:
        page = context.new_page()
        log_in(page, act(question, "change"))
        field = page.locator("#choose-answer textarea")
        answer = page.locator("#choose-answer").get_by_role("button", name="Answer", exact=True)
        field.fill("Yes, up to 250, and no more.")
        context.clear_cookies(name="sessionid")
        answer.click()
        expect(page.get_by_text("You were logged out meanwhile, and nothing was stored.")).to_be_visible()
        page.get_by_label("Username").fill("ann")
        page.get_by_label("Password").fill("not a secret")
        page.get_by_role("button", name="Log in").click()
        expect(field).to_have_value("Yes, up to 250, and no more.")
        expect(page.get_by_text("This was not stored.")).to_be_visible()
        question.refresh_from_db()
        assert question.status == RequestStatus.PENDING
        assert complaints == []

        context.clear_cookies(name="csrftoken")
        answer.click()
        expect(page.get_by_role("heading", name="This page is too old")).to_be_visible()
        page.get_by_role("link", name="To the page").click()
        expect(field).to_have_value("Yes, up to 250, and no more.")
        answer.click()
        expect(page.get_by_text("The answer is stored.")).to_be_visible()
        question.refresh_from_db()
        assert question.provided_context == "Yes, up to 250, and no more."
        page.goto(act(InputRequestFactory(), "change"))
        expect(field).to_have_value("")  # what is stored is put nowhere else
    finally:
        context.close()
    assert [said for said in complaints if "403" not in said] == []


def test_a_page_that_renews_itself_says_that_one_is_logged_out(chromium: Chromium, live_server: LiveServer) -> None:
    User.objects.create_superuser("ann", password="not a secret")
    question = InputRequestFactory()
    complaints: list[str] = []
    context = new_context(chromium, live_server.url, complaints)
    try:
        page = context.new_page()
        log_in(page, act(question, "change"))
        page.locator("#choose-answer textarea").fill("Yes.")
        context.clear_cookies(name="sessionid")
        page.evaluate(f"htmx.ajax('GET', '{act(question, 'bar')}', '#claim').catch(() => null)")
        expect(page.get_by_role("alert")).to_have_text("You have been logged out. Log in again")
        expect(page.locator("#choose-answer textarea")).to_have_value("Yes.")
        assert page.get_by_label("Password").count() == 0
    finally:
        context.close()
    assert [said for said in complaints if "401" not in said] == []
