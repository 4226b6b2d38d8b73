"""Which buttons each role is shown on the pages of clients, webhooks, files and chores."""

import re
from typing import Any

import pytest
from django.test import Client as Browser
from django.urls import reverse

from cases import chores, work
from cases.factories import ApiKeyFactory, AttachmentFactory, CaseFactory
from cases.models import Case, Status
from offload_project.staff import roles
from offload_project.tests.test_roles import person
from webhooks import sender, tasks
from webhooks.models import Delivery
from webhooks.tests.test_listeners import fail

pytestmark = pytest.mark.django_db

KEEP = {"Issue a key", "Issue its successor", "Revoke it", "Save the settings", "Replace it"}
SHOWN: dict[str, dict[str, set[str]]] = {
    "client": {"viewer": set(), "operator": {"Send a webhook.test"}, "admin": {"Send a webhook.test", *KEEP}},
    "endpoint": {
        "viewer": set(),
        "operator": {"Send a webhook.test", "Send them", "Send it nothing more"},
        "admin": {"Send a webhook.test", "Send them", "Send it nothing more", "Replace it"},
    },
    "delivery": {"viewer": set(), "operator": {"Send again"}, "admin": {"Send again"}},
    "attachment": {"viewer": set(), "operator": set(), "admin": set()},
    "chore": {"viewer": set(), "operator": {"Run now: sweep"}, "admin": {"Run now: sweep"}},
}


def sweep(seconds: float, last_at: Any) -> None:
    """Sweep the floor."""


@pytest.fixture
def pages(settings: Any) -> dict[str, str]:
    settings.OFFLOAD_CHORES = {"sweep": ("offload_project.tests.test_roles_and_buttons.sweep", 900)}
    chores.plan()
    case: Case = CaseFactory(status=Status.RUNNING, client_webhook_url="https://hooks.example/")
    ApiKeyFactory(client=case.client)
    fail(case)
    delivery = Delivery.objects.get()
    tasks.record_attempt(delivery.pk, work.now(), sender.Outcome(200, 5))
    return {
        "client": reverse("admin:cases_client_change", args=[case.client_id]),
        "endpoint": reverse("admin:webhooks_endpoint_change", args=[delivery.endpoint_id]),
        "delivery": reverse("admin:webhooks_delivery_change", args=[delivery.pk]),
        "attachment": reverse("admin:cases_attachment_change", args=[AttachmentFactory(message__case=case).pk]),
        "chore": reverse("admin:cases_chore_changelist"),
    }


def forms_of(browser: Browser, address: str) -> list[tuple[str, str]]:
    """Where the page's forms are posted to, and the words of their buttons; those of every page are left out."""
    response = browser.get(address)
    assert response.status_code == 200
    found = []
    for form in re.findall(r'<form [^>]*method="post".*?</form>', response.content.decode(), re.DOTALL):
        action = re.search(r'action="([^"]*)"', form)
        buttons = re.findall(r"<button[^>]*>(.*?)</button>", form, re.DOTALL)
        if action and not action.group(1).startswith("/admin/logout"):
            found += [(action.group(1), re.sub(r"<[^>]*>", "", button).strip()) for button in buttons]
    return found


@pytest.mark.parametrize("role", roles.ROLES)
@pytest.mark.parametrize("page", SHOWN)
def test_a_role_is_shown_what_it_may_do_and_no_more(pages: dict[str, str], page: str, role: str) -> None:
    _, browser = person(role)
    assert {words for _, words in forms_of(browser, pages[page])} == SHOWN[page][role]


@pytest.mark.parametrize("page", SHOWN)
def test_what_an_admin_is_shown_a_viewer_can_not_do(pages: dict[str, str], page: str) -> None:
    _, admin = person("admin")
    _, viewer = person("viewer")
    addresses = {address.partition("#")[0] for address, _ in forms_of(admin, pages[page])}
    assert {viewer.post(address).status_code for address in addresses} <= {403}
    assert len(addresses) >= len(SHOWN[page]["admin"]) - 1


@pytest.mark.parametrize("role", roles.ROLES)
def test_every_role_sees_where_a_file_and_an_event_belong(pages: dict[str, str], role: str) -> None:
    _, browser = person(role)
    for page in ("attachment", "endpoint", "delivery"):
        assert pages["client"] in browser.get(pages[page]).content.decode()
