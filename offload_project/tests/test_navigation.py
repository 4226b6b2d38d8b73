"""The menu of the staff's pages says where one is."""

import pytest
from django.contrib.auth.models import User
from django.test import Client, RequestFactory

from offload_project.staff.navigation import menu

MAIL = "/admin/outreach/inboundpayload/"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/admin/", "Home"),
        (MAIL, "Incoming mail"),
        (f"{MAIL}0c4a7b9e-0000-4000-8000-000000000000/change/", "Incoming mail"),
        (f"{MAIL}quarantine/", "Quarantine"),
        (f"{MAIL}unmatched/", "Unmatched"),
        ("/admin/outreach/sandboxmail/play/", "Sandbox playground"),
        ("/admin/outreach/sandboxmail/", "Sandbox mail"),
        ("/admin/cases/inputrequest/0c4a7b9e-0000-4000-8000-000000000000/change/", "Questions"),
        ("/admin/cases/draft/", "Drafts"),
        ("/admin/elsewhere/", None),
    ],
)
def test_one_page_at_most_is_where_one_is(path: str, title: str | None) -> None:
    request = RequestFactory().get(path)
    request.user = User(is_superuser=True, is_active=True)
    active = [item["title"] for group in menu(request) for item in group["items"] if item["active"]]
    assert active == ([title] if title else [])


@pytest.mark.django_db
def test_scripts_of_the_admin_get_its_formats(admin_client: Client) -> None:
    answer = admin_client.get("/admin/jsi18n/")
    assert answer.status_code == 200
    assert '"DATETIME_FORMAT": "D j M Y, H:i' in answer.content.decode()
