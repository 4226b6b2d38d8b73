"""Clients and their keys on the staff's pages."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.core.checks import run_checks
from django.test import Client as Browser
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries, Settings

from cases import work
from cases.factories import ApiKeyFactory, CaseFactory, ClientFactory, InputRequestFactory, MessageFactory
from cases.models import ApiKey, Client, RequestStatus, Status, hash_key
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


def test_a_key_may_do_what_is_ticked(keeper: Browser) -> None:
    client = ClientFactory()
    issue(keeper, client, is_test="yes", scopes=["answers", "cases"])
    assert ApiKey.objects.get().scopes == ["cases", "answers"]
    assert "cases, answers" in keeper.get(reverse("admin:cases_client_change", args=[client.pk])).content.decode()
    assert issue(keeper, client, is_test="yes", scopes=["everything"]).status_code == 200
    assert ApiKey.objects.count() == 1


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


def settings_of(browser: Browser, client: Client, **data: Any) -> Any:
    return browser.post(reverse("admin:cases_client_settings", args=[client.pk]), data)


def test_what_goes_for_all_cases_is_changed_by_who_may_change_clients(keeper: Browser) -> None:
    client = ClientFactory()
    wanted = {
        "daily_send_limit": "250",
        "settle_seconds": "0",
        "reminder_hours": "24",
        "default_webhook_url": "https://hooks.example/offload",
        "event_types": ["message.sent"],
    }
    settings_of(keeper, client, **wanted)
    client.refresh_from_db()
    assert (client.daily_send_limit, client.settle_seconds, client.reminder_hours) == (250, 0, 24)
    assert (client.default_webhook_url, client.event_types) == ("https://hooks.example/offload", ["message.sent"])
    assert LogEntry.objects.get().change_message == (
        "Set Mails a day: 250; Seconds to wait after a reply: 0; Hours until somebody is reminded of a question: 24; "
        "Webhook URL of cases that have none: https://hooks.example/offload; Webhooks also tell of: message.sent"
    )
    assert told(settings_of(keeper, client, **wanted), "info") == ["Nothing was changed."]
    assert LogEntry.objects.count() == 1
    settings_of(keeper, client)
    client.refresh_from_db()
    assert (client.daily_send_limit, client.settle_seconds, client.reminder_hours) == (None, None, None)
    assert (client.default_webhook_url, client.event_types) == (None, [])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("daily_send_limit", "-1"),
        ("settle_seconds", "3601"),
        ("reminder_hours", "0"),
        ("reminder_hours", "soon"),
        ("default_webhook_url", "ftp://hooks.example/"),
        ("default_webhook_url", "https://169.254.169.254/latest"),
        ("default_webhook_url", f"https://hooks.example/{'x' * 2048}"),
        ("event_types", "case.exploded"),
    ],
)
def test_what_the_api_refuses_the_page_refuses_too(keeper: Browser, field: str, value: str) -> None:
    client = ClientFactory(reminder_hours=7)
    response = settings_of(keeper, client, **{field: value})
    assert response.status_code == 200
    assert list(response.context["settings_form"].errors) == [field]
    assert value[:200] in response.content.decode()  # what was typed is kept
    client.refresh_from_db()
    assert (client.reminder_hours, client.default_webhook_url, client.event_types) == (7, None, [])
    assert LogEntry.objects.count() == 0


def test_what_the_form_does_not_change_is_left_as_it_is_by_now(keeper: Browser, monkeypatch: Any) -> None:
    client = ClientFactory(reminder_hours=7)
    save = Client.save

    def save_late(self: Client, **options: Any) -> None:
        Client.objects.filter(pk=self.pk).update(settle_seconds=30)  # by its own PATCH /client
        save(self, **options)

    monkeypatch.setattr(Client, "save", save_late)
    settings_of(keeper, client, reminder_hours="8")
    client.refresh_from_db()
    assert (client.reminder_hours, client.settle_seconds) == (8, 30)


def test_who_may_only_look_sees_the_settings_as_facts(db: None) -> None:
    client = ClientFactory(daily_send_limit=0, reminder_hours=24, event_types=["message.sent"])
    viewer = staff("view_client")
    assert settings_of(viewer, client, daily_send_limit="5").status_code == 403
    html = viewer.get(page_of(client)).content.decode()
    assert "<dd>no limit</dd>" in html
    assert "<dd>after 24 h</dd>" in html
    assert "<dd>A mail was sent</dd>" in html
    assert "Save the settings" not in html
    client.refresh_from_db()
    assert client.daily_send_limit == 0


# --- A key and its successor ----------------------------------------------------------------------


def replace(browser: Browser, key: ApiKey, **data: Any) -> Any:
    url = reverse("admin:cases_client_replace", args=[key.client_id, key.pk])
    return browser.post(url, {"key_id": str(uuid.uuid4()), "hours": "24", **data})


def test_a_key_is_replaced_and_the_old_one_ends_a_day_later(keeper: Browser) -> None:
    old = ApiKeyFactory(is_test=True, name="Ledger", scopes=["answers"])
    before = work.now()
    response = replace(keeper, old)
    new = ApiKey.objects.exclude(pk=old.pk).get()
    assert new.key_hash == hash_key(response.context["new_key"])
    assert (new.client, new.is_test, new.name, new.scopes) == (old.client, True, "Ledger", ["answers"])
    assert new.expires_at is None
    old.refresh_from_db()
    assert old.expires_at is not None
    assert timedelta(0) <= old.expires_at - before - timedelta(hours=24) < timedelta(seconds=30)
    assert old.is_usable(work.now())
    assert LogEntry.objects.get().change_message == f"Replaced the key {old} by {new}; the old one ends in 24 h"
    assert response.context["new_key"] not in keeper.get(page_of(old.client)).content.decode()


def test_a_key_with_an_end_is_not_made_to_live_longer(keeper: Browser) -> None:
    end = work.now() + timedelta(hours=2)
    old = ApiKeyFactory(expires_at=end)
    replace(keeper, old, hours="168")
    old.refresh_from_db()
    assert old.expires_at == end
    new = ApiKey.objects.exclude(pk=old.pk).get()
    assert new.expires_at is not None
    assert timedelta(hours=1, minutes=59) < new.expires_at - work.now() <= timedelta(hours=2)


def test_a_key_replaced_with_no_overlap_is_refused_at_once(keeper: Browser) -> None:
    old = ApiKeyFactory()
    replace(keeper, old, hours="0")
    old.refresh_from_db()
    assert not old.is_usable(work.now())
    assert told(replace(keeper, old)) == ["This key is not usable any more. Issue a new one instead."]
    assert ApiKey.objects.count() == 2


def test_the_form_sent_again_makes_no_second_successor(keeper: Browser) -> None:
    old, key_id = ApiKeyFactory(), str(uuid.uuid4())
    replace(keeper, old, key_id=key_id)
    old.refresh_from_db()
    end = old.expires_at
    again = replace(keeper, old, key_id=key_id, hours="1")
    assert told(again) == ["This form has issued its key already. A key is shown once, not twice."]
    old.refresh_from_db()
    assert (ApiKey.objects.count(), old.expires_at, LogEntry.objects.count()) == (2, end, 1)


@pytest.mark.parametrize("data", [{"hours": "12"}, {"hours": ""}, {"key_id": "x"}])
def test_a_form_that_is_not_ours_replaces_nothing(keeper: Browser, data: dict[str, str]) -> None:
    old = ApiKeyFactory()
    assert replace(keeper, old, **data).status_code == 302
    old.refresh_from_db()
    assert (ApiKey.objects.count(), old.expires_at) == (1, None)


def test_a_revoked_key_and_another_clients_key_are_not_replaced(keeper: Browser) -> None:
    revoked = ApiKeyFactory(revoked_at="2026-01-01T00:00Z")
    replace(keeper, revoked)
    url = reverse("admin:cases_client_replace", args=[ClientFactory().pk, ApiKeyFactory().pk])
    assert keeper.post(url, {"key_id": str(uuid.uuid4()), "hours": "24"}).status_code == 404
    assert ApiKey.objects.count() == 2


@pytest.mark.parametrize("permissions", [("view_client", "add_apikey"), ("view_client", "change_apikey")])
def test_to_replace_a_key_takes_both_permissions(db: None, permissions: tuple[str, ...]) -> None:
    old, person = ApiKeyFactory(), staff(*permissions)
    assert "Replace" not in person.get(page_of(old.client)).content.decode().partition('id="keys"')[2][:6000]
    assert replace(person, old).status_code == 403
    assert ApiKey.objects.count() == 1


def test_a_key_may_be_given_an_end(keeper: Browser) -> None:
    client = ClientFactory()
    issue(keeper, client, is_test="yes", last_day="2999-12-31")
    end = ApiKey.objects.get().expires_at
    assert end is not None
    assert f"{end:%Y-%m-%d %H:%M:%S}" == "3000-01-01 00:00:00"
    response = issue(keeper, client, is_test="yes", last_day="2020-01-01")
    assert "This day is over." in response.content.decode()
    assert ApiKey.objects.count() == 1


def test_the_page_says_when_a_key_was_last_used(keeper: Browser) -> None:
    key = ApiKeyFactory(last_used_at="2026-03-04T05:06Z")
    ApiKeyFactory(client=key.client)
    html = keeper.get(page_of(key.client)).content.decode()
    assert '<td data-label="Last used">Wed 4 Mar 2026, 05:06 UTC</td>' in html
    assert '<td data-label="Last used">never</td>' in html


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
    assert "<dt>Cases</dt><dd>2: <a " in html
    assert ">2 created</a></dd>" in html
    assert "<dt>Cost</dt><dd>0.125 for 5 model calls, 500 tokens</dd>" in html


def test_a_client_whose_cases_asked_no_model_has_no_cost(keeper: Browser) -> None:
    case = CaseFactory()
    assert "<dt>Cost</dt>" not in keeper.get(page_of(case.client)).content.decode()


def test_the_page_counts_cases_by_status_mails_by_day_and_answers(keeper: Browser) -> None:
    now = work.now()
    client = ClientFactory()
    case = CaseFactory(client=client, status=Status.RUNNING)
    for days in (0, 0, 3, 29, 31):
        MessageFactory(case=case, send_started_at=now - timedelta(days=days))
    MessageFactory(case=case, direction="IN", send_started_at=now)
    MessageFactory(send_started_at=now)  # another client's
    InputRequestFactory(case=CaseFactory(client=client, status=Status.INPUT_NEEDED))
    for hours in (1, 5, 30):
        asked = {"requested_at": now - timedelta(hours=hours), "resolved_at": now, "status": RequestStatus.RESOLVED}
        InputRequestFactory(case=case, **asked)
    page = keeper.get(page_of(client))
    mails = page.context["mails"]
    assert (mails.total, mails.most, len(mails.bars)) == (4, 2, 30)
    assert [(bar.count, bar.height) for bar in (mails.bars[0], mails.bars[26], mails.bars[29])] == [
        (1, 50),
        (1, 50),
        (2, 100),
    ]
    assert (mails.bars[29].day, mails.bars[29].y, mails.bars[0].x) == (now.date(), 0, 0)
    assert page.context["answers"] == {"open": 1, "answered": 3, "median": "5 hours"}
    html = page.content.decode()
    assert ">1 running</a>, <a " in html
    assert ">1 input needed</a></dd>" in html
    assert " failed</a>" not in html
    assert f"?client__id__exact={client.pk}&amp;status__exact=RUNNING" in html


@pytest.mark.parametrize(
    ("transport", "inbox", "shown"),
    [
        ("agentmail", "acme@inbox.example", "<bdi>acme@inbox.example</bdi>, its own inbox"),
        ("agentmail", "", "<bdi>all@inbox.example</bdi>, which all clients share"),
        ("email", "acme@inbox.example", "<bdi>acme@inbox.example</bdi> (not in use)"),
        ("sandbox", "", "<dt>Own inbox</dt><dd>none</dd>"),
    ],
)
def test_the_page_says_from_where_it_writes(
    keeper: Browser, settings: Settings, transport: str, inbox: str, shown: str
) -> None:
    settings.OFFLOAD_TRANSPORT, settings.AGENTMAIL_INBOX = transport, "all@inbox.example"
    settings.OFFLOAD_MAIL_FROM = "offload@mail.example"
    html = keeper.get(page_of(ClientFactory(agentmail_inbox=inbox))).content.decode()
    assert shown in html
    assert ("offload@mail.example" in html) == (transport == "email")


def section(request: Any, client: Client) -> dict[str, Any]:
    return {"template": "admin/cases/client/_usage.html"}


def test_other_rooms_add_their_parts_by_settings(keeper: Browser, settings: Settings) -> None:
    settings.OFFLOAD_CLIENT_SECTIONS = ["cases.tests.test_admin_clients.section"]
    html = keeper.get(page_of(ClientFactory())).content.decode()
    assert html.count('id="usage"') == 2
    assert 'id="webhooks"' not in html
    settings.OFFLOAD_CLIENT_SECTIONS = ["cases.nowhere.section"]
    [error] = [found for found in run_checks() if found.id == "cases.E001"]
    assert error.msg.startswith("OFFLOAD_CLIENT_SECTIONS: ")


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
    with django_assert_max_num_queries(8):
        keeper.get(LIST)
    with django_assert_max_num_queries(15):
        keeper.get(page_of(client))
