"""A real browser for the tests of the staff's pages.

Whatever the browser refuses to run, or can't load, fails the test that met it. Pictures go to var/screenshots.
"""

from collections.abc import Iterator
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.contrib.auth.models import User
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

from conftest import require

Scheme = Literal["light", "dark"]

SCREENSHOTS = settings.BASE_DIR / "var" / "screenshots"
OPTIONS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
SIZES = {1440: 900, 390: 844}

# What stands beyond the right edge of the window, and can't be scrolled to.
CUT = """() => ['td', 'th', 'dd', 'p', 'button', 'a', 'h2', 'label', 'input', 'select', 'textarea']
    .flatMap(name => [...document.querySelectorAll('#main ' + name)])
    .filter(part => part.getClientRects().length && !part.closest('.table-wrap, .visually-hidden, .skip')
        && part.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .map(part => part.tagName + ' ' + (part.innerText || part.name || '').trim().slice(0, 60))"""

# Images further down are loaded late, if ever; a picture of the whole page shows them.
ALL_LOADED = """() => Promise.all([...document.images].map(image => {
    image.loading = 'eager';
    return image.complete || new Promise(done => { image.onload = image.onerror = done });
}))"""

# Findings of axe-core that stop somebody, or nearly.
GRAVE = {"serious", "critical"}
AXE = Axe()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = require("chromium")
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright keeps an event loop in this thread, in which Django would not wait for the database.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=OPTIONS)
        yield browser
        browser.close()


def new_context(chromium: Browser, url: str, complaints: list[str]) -> BrowserContext:
    """Somebody's browser, 1440 wide; what it complains of is added to the list."""
    context = chromium.new_context(base_url=url, viewport={"width": 1440, "height": 900})
    context.add_init_script(
        "document.addEventListener('securitypolicyviolation', e => console.error('CSP', e.violatedDirective))"
    )
    context.on(
        "console",
        lambda said: (
            complaints.append(f"{said.page and said.page.url}: {said.text} {said.location}")
            if said.type == "error"
            else None
        ),
    )
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    return context


@pytest.fixture
def page(chromium: Browser, live_server: LiveServer) -> Iterator[Page]:
    """The page of a superuser, who has yet to log in."""
    User.objects.create_superuser("ann", password="not a secret")
    complaints: list[str] = []
    context = new_context(chromium, live_server.url, complaints)
    page = context.new_page()
    yield page
    context.close()
    assert complaints == []


def log_in(page: Page, path: str, name: str = "ann") -> None:
    """Go there as somebody who has logged in. Through the form it is tested in test_staff_pages.py."""
    gate = "/admin/login/"
    page.request.get(gate)
    token = next(cookie["value"] for cookie in page.context.cookies() if cookie["name"] == "csrftoken")
    given: dict[str, str | float | bool] = {"csrfmiddlewaretoken": token, "username": name, "password": "not a secret"}
    assert page.request.post(gate, form=given, max_redirects=0).status == 302
    page.goto(path)


def picture(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.evaluate(ALL_LOADED)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def look_as(page: Page, width: int, scheme: Scheme) -> None:
    """The page on a screen of that width, for somebody whose system is light or dark."""
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": SIZES[width]})


def obstacles(page: Page) -> list[str]:
    """What axe-core finds serious or critical, each with the first places."""
    if page.evaluate("window.axe === undefined"):
        page.evaluate(AXE.axe_script)
    violations: list[dict[str, Any]] = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    return [
        f"{found['id']}: {found['help']}: {[node['html'][:120] for node in found['nodes'][:3]]}"
        for found in violations
        if found["impact"] in GRAVE
    ]
