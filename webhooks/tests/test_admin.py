from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client as Browser
from pytest_django import DjangoAssertNumQueries

from cases import moments, work
from cases.factories import CaseFactory
from cases.models import Client, Status
from webhooks import endpoints, sender, signing, tasks
from webhooks.models import Delivery, Endpoint, EndpointTest
from webhooks.tests.test_listeners import ask, fail

pytestmark = pytest.mark.django_db
XSS = "<script>alert(1)</script>"


@pytest.fixture
def delivery() -> Delivery:
    case = CaseFactory(
        status=Status.RUNNING,
        client_webhook_url="https://hooks.example/<b>",
        client_reference_id=XSS,
        metadata={"note": XSS},
    )
    ask(case)
    fail(case)
    first: Delivery = Delivery.objects.get(sequence=1)
    said = sender.Outcome(500, 12, headers={"X-Odd": XSS}, body=XSS.encode(), error=XSS)
    tasks.record_attempt(first.pk, work.now(), said)
    return first


def test_the_list_says_what_stands_where(
    delivery: Delivery, admin_client: Browser, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    fail(CaseFactory(status=Status.RUNNING, client_webhook_url="https://other.example/"))
    with django_assert_max_num_queries(13):
        page = admin_client.get("/admin/webhooks/delivery/").content.decode()
    assert page.count("to be delivered") >= 3
    assert "after an earlier one of its case" in page
    assert "https://other.example" in page
    assert ":443" not in page
    found = admin_client.get("/admin/webhooks/delivery/", {"q": str(delivery.case_id)}).content.decode()
    assert "2 deliveries" in found


def test_the_page_shows_each_attempt_and_escapes_what_others_wrote(delivery: Delivery, admin_client: Browser) -> None:
    page = admin_client.get(f"/admin/webhooks/delivery/{delivery.pk}/change/").content.decode()
    assert delivery.event_id in page
    assert XSS not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 4
    assert "https://hooks.example/&lt;b&gt;" in page


def test_the_list_of_endpoints_names_them_as_people_do(delivery: Delivery, admin_client: Browser) -> None:
    page = admin_client.get("/admin/webhooks/endpoint/").content.decode()
    assert "https://hooks.example</a>" in page


def test_nobody_changes_anything_and_no_secret_is_shown(delivery: Delivery, admin_client: Browser) -> None:
    secret = signing.secrets_for(delivery.client)[0]
    encrypted = delivery.client.signing_secrets.get().encrypted
    for page in ("delivery", "endpoint"):
        row = delivery.pk if page == "delivery" else delivery.endpoint_id
        for path, status in (("add/", 403), (f"{row}/delete/", 403), ("", 200), (f"{row}/change/", 200)):
            answer = admin_client.get(f"/admin/webhooks/{page}/{path}")
            assert answer.status_code == status
            assert secret not in answer.content.decode()
            assert encrypted not in answer.content.decode()
        assert admin_client.post(f"/admin/webhooks/{page}/{row}/change/", {"state": "DELIVERED"}).status_code == 403
    assert admin_client.get("/admin/webhooks/signingsecret/").status_code == 404
    delivery.refresh_from_db()
    assert delivery.state == "WAITING"


def test_staff_without_the_permission_see_nothing(delivery: Delivery, client: Browser) -> None:
    viewer = User.objects.create_user("viewer", is_staff=True)
    client.force_login(viewer)
    assert client.get("/admin/webhooks/delivery/").status_code == 403
    viewer.user_permissions.add(Permission.objects.get(codename="view_case"))
    assert client.get("/admin/webhooks/delivery/").status_code == 200
    assert "500" in client.get(f"/admin/webhooks/delivery/{delivery.pk}/change/").content.decode()


# --- What staff do --------------------------------------------------------------------------------


@pytest.fixture
def operator(client: Browser) -> Browser:
    person = User.objects.create_user("operator", is_staff=True)
    person.user_permissions.add(*Permission.objects.filter(codename__in=["change_case", "view_case"]))
    client.force_login(person)
    return client


def path_of(delivery: Delivery, action: str) -> str:
    return f"/admin/webhooks/endpoint/{delivery.endpoint_id}/{action}/"


def test_an_operator_parks_an_endpoint_and_takes_it_back_with_what_was_kept(
    delivery: Delivery, operator: Browser
) -> None:
    assert operator.post(path_of(delivery, "park"), {"reason": ""}).status_code == 200  # the page, with the error
    assert not Endpoint.objects.get().is_parked
    operator.post(path_of(delivery, "park"), {"reason": "On request."})
    assert Endpoint.objects.get().parked_reason == "On request."
    assert list(Delivery.objects.values_list("state", flat=True)) == ["PARKED", "PARKED"]
    page = operator.get(path_of(delivery, "change")).content.decode()
    assert "On request." in page
    assert "parked since" in page
    assert "endpoint that gets no webhooks" in operator.get("/admin/").content.decode()
    operator.post(path_of(delivery, "unpark"), {"replay": "on"})
    assert not Endpoint.objects.get().is_parked
    assert [row.sequence for row in work.due("delivery")] == [1]
    log = LogEntry.objects.order_by("pk").values_list("change_message", flat=True)
    assert list(log) == ["Parked", "Taken back, 2 events sent again"]


def test_taken_back_without_replay_what_was_kept_stays(delivery: Delivery, operator: Browser) -> None:
    operator.post(path_of(delivery, "park"), {"reason": "On request."})
    operator.post(path_of(delivery, "unpark"), {})
    assert list(Delivery.objects.values_list("state", flat=True)) == ["PARKED", "PARKED"]


def test_one_event_is_sent_again_once_it_has_ended(delivery: Delivery, operator: Browser) -> None:
    page, again = f"/admin/webhooks/delivery/{delivery.pk}/change/", f"/admin/webhooks/delivery/{delivery.pk}/replay/"
    assert again not in operator.get(page).content.decode()
    assert "still on its way" in operator.post(again, follow=True).content.decode()
    tasks.record_attempt(delivery.pk, work.now(), sender.Outcome(200, 5))
    assert again in operator.get(page).content.decode()
    assert operator.get(again).status_code == 405
    operator.post(again)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts_before) == ("WAITING", 2)


def test_one_that_waits_is_tried_before_its_time(delivery: Delivery, operator: Browser) -> None:
    page, now = f"/admin/webhooks/delivery/{delivery.pk}/change/", f"/admin/webhooks/delivery/{delivery.pk}/try_now/"
    Delivery.objects.filter(pk=delivery.pk).update(retry_at=work.now() + timedelta(hours=1))
    due_at = Delivery.objects.get(pk=delivery.pk).due_at
    assert due_at is not None
    assert due_at > work.now()
    assert now in operator.get(page).content.decode()
    assert operator.get(now).status_code == 405
    assert "The next attempt is made now." in operator.post(now, follow=True).content.decode()
    delivery.refresh_from_db()
    assert delivery.due_at is not None
    assert delivery.due_at <= work.now()
    assert (delivery.state, delivery.attempt_count, delivery.attempts_before) == ("WAITING", 1, 0)
    assert now not in operator.get(page).content.decode()  # it is due
    assert LogEntry.objects.filter(change_message__contains="Tried before its time").count() == 1


def test_nothing_is_tried_before_its_turn(delivery: Delivery, operator: Browser) -> None:
    behind = Delivery.objects.get(sequence=2)
    page, now = f"/admin/webhooks/delivery/{behind.pk}/change/", f"/admin/webhooks/delivery/{behind.pk}/try_now/"
    assert now not in operator.get(page).content.decode()
    assert "has to arrive first" in operator.post(now, follow=True).content.decode()
    tasks.record_attempt(delivery.pk, work.now(), sender.Outcome(200, 5))
    ended = f"/admin/webhooks/delivery/{delivery.pk}/try_now/"
    assert "has ended meanwhile" in operator.post(ended, follow=True).content.decode()
    assert Delivery.objects.get(pk=delivery.pk).state == "DELIVERED"
    assert not LogEntry.objects.exists()


def test_all_since_a_time_are_sent_again_after_a_confirmation(delivery: Delivery, operator: Browser) -> None:
    tasks.record_attempt(delivery.pk, work.now(), sender.Outcome(200, 5))
    since = {"moment": "2026-01-01T00:00", "whose": "endpoint", "with_delivered": "on"}
    assert operator.post(path_of(delivery, "replay"), since).status_code == 200
    assert Delivery.objects.get(pk=delivery.pk).state == "DELIVERED"
    operator.post(path_of(delivery, "replay"), {**since, "with_delivered": "", "confirmed": "on"})
    assert Delivery.objects.get(pk=delivery.pk).state == "DELIVERED"  # it has arrived
    operator.post(path_of(delivery, "replay"), {**since, "moment": "2999-01-01T00:00", "confirmed": "on"})
    assert Delivery.objects.get(pk=delivery.pk).state == "DELIVERED"  # it is older
    operator.post(path_of(delivery, "replay"), {**since, "whose": "client", "confirmed": "on"})
    assert Delivery.objects.get(pk=delivery.pk).state == "WAITING"


def test_a_test_shows_what_the_endpoint_says(
    delivery: Delivery, operator: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []

    def post(url: str, body: bytes, **options: object) -> sender.Outcome:
        called.append(url)
        return sender.Outcome(503, 7, body=XSS.encode())

    monkeypatch.setattr(sender, "post", post)
    page = operator.post(path_of(delivery, "test")).content.decode()
    assert "The test failed" in page
    assert XSS not in page
    assert "503" in page
    assert called == [delivery.url]
    assert "Try again in" in operator.post(path_of(delivery, "test"), follow=True).content.decode()
    assert len(called) == 1


def test_a_secret_is_replaced_by_who_may_issue_keys_and_shown_once(
    delivery: Delivery, operator: Browser, admin_client: Browser
) -> None:
    [old] = signing.secrets_for(delivery.client)
    assert operator.post(path_of(delivery, "rotate")).status_code == 403
    assert signing.secrets_for(delivery.client) == [old]
    page = admin_client.post(path_of(delivery, "rotate")).content.decode()
    new, still_good = signing.secrets_for(delivery.client)
    assert still_good == old
    assert new in page
    assert old not in page
    assert new not in admin_client.get(path_of(delivery, "change")).content.decode()


@pytest.mark.parametrize("action", ["park", "unpark", "replay", "test", "rotate"])
def test_who_may_only_see_does_nothing(delivery: Delivery, client: Browser, action: str) -> None:
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_case"))
    client.force_login(viewer)
    given = {"reason": "x", "moment": "2026-01-01T00:00", "whose": "client", "confirmed": "on"}
    assert client.post(path_of(delivery, action), given).status_code == 403
    assert client.get(path_of(delivery, action)).status_code == 405
    assert client.post(f"/admin/webhooks/delivery/{delivery.pk}/replay/").status_code == 403
    page = client.get(path_of(delivery, "change")).content.decode()
    assert f"/{action}/" not in page
    assert not Endpoint.objects.get().is_parked


# --- The page of what was told --------------------------------------------------------------------


def test_the_page_says_how_it_stands_and_what_each_attempt_came_to(delivery: Delivery, operator: Browser) -> None:
    tasks.record_attempt(delivery.pk, work.now(), sender.Outcome(None, 30_000, error="no answer in 30 s"))
    page = operator.get(f"/admin/webhooks/delivery/{delivery.pk}/change/")
    html = page.content.decode()
    assert "A question waits for an answer" in html
    assert "Next attempt: in" in html
    assert "(no. 3 of 10)" in html
    outcomes = [(attempt.number, words, tone) for attempt, words, tone, _ in page.context["attempts"]]
    assert outcomes == [(2, "no answer in 30 s", "bad"), (1, "refused with 500", "bad")]
    assert "data › inputRequest" in html
    tasks.record_attempt(delivery.pk, work.now(), sender.Outcome(204, 5))
    page = operator.get(f"/admin/webhooks/delivery/{delivery.pk}/change/")
    assert (page.context["state"], page.context["tone"], page.context["next_attempt"]) == ("delivered", "ok", "–")
    assert page.context["attempts"][0][1:3] == ("accepted with 204", "ok")


def test_the_bytes_are_had_as_a_file(delivery: Delivery, operator: Browser) -> None:
    response = operator.get(f"/admin/webhooks/delivery/{delivery.pk}/body/")
    assert b"".join(response.streaming_content) == bytes(delivery.body)  # type: ignore[attr-defined]
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["content-disposition"] == f'attachment; filename="{delivery.event_id}.json"'
    stranger = User.objects.create_user("stranger", is_staff=True)
    operator.force_login(stranger)
    assert operator.get(f"/admin/webhooks/delivery/{delivery.pk}/body/").status_code == 403
    assert operator.get(f"/admin/webhooks/delivery/{delivery.pk}/change/").status_code == 403


def test_a_payload_that_is_too_large_is_not_shown(delivery: Delivery, operator: Browser) -> None:
    Delivery.objects.filter(pk=delivery.pk).update(body=b'{"a": "' + b"x" * 200_000 + b'"}')
    html = operator.get(f"/admin/webhooks/delivery/{delivery.pk}/change/").content.decode()
    assert "too large to be shown here" in html
    assert "xxxx" not in html


def test_deliveries_are_filtered_by_state_event_client_and_endpoint(delivery: Delivery, operator: Browser) -> None:
    other = CaseFactory(status=Status.RUNNING, client_webhook_url="https://other.example/")
    fail(other)
    tasks.record_attempt(Delivery.objects.get(case=other).pk, work.now(), sender.Outcome(200, 5))

    def found(**query: str | int) -> set[str]:
        rows = operator.get("/admin/webhooks/delivery/", query).context["cl"].result_list
        return {f"{row.event_type} {row.endpoint.origin}" for row in rows}

    theirs = "case.failed https://other.example:443"
    asked, failed = "case.input_needed https://hooks.example:443", "case.failed https://hooks.example:443"
    assert found() == {theirs, asked, failed}
    assert found(state__exact="DELIVERED") == {theirs}
    assert found(event_type="case.input_needed") == {asked}
    assert found(client__id__exact=str(other.client_id)) == {theirs}
    assert found(endpoint__id__exact=delivery.endpoint_id) == {asked, failed}
    page = operator.get("/admin/webhooks/delivery/").content.decode()
    assert "?event_type=case.completed" in page
    assert "?event_type=webhook.parked" not in page  # nobody is told of that


def test_before_many_are_sent_again_their_number_is_said(delivery: Delivery, operator: Browser) -> None:
    Delivery.objects.update(state="EXHAUSTED")
    since = {"moment": "2026-01-01T00:00", "whose": "endpoint"}
    page = operator.post(path_of(delivery, "replay"), since).content.decode()
    assert "2 events would be sent." in page
    assert set(Delivery.objects.values_list("state", flat=True)) == {"EXHAUSTED"}
    page = operator.post(path_of(delivery, "replay"), {**since, "moment": "x"}).content.decode()
    assert "would be sent" not in page
    operator.post(path_of(delivery, "replay"), {**since, "confirmed": "on"})
    assert set(Delivery.objects.values_list("state", flat=True)) == {"WAITING"}


# --- Health, and the page of the client -----------------------------------------------------------


def test_health_is_said_in_words(delivery: Delivery, operator: Browser) -> None:
    page = operator.get(path_of(delivery, "change"))
    health = page.context["health"]
    assert health.words.startswith("failing since ")
    assert health.words.endswith(", once")
    assert (health.tone, health.median_ms, health.waiting, health.kept) == ("warn", 12, 2, 0)
    rests_until = work.now() + timedelta(minutes=5)
    Endpoint.objects.update(rests_until=rests_until)
    health = operator.get(path_of(delivery, "change")).context["health"]
    assert health.words.endswith(f", once; called again at {moments.shortly(rests_until)}")
    for duration in (40, 50):
        tasks.record_attempt(delivery.pk, work.now(), sender.Outcome(200, duration))
    health = operator.get(path_of(delivery, "change")).context["health"]
    assert (health.words, health.tone, health.median_ms) == ("well, answered less than a minute ago", "ok", 40)
    endpoints.park(delivery.endpoint_id, "On request.")
    health = operator.get(path_of(delivery, "change")).context["health"]
    assert (health.tone, health.waiting, health.kept) == ("bad", 0, 1)


def client_page(delivery: Delivery, action: str = "") -> str:
    if action:
        return f"/admin/webhooks/endpoint/client/{delivery.client_id}/{action}/"
    return f"/admin/cases/client/{delivery.client_id}/change/"


def keeper(client: Browser, *more: str) -> Browser:
    person = User.objects.create_user("keeper", is_staff=True)
    person.user_permissions.add(*Permission.objects.filter(codename__in=["view_case", "view_client", *more]))
    client.force_login(person)
    return client


def test_the_page_of_a_client_shows_its_webhooks(
    delivery: Delivery, client: Browser, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    Endpoint.objects.create(client=delivery.client, origin="https://new.example:443", created_at=work.now())
    browser = keeper(client, "change_case", "add_apikey", "change_apikey", "change_client")
    browser.get(client_page(delivery))
    with django_assert_max_num_queries(19):  # 15 of the page, 4 for who is asking
        html = browser.get(client_page(delivery)).content.decode()
    section = html.partition('id="webhooks"')[2].partition("</section>")[0]
    assert "https://hooks.example</bdi>" in section
    assert "12 ms" in section
    assert "not called yet" in section
    assert "none yet; the first event makes one" in section
    assert client_page(delivery, "test") in section
    assert client_page(delivery, "rotate") in section


def test_a_client_is_tested_on_its_page(delivery: Delivery, client: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []

    def post(url: str, body: bytes, **options: object) -> sender.Outcome:
        called.append(url)
        return sender.Outcome(204, 7)

    monkeypatch.setattr(sender, "post", post)
    browser = keeper(client, "change_case")
    html = browser.post(client_page(delivery, "test")).content.decode()
    assert "The test arrived" in html
    assert called == ["https://hooks.example/<b>"]  # of its newest case
    assert "Try again in" in browser.post(client_page(delivery, "test"), follow=True).content.decode()
    EndpointTest.objects.all().delete()
    Client.objects.update(default_webhook_url="https://default.example/")
    browser.post(client_page(delivery, "test"))
    assert called[1:] == ["https://default.example/"]
    log = LogEntry.objects.order_by("pk").values_list("change_message", flat=True)
    assert list(log) == ["Tested https://hooks.example/<b>: 204", "Tested https://default.example/: 204"]


def test_a_client_without_a_url_can_not_be_tested(client: Browser) -> None:
    case = CaseFactory(status=Status.RUNNING)
    browser = keeper(client, "change_case")
    page = f"/admin/cases/client/{case.client_id}/change/"
    assert "webhook.test" not in browser.get(page).content.decode()
    response = browser.post(f"/admin/webhooks/endpoint/client/{case.client_id}/test/", follow=True)
    assert "There is nothing to test" in response.content.decode()
    assert LogEntry.objects.count() == 0


def test_a_clients_secret_is_replaced_on_its_page_and_shown_once(delivery: Delivery, client: Browser) -> None:
    [old] = signing.secrets_for(delivery.client)
    browser = keeper(client, "add_apikey")
    html = browser.post(client_page(delivery, "rotate")).content.decode()
    new, still_good = signing.secrets_for(delivery.client)
    assert still_good == old
    assert new in html
    assert old not in html
    later = browser.get(client_page(delivery)).content.decode()
    assert new not in later
    assert "an old one signs along until" in later
    assert LogEntry.objects.get().change_message == "Replaced the webhook secret"


@pytest.mark.parametrize("action", ["test", "rotate"])
def test_on_the_page_of_a_client_nobody_does_what_they_may_not(
    delivery: Delivery, client: Browser, action: str
) -> None:
    browser = keeper(client)
    assert browser.post(client_page(delivery, action)).status_code == 403
    assert browser.get(client_page(delivery, action)).status_code == 405
    html = browser.get(client_page(delivery)).content.decode()
    assert 'id="webhooks"' in html
    assert client_page(delivery, action) not in html
    blind = User.objects.create_user("blind", is_staff=True)
    blind.user_permissions.add(*Permission.objects.filter(codename__in=["view_client"]))
    client.force_login(blind)
    assert 'id="webhooks"' not in client.get(client_page(delivery)).content.decode()
    assert LogEntry.objects.count() == 0
