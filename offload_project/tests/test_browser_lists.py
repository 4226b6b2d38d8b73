"""The list of cases in a real browser: its search, what is saved of it, and times in the reader's zone."""

from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from cases.factories import CaseFactory, InputRequestFactory, MessageFactory
from cases.models import SavedFilter, Status
from offload_project.tests.browser import chromium, log_in, page

pytestmark = pytest.mark.long

__all__ = ["chromium", "page"]  # fixtures

CASES = "/admin/cases/case/"


def rows() -> None:
    reply = MessageFactory(direction="IN", text="The ananas is on its way.")
    CaseFactory(status=Status.COMPLETED, client=reply.case.client, client_reference_id="INV-2031")
    CaseFactory(status=Status.FAILED, client=reply.case.client, client_reference_id="INV-2032")
    InputRequestFactory(case__client=reply.case.client)


def test_a_search_is_saved_had_again_and_deleted(page: Page) -> None:
    rows()
    log_in(page, CASES)
    expect(page.get_by_role("searchbox")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("ananas")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="a mail", exact=True)).to_be_visible()
    page.get_by_label("Save this list as").fill("Fruit")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved as “Fruit”.")).to_be_visible()
    page.goto(CASES)
    page.get_by_role("link", name="Fruit", exact=True).click()
    expect(page.get_by_role("link", name="a mail", exact=True)).to_be_visible()
    page.get_by_role("button", name="Delete the saved list Fruit").click()
    expect(page.get_by_text("“Fruit” is deleted.")).to_be_visible()
    assert not SavedFilter.objects.exists()


def test_times_are_in_the_zone_of_the_browser(page: Page, chromium: Browser, live_server: LiveServer) -> None:
    MessageFactory(created_at=datetime(2026, 1, 15, 12, 30, tzinfo=UTC))
    context = chromium.new_context(base_url=live_server.url, timezone_id="Asia/Kolkata")
    elsewhere = context.new_page()
    log_in(elsewhere, "/admin/cases/message/")
    elsewhere.reload()  # by now the browser has said where it is
    expect(elsewhere.get_by_text("Thu 15 Jan 2026, 18:00")).to_be_visible()
    context.close()
