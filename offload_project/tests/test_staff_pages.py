"""Every page of the staff's desk, in a real browser: light and dark, wide and on a telephone, and for axe-core.

`make screenshots` writes the pictures of them all to var/screenshots, in four views; `make long` looks at
each page in one of two, without writing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django_otp.plugins.otp_totp.models import TOTPDevice
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from cases.models import Case, Client, Draft, InputRequest
from offload_project.tests import desk
from offload_project.tests.browser import CUT, SIZES, Scheme, log_in, look_as, new_context, obstacles, picture
from outreach.models import InboundPayload, Suppression
from webhooks.models import Delivery, Endpoint

TWO: list[tuple[int, Scheme]] = [(1440, "light"), (390, "dark")]
ALL: list[tuple[int, Scheme]] = [(width, scheme) for width in SIZES for scheme in ("light", "dark")]


@dataclass
class Viewer:
    """Looks at pages as they stand, in each view, and notes what is wrong with them."""

    page: Page
    views: list[tuple[int, Scheme]]
    writes: bool
    found: dict[str, list[str]] = field(default_factory=dict)
    looked: int = 0

    def look(self, name: str) -> None:
        """Every view with pictures; without, one page is looked at wide and light, the next one small and dark."""
        self.looked += 1
        for width, scheme in self.views if self.writes else [self.views[self.looked % len(self.views)]]:
            look_as(self.page, width, scheme)
            if self.writes:
                picture(self.page, f"{name}-{width}-{scheme}")
            if faults := [*obstacles(self.page), *self.page.evaluate(CUT)]:
                self.found[f"{name}-{width}-{scheme}"] = faults
        look_as(self.page, 1440, "light")

    def go(self, name: str, path: str, status: int = 200) -> None:
        answer = self.page.goto(path)
        assert answer is not None
        assert answer.status == status, path
        if self.page.locator("h1").count() != 1:
            self.found[f"{name} has no heading, or several"] = self.page.locator("h1").all_inner_texts()
        self.look(name)


@pytest.fixture
def viewer(page: Page, request: pytest.FixtureRequest) -> Viewer:
    writes = bool(request.config.getoption("--pictures"))
    return Viewer(page, ALL if writes else TWO, writes)


def test_an_empty_desk_is_whole_and_open_to_everybody(viewer: Viewer) -> None:
    log_in(viewer.page, "/admin/")
    found = desk.pages_without_rows()
    for name in ("home", "case-list", "suppression-list", *desk.QUEUES):
        viewer.go(f"empty-{name}", found[name])
    assert viewer.found == {}


@pytest.mark.long
def test_every_page_is_whole_and_open_to_everybody(viewer: Viewer) -> None:
    desk.furnish(User.objects.get(username="ann"))
    log_in(viewer.page, "/admin/")
    for name, path in desk.pages().items():
        viewer.go(name, path)
    for name, (path, reach) in reached().items():
        viewer.page.goto(path)
        reach(viewer.page)
        viewer.look(name)
    assert viewer.found == {}


def reached() -> dict[str, tuple[str, Callable[[Page], Any]]]:
    """Pages that are an answer to what somebody has sent: by name, from which page, and what is done there."""
    question = f"{desk.base_of(InputRequest)}{InputRequest.objects.get(status='PENDING').pk}/change/"
    draft = f"{desk.base_of(Draft)}{Draft.objects.get(status='DRAFT').pk}/change/"
    running = f"{desk.base_of(Case)}{Case.objects.get(client_reference_id='INV-2035').pk}/change/"
    unmatched = f"{desk.base_of(InboundPayload)}{InboundPayload.objects.get(state='UNMATCHED').pk}/change/"
    client = f"{desk.base_of(Client)}{Client.objects.get(name='Acme Finance').pk}/change/"
    return {
        "question-preview": (question, preview_a_mail),
        "question-wrong-result": (question, complete_with_nothing),
        "question-all-choices": (question, open_all),
        "question-keys": (question, lambda page: page.get_by_role("button", name="Keyboard").click()),
        "draft-wrong-words": (draft, empty_the_draft),
        "draft-all-choices": (draft, open_all),
        "case-confirm": (running, end_the_case),
        "case-all-choices": (running, open_all),
        "unmatched-all-choices": (unmatched, open_all),
        "unmatched-wrong": (unmatched, assign_to_nothing),
        "quarantine-discard": (desk.QUEUES["quarantine"], discard_all),
        "client-all-choices": (client, open_all),
        "client-new-key": (client, issue_a_key),
        "client-wrong-settings": (client, set_a_wrong_address),
        "case-list-filters": (desk.base_of(Case), open_all),
        "menu": (desk.base_of(Case), open_all_and_the_menu),
        "play-all-choices": (desk.pages()["play"], open_all),
        "suppression-wrong": (f"{desk.base_of(Suppression)}add/", lambda page: press(page, "Save")),
        "delivery-all-choices": (f"{desk.base_of(Delivery)}{Delivery.objects.get().pk}/change/", open_all),
        "endpoint-all-choices": (f"{desk.base_of(Endpoint)}{Endpoint.objects.get().pk}/change/", open_all),
    }


def press(page: Page, button: str) -> None:
    page.get_by_role("button", name=button, exact=True).first.click()


def open_all(page: Page) -> None:
    page.evaluate(
        """() => document.querySelectorAll('#main details').forEach(one => {
            one.removeAttribute('name'); one.open = true })"""
    )


def open_all_and_the_menu(page: Page) -> None:
    look_as(page, 390, "light")
    page.get_by_role("button", name="Menu").click()


def preview_a_mail(page: Page) -> None:
    page.get_by_text("Write to the counterparty", exact=True).click()
    press(page, "Preview the mail")
    expect(page.get_by_role("button", name="Send this mail")).to_be_visible()


def complete_with_nothing(page: Page) -> None:
    page.get_by_text("Complete with a result", exact=True).click()
    page.get_by_label("Invoice number").fill("")
    page.get_by_role("button", name="Complete with this result").last.click()
    expect(page.get_by_text("2 fields to put right")).to_be_visible()


def empty_the_draft(page: Page) -> None:
    page.get_by_text("Change the words", exact=True).click()
    page.get_by_label("Text", exact=True).fill("")
    press(page, "Save")
    expect(page.locator(".errorlist").first).to_be_visible()


def end_the_case(page: Page) -> None:
    page.locator("#fail > summary").click()
    page.locator("#fail-reason").fill("They closed down.")
    page.get_by_label("Another reason").check()
    page.get_by_role("button", name="End the case …").click()
    expect(page.locator("#fail .confirm")).to_be_visible()


def assign_to_nothing(page: Page) -> None:
    press(page, "Assign it to this case")
    expect(page.locator(".errorlist").first).to_be_visible()


def discard_all(page: Page) -> None:
    page.get_by_label("All on this page").check()
    press(page, "Put the chosen ones aside…")
    expect(page.get_by_role("heading", name="Put one mail aside")).to_be_visible()


def issue_a_key(page: Page) -> None:
    page.get_by_label("Live: its cases send real mail").check()
    press(page, "Issue a key")
    expect(page.locator("#new-key")).to_be_visible()


def set_a_wrong_address(page: Page) -> None:
    page.get_by_label("Webhook URL of cases that have none").fill("ftp://hooks.example/")
    press(page, "Save the settings")
    expect(page.get_by_text("Not an http or https URL.")).to_be_visible()


@pytest.mark.long
def test_what_keeps_people_out_is_whole_too(
    chromium: Browser, live_server: LiveServer, viewer: Viewer, page: Page
) -> None:
    """The login, and the pages that refuse. Of those the browser says so itself, so they are looked at apart."""
    viewer.go("login", "/admin/")
    page.get_by_label("Username").fill("ann")
    page.get_by_label("Password").fill("wrong")
    press(page, "Log in")
    viewer.look("login-wrong")
    User.objects.create_user("vic", password="not a secret", is_staff=True)
    User.objects.create_user("otto", password="not a secret", is_staff=True)
    TOTPDevice.objects.create(user=User.objects.get(username="otto"), name="authenticator")
    page.get_by_label("Username").fill("otto")
    page.get_by_label("Password").fill("not a secret")
    press(page, "Log in")
    expect(page.get_by_role("textbox", name="Code")).to_be_visible()
    viewer.look("code")
    refusals: list[str] = []
    context = new_context(chromium, live_server.url, refusals)
    try:
        refused = Viewer(context.new_page(), viewer.views, viewer.writes, viewer.found)
        log_in(refused.page, "/admin/", "vic")
        refused.go("forbidden", "/admin/auth/user/", 403)
        refused.go("not-found", "/admin/nothing/", 404)
        context.clear_cookies()
        for _ in range(settings.AXES_FAILURE_LIMIT):
            refused.page.goto("/admin/login/")
            refused.page.get_by_label("Username").fill("vic")
            refused.page.get_by_label("Password").fill("wrong")
            press(refused.page, "Log in")
        expect(refused.page.get_by_role("heading", name="Too many attempts")).to_be_visible()
        refused.look("locked-out")
    finally:
        context.close()
    assert viewer.found == {}
    assert [said.split(": ", 1)[1].partition(" of ")[2].split()[0] for said in refusals] == ["403", "404", "429"]
