"""Every page of the staff's desk, in a real browser: light and dark, wide and on a telephone, and for axe-core.

`make screenshots` writes the pictures of them all to var/screenshots; `make test` looks without writing.
"""

import pytest
from playwright.sync_api import Page

from offload_project.tests import desk
from offload_project.tests.browser import CUT, SIZES, Scheme, log_in, look_as, obstacles, picture


@pytest.fixture
def writes_pictures(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--pictures"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", SIZES)
def test_every_page_is_whole_and_open_to_everybody(
    page: Page, width: int, scheme: Scheme, writes_pictures: bool
) -> None:
    desk.furnish()
    look_as(page, width, scheme)
    page.goto("/admin/")
    assert obstacles(page) == []
    if writes_pictures:
        picture(page, f"login-{width}-{scheme}")
    log_in(page, "/admin/")
    found: dict[str, list[str]] = {}
    for name, path in desk.pages().items():
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 200, path
        if writes_pictures:
            picture(page, f"{name}-{width}-{scheme}")
        found[name] = [*obstacles(page), *page.evaluate(CUT)]
    assert {name: faults for name, faults in found.items() if faults} == {}
