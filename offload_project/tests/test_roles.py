"""What viewers, operators and admins may do, and what no admin may do."""

import re
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.test import Client as Browser
from django.urls import reverse

from cases.factories import ApiKeyFactory, CaseFactory, ClientFactory, InputRequestFactory
from cases.models import ApiKey, RequestStatus, Status
from offload_project.staff import roles

pytestmark = pytest.mark.django_db


def person(role: str, **fields: Any) -> tuple[User, Browser]:
    user = User.objects.create_user(f"{role}{User.objects.count()}", is_staff=True, **fields)
    user.groups.add(Group.objects.get(name=role))
    browser = Browser()
    browser.force_login(user)
    return user, browser


def codenames(role: str) -> set[str]:
    rows = Permission.objects.filter(group__name=role).values_list("content_type__app_label", "codename")
    return {f"{label}.{codename}" for label, codename in rows}


def test_each_role_may_all_that_the_one_before_it_may_and_more() -> None:
    viewer, operator, keeper = (codenames(role) for role in roles.ROLES)
    assert viewer < operator < keeper
    assert {name for name in viewer if ".view_" not in name} == set()
    assert {"cases.view_case", "outreach.view_inboundpayload", "webhooks.view_delivery"} <= viewer
    assert {"cases.change_case", "outreach.change_inboundpayload", "webhooks.change_delivery"} <= operator
    assert not {
        name for name in operator if name.partition(".")[2].endswith(("_client", "_apikey", "_signingsecret"))
    } - (viewer)
    assert {"cases.add_client", "cases.add_apikey", "cases.change_apikey", "auth.change_user"} <= keeper
    assert not {name for name in keeper if name.startswith("auth.") and not name.endswith("_user")}
    assert "auth.delete_user" not in keeper


def test_a_migrate_adds_what_is_missing_and_leaves_what_was_added() -> None:
    group = Group.objects.get(name="viewer")
    group.permissions.set(Permission.objects.filter(codename="view_group"))
    roles.create()
    assert {"auth.view_group", "cases.view_case"} <= codenames("viewer")


@pytest.mark.parametrize(("role", "pages"), [("viewer", 200), ("operator", 200), ("admin", 200)])
def test_everybody_sees_every_list_of_the_rooms(role: str, pages: int) -> None:
    _, browser = person(role)
    seen = {}
    for model, page in admin.site._registry.items():
        if model._meta.app_label in roles.ROOMS:
            seen[model] = browser.get(
                reverse(f"admin:{page.opts.app_label}_{page.opts.model_name}_changelist")
            ).status_code
    assert set(seen.values()) == {pages}
    assert len(seen) >= 8


def test_a_viewer_is_shown_nothing_to_do_and_can_do_nothing() -> None:
    _, browser = person("viewer")
    question, key = InputRequestFactory(), ApiKeyFactory()
    answer = reverse("admin:cases_inputrequest_change", args=[question.pk])
    case = reverse("admin:cases_case_change", args=[question.case_id])
    client = reverse("admin:cases_client_change", args=[key.client_id])
    for page in (answer, case, client, reverse("admin:index")):
        html = browser.get(page).content.decode()
        forms = [
            form for form in html.split("<form ")[1:] if "logout" not in form[:200] and "changelist-search" not in form
        ]
        assert not [form for form in forms if 'method="post"' in form[:120]]
        assert "Add client" not in html
    assert browser.post(answer, {"provided_context": "Yes"}).status_code == 403
    assert browser.post(f"{case}fail/".replace("/change/", "/"), {"reason": "x"}).status_code in {403, 404}
    assert browser.post(reverse("admin:cases_client_issue", args=[key.client_id]), {"is_test": "no"}).status_code == 403
    assert browser.get("/admin/auth/user/").status_code == 403
    question.refresh_from_db()
    assert question.status == RequestStatus.PENDING
    assert (ApiKey.objects.count(), LogEntry.objects.count()) == (1, 0)


def test_an_operator_answers_and_issues_no_key() -> None:
    user, browser = person("operator")
    question, client = InputRequestFactory(), ClientFactory()
    browser.post(reverse("admin:cases_inputrequest_change", args=[question.pk]), {"provided_context": "Yes"})
    question.refresh_from_db()
    assert (question.status, question.answered_by) == (RequestStatus.RESOLVED, f"staff {user.username}")
    assert LogEntry.objects.get().change_message == "Answered"
    assert question.case.events.filter(type="input.provided", actor=f"staff {user.username}").count() == 1
    assert browser.post(reverse("admin:cases_client_issue", args=[client.pk]), {"is_test": "no"}).status_code == 403
    assert browser.get("/admin/cases/client/add/").status_code == 403
    assert browser.get("/admin/auth/user/").status_code == 403
    assert "/admin/auth/" not in browser.get("/admin/").content.decode()


def test_an_admin_adds_staff_who_get_in_and_may_nothing_without_a_role() -> None:
    _, browser = person("admin")
    data = {
        "username": "zoe",
        "usable_password": "true",
        "password1": "correct horse 9",
        "password2": "correct horse 9",
    }
    browser.post("/admin/auth/user/add/", data)
    zoe = User.objects.get(username="zoe")
    assert (zoe.is_staff, zoe.is_superuser, zoe.groups.count()) == (True, False, 0)
    theirs = Browser()
    theirs.force_login(zoe)
    assert theirs.get("/admin/").status_code == 200
    assert theirs.get("/admin/cases/case/").status_code == 403


def change(browser: Browser, user: User, **data: Any) -> Any:
    fields = {"username": user.username, "is_active": "on", "is_staff": "on", **data}
    return browser.post(reverse("admin:auth_user_change", args=[user.pk]), fields)


def test_an_admin_gives_roles_and_nothing_beyond_them() -> None:
    me, browser = person("admin")
    mighty = Group.objects.create(name="mighty")
    role = Group.objects.get(name="operator")
    change(browser, me, groups=[role.pk], is_superuser="on", user_permissions=[Permission.objects.first().pk])  # type: ignore[union-attr]
    me.refresh_from_db()
    assert (me.is_superuser, me.user_permissions.count(), list(me.groups.all())) == (False, 0, [role])
    _, browser = person("admin")
    change(browser, me, groups=[mighty.pk])
    assert list(me.groups.all()) == [role]


def test_an_admin_touches_no_superuser() -> None:
    _, browser = person("admin")
    root = User.objects.create_superuser("root", password="as it was")
    assert change(browser, root, is_active="").status_code == 403
    url = reverse("admin:auth_user_password_change", args=[root.pk])
    assert browser.post(url, {"password1": "taken over 1", "password2": "taken over 1"}).status_code == 403
    browser.post("/admin/auth/user/", {"action": "remove_second_factor", "_selected_action": [root.pk]})
    root.refresh_from_db()
    assert (root.is_active, root.check_password("as it was")) == (True, True)
    assert LogEntry.objects.count() == 0


def test_nobody_deletes_an_account() -> None:
    browser = Browser()
    browser.force_login(User.objects.create_superuser("root"))
    user = User.objects.create_user("zoe", is_staff=True)
    assert browser.post(reverse("admin:auth_user_delete", args=[user.pk]), {"post": "yes"}).status_code == 403
    assert User.objects.filter(pk=user.pk).exists()


def test_a_terminal_case_is_seen_by_all(db: None) -> None:
    _, browser = person("viewer")
    case = CaseFactory(status=Status.COMPLETED)
    assert browser.get(reverse("admin:cases_case_change", args=[case.pk])).status_code == 200


def test_a_role_is_given_what_is_ticked(admin_client: Browser) -> None:
    page = admin_client.get("/admin/auth/group/add/").content.decode()
    assert "case: see" in page
    assert "session: change" not in page  # there is no such page
    may = Permission.objects.get(codename="view_case")
    wrong = Permission.objects.get(codename="change_session")
    admin_client.post("/admin/auth/group/add/", {"name": "reader", "permissions": [may.pk, wrong.pk]})
    assert not Group.objects.filter(name="reader").exists()
    admin_client.post("/admin/auth/group/add/", {"name": "reader", "permissions": [may.pk]})
    assert codenames("reader") == {"cases.view_case"}


@pytest.mark.parametrize("codename", ["view_accessfailurelog", "view_group", "delete_suppression", "add_apikey"])
def test_a_page_of_a_role_keeps_what_it_has(admin_client: Browser, codename: str) -> None:
    role = Group.objects.create(name="reader")
    role.permissions.add(Permission.objects.get(codename=codename))
    path = f"/admin/auth/group/{role.pk}/change/"
    ticked = re.findall(r'name="permissions" value="(\d+)"[^>]* checked', admin_client.get(path).content.decode())
    admin_client.post(path, {"name": "readers", "permissions": ticked})
    assert {name.partition(".")[2] for name in codenames("readers")} == {codename}


def test_a_role_is_deleted_once_that_is_confirmed(admin_client: Browser) -> None:
    role = Group.objects.create(name="reader")
    path = f"/admin/auth/group/{role.pk}/delete/"
    page = admin_client.get(path).content.decode()
    assert "Whoever has it may no longer do what it allowed." in page
    assert Group.objects.filter(pk=role.pk).exists()
    admin_client.post(path, {"post": "yes"})
    assert not Group.objects.filter(pk=role.pk).exists()
