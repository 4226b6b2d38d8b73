"""The home page in a real browser: its numbers change by themselves, and charts lead to their lists."""

from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from cases import days, work
from cases.factories import CaseFactory, InputRequestFactory, MessageFactory
from cases.models import Heartbeat, RequestStatus, ResultStatus, Status
from offload_project.tests.browser import log_in

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def rows(page: Page) -> None:
    """A service that has run for a month."""
    now = work.now()
    Heartbeat.objects.create(name="worker", started_at=now, finished_at=now + timedelta(hours=1))
    for back in range(30):
        at = now - timedelta(days=back)
        for number in range(back % 5):
            took = timedelta(hours=3 + back * number)
            CaseFactory(status=Status.COMPLETED, created_at=at - took, updated_at=at)
        if back % 3 == 0:
            how = ResultStatus.CANCELLED if back % 2 else ResultStatus.MAX_RETRIES
            CaseFactory(status=Status.FAILED, result_status=how, created_at=at - timedelta(hours=9), updated_at=at)
        case = CaseFactory(status=Status.RUNNING, created_at=at, next_action_at=now + timedelta(days=1))
        MessageFactory(case=case, created_at=at)
        if back % 4:
            asked = at - timedelta(minutes=10 + 7 * back)
            InputRequestFactory(
                case=case, status=RequestStatus.RESOLVED, requested_at=asked, resolved_at=at, used_at=at
            )
    days.count(60, None)


def test_a_number_changes_without_a_reload(page: Page) -> None:
    log_in(page, "/admin/")
    expect(page.get_by_text("Nothing waits for you.")).to_be_visible()
    page.evaluate("window.samePage = true")
    question = InputRequestFactory()
    expect(page.get_by_role("link", name="1 open question")).to_be_visible(timeout=25_000)
    expect(page.locator("#home-said")).to_have_text("1 open question")
    page.locator("#waits-open-questions").focus()
    InputRequestFactory()
    expect(page.get_by_role("link", name="2 open questions")).to_be_visible(timeout=25_000)
    assert page.evaluate("window.samePage && document.activeElement.id") == "waits-open-questions"
    page.get_by_role("link", name="2 open questions").click()
    expect(page.get_by_text(question.question).first).to_be_visible()


def test_a_hidden_tab_does_not_ask_and_asks_at_once_when_it_is_seen(page: Page) -> None:
    log_in(page, "/admin/")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/admin/now/" in request.url else None)
    page.evaluate("Object.defineProperty(document, 'hidden', {configurable: true, get: () => true})")
    InputRequestFactory()
    page.evaluate("htmx.trigger('#home-now', 'refresh')")
    page.wait_for_timeout(500)
    assert asked == []
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.get_by_role("link", name="1 open question")).to_be_visible(timeout=5_000)


def test_whoever_is_logged_out_is_sent_to_the_login(page: Page) -> None:
    log_in(page, "/admin/")
    page.context.clear_cookies(name="sessionid")
    page.evaluate("htmx.trigger('#home-now', 'refresh')")
    expect(page.get_by_label("Password")).to_be_visible()
    assert page.locator("#home-now").count() == 0


def test_charts_lead_to_their_lists_and_are_tables_too(page: Page) -> None:
    log_in(page, "/admin/?days=14")
    chart = page.locator("#chart-cases")
    expect(chart.get_by_role("img")).to_be_visible()
    chart.get_by_text("As a table").click()
    expect(chart.get_by_role("row").nth(1)).to_contain_text(f"{work.now():%a}")
    chart.locator(".pointed a").first.click()
    expect(page.locator("#changelist")).to_be_visible()
    assert "__gte=" in page.url
