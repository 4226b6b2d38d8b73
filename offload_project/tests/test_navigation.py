"""The menu of the staff's pages says where one is."""

import pytest
from django.contrib.auth.models import User
from django.test import RequestFactory

from offload_project.staff.navigation import menu

MAIL = "/admin/outreach/inboundpayload/"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/admin/", "Home"),
        (MAIL, "Incoming"),
        (f"{MAIL}0c4a7b9e-0000-4000-8000-000000000000/change/", "Incoming"),
        (f"{MAIL}quarantine/", "Quarantine"),
        (f"{MAIL}unmatched/", "Unmatched"),
        ("/admin/outreach/sandboxmail/play/", "Sandbox playground"),
        ("/admin/outreach/sandboxmail/", "Sandbox mail"),
        ("/admin/elsewhere/", None),
    ],
)
def test_one_page_at_most_is_where_one_is(path: str, title: str | None) -> None:
    request = RequestFactory().get(path)
    request.user = User(is_superuser=True, is_active=True)
    active = [item["title"] for group in menu(request) for item in group["items"] if item["active"]]
    assert active == ([title] if title else [])
