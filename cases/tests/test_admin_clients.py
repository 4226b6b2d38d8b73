"""Clients and their keys on the staff's pages."""

import uuid
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.test import Client as Browser
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from cases.factories import ApiKeyFactory, CaseFactory, ClientFactory
from cases.models import ApiKey, Client, hash_key
from cases.tests.staff import HOSTILE, assert_harmless, staff, told

LIST = "/admin/cases/client/"


@pytest.fixture
def keeper(db: None) -> Browser:
    return staff("view_client", "add_client", "change_client", "add_apikey", "change_apikey")


def page_of(client: Client) -> str:
    return reverse("admin:cases_client_change", args=[client.pk])


def issue(browser: Browser, client: Client, **data: Any) -> Any:
    return browser.post(reverse("admin:cases_client_issue", args=[client.pk]), {"key_id": str(uuid.uuid4()), **data})


def revoke(browser: Browser, key: ApiKey) -> Any:
    return browser.post(reverse("admin:cases_client_revoke", args=[key.client_id, key.pk]))


def test_a_client_is_added_and_asked_for_its_key(keeper: Browser) -> None:
    response = keeper.post(f"{LIST}add/", {"name": "Acme", "is_active": ""})
    client = Client.objects.get()
    assert response.headers["location"] == page_of(client)
    assert (client.name, client.is_active) == ("Acme", True)


def test_a_new_key_is_shown_once_and_kept_nowhere(keeper: Browser) -> None:
    client = ClientFactory()
    response = issue(keeper, client, is_test="no", name="Server")
    row = ApiKey.objects.get()
    key = response.context["new_key"]
    assert key in response.content.decode()
    assert (row.client, row.key_hash, row.is_test, row.name) == (client, hash_key(key), False, "Server")
    assert "no-store" in response.headers["cache-control"]
    assert key not in keeper.get(page_of(client)).content.decode()
    assert key not in str(keeper.cookies)
    assert all(key not in str(session.get_decoded()) for session in Session.objects.all())
    entry = LogEntry.objects.get()
    assert entry.change_message == f"Issued the key {row}"
    assert key not in entry.change_message


def test_a_test_key_is_one(keeper: Browser) -> None:
    issue(keeper, ClientFactory(), is_test="yes")
    assert ApiKey.objects.get().is_test is True


def test_the_form_sent_again_issues_no_other_key(keeper: Browser) -> None:
    client = ClientFactory()
    key_id = str(keeper.get(page_of(client)).context["form"]["key_id"].value())
    first = issue(keeper, client, key_id=key_id, is_test="no")
    again = issue(keeper, client, key_id=key_id, is_test="no")
    assert told(again) == ["This form has issued its key already. A key is shown once, not twice."]
    assert (again.status_code, again.headers["location"]) == (302, page_of(client))
    assert str(ApiKey.objects.get().pk) == key_id
    assert LogEntry.objects.count() == 1
    assert str(first.context["form"]["key_id"].value()) != key_id  # the next key has its own


@pytest.mark.parametrize("data", [{}, {"is_test": "perhaps"}, {"is_test": "yes", "name": "x" * 101}])
def test_a_key_of_no_kind_is_not_issued(keeper: Browser, data: dict[str, str]) -> None:
    response = issue(keeper, ClientFactory(), **data)
    assert response.status_code == 200
    assert "new_key" not in response.context
    assert ApiKey.objects.count() == 0


def test_a_key_is_revoked_once(keeper: Browser) -> None:
    key, other = ApiKeyFactory(), ApiKeyFactory()
    assert told(revoke(keeper, key), "success") == [f"The key {key} is revoked."]
    key.refresh_from_db()
    revoked_at = key.revoked_at
    assert revoked_at is not None
    assert told(revoke(keeper, key)) == [f"The key {key} had been revoked already."]
    key.refresh_from_db()
    other.refresh_from_db()
    assert (key.revoked_at, other.revoked_at) == (revoked_at, None)
    assert LogEntry.objects.count() == 1


def test_a_key_is_revoked_only_on_its_own_client_s_page(keeper: Browser) -> None:
    key = ApiKeyFactory()
    url = reverse("admin:cases_client_revoke", args=[ClientFactory().pk, key.pk])
    assert keeper.post(url).status_code == 404
    key.refresh_from_db()
    assert key.revoked_at is None


def test_a_get_neither_issues_nor_revokes(keeper: Browser) -> None:
    key = ApiKeyFactory()
    assert keeper.get(reverse("admin:cases_client_issue", args=[key.client_id]), {"is_test": "no"}).status_code == 405
    assert keeper.get(reverse("admin:cases_client_revoke", args=[key.client_id, key.pk])).status_code == 405
    key.refresh_from_db()
    assert (key.revoked_at, ApiKey.objects.count()) == (None, 1)


def test_who_may_only_look_can_do_neither(db: None) -> None:
    key, viewer = ApiKeyFactory(), staff("view_client")
    html = viewer.get(page_of(key.client)).content.decode()
    assert str(key) in html
    assert "Revoke" not in html
    assert "Issue a key" not in html
    assert issue(viewer, key.client, is_test="no").status_code == 403
    assert revoke(viewer, key).status_code == 403
    assert viewer.post(f"{LIST}add/", {"name": "Acme"}).status_code == 403
    assert staff("view_case").get(page_of(key.client)).status_code == 403
    key.refresh_from_db()
    assert (key.revoked_at, ApiKey.objects.count(), Client.objects.count()) == (None, 1, 1)


def test_nothing_else_of_a_client_can_be_changed(keeper: Browser) -> None:
    client = ClientFactory(name="Acme")
    keeper.post(page_of(client), {"name": "Eve", "is_active": ""})
    client.refresh_from_db()
    assert (client.name, client.is_active) == ("Acme", True)
    assert keeper.post(reverse("admin:cases_client_delete", args=[client.pk]), {"post": "yes"}).status_code == 403


def test_the_list_counts_usable_keys(keeper: Browser) -> None:
    client = ApiKeyFactory().client
    ApiKeyFactory(client=client, revoked_at="2026-01-01T00:00Z")
    ApiKeyFactory(client=client, expires_at="2026-01-01T00:00Z")
    ApiKeyFactory(client=client, expires_at="2999-01-01T00:00Z")
    ApiKeyFactory(client=client, is_active=False)
    assert [row.usable_key_count for row in keeper.get(LIST).context["cl"].result_list] == [2]


def test_the_page_adds_up_what_the_client_s_cases_have_cost(keeper: Browser) -> None:
    client = ClientFactory()
    assert "<dt>Cases</dt><dd>0</dd>" in keeper.get(page_of(client)).content.decode()
    CaseFactory(client=client, model_calls=2, model_tokens=300, model_cost="0.1")
    CaseFactory(client=client, model_calls=3, model_tokens=200, model_cost="0.025")
    CaseFactory(model_calls=40, model_tokens=9000, model_cost="7")
    html = keeper.get(page_of(client)).content.decode()
    assert "<dt>Cases</dt><dd>2</dd>" in html
    assert "<dt>Cost</dt><dd>0.125 for 5 model calls, 500 tokens</dd>" in html


def test_a_client_whose_cases_asked_no_model_has_no_cost(keeper: Browser) -> None:
    case = CaseFactory()
    assert "<dt>Cost</dt>" not in keeper.get(page_of(case.client)).content.decode()


def test_markup_from_outside_stays_text(keeper: Browser) -> None:
    key = ApiKeyFactory(client__name=HOSTILE, name=HOSTILE[:100])
    assert_harmless(keeper.get(page_of(key.client)).content.decode())
    assert_harmless(keeper.get(LIST).content.decode())


def test_pages_take_as_many_queries_for_many_rows(
    keeper: Browser, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client = ClientFactory()
    for _ in range(8):
        ApiKeyFactory(client=client)
        ClientFactory()
    keeper.get(LIST)
    with django_assert_max_num_queries(7):
        keeper.get(LIST)
    with django_assert_max_num_queries(7):
        keeper.get(page_of(client))
