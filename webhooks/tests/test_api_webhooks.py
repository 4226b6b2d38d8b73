"""What clients see of their webhooks and do about them."""

import json
from typing import Any

import pytest
from pytest_django import Settings
from standardwebhooks import Webhook

from cases import work
from cases.factories import ApiKeyFactory, CaseFactory
from cases.models import Case, Status
from cases.payload_parts import milliseconds
from cases.tests.conftest import Api, api, error_of  # noqa: F401 (a fixture)
from cases.tests.test_openapi import ANYWHERE, WITH_BODY, codes, document  # noqa: F401 (a fixture)
from webhooks import endpoints, replay, sender, signing, tasks, trial
from webhooks.models import Delivery, DeliveryState, Endpoint
from webhooks.tests.receivers import hangs, receiver, says
from webhooks.tests.test_listeners import URL, ask, fail
from webhooks.tests.test_troubled_receiver import head_and_body

pytestmark = pytest.mark.django_db
OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"


def case_of(api: Api, **fields: Any) -> Case:  # noqa: F811
    return CaseFactory(status=Status.RUNNING, **{"client": api.key.client, "client_webhook_url": URL, **fields})


def data_of(response: Any, status: int = 200) -> Any:
    assert response.status_code == status, response.content
    return response.json()["data"]


def test_the_list_shows_the_clients_own_events_newest_first(api: Api) -> None:  # noqa: F811
    ask(case := case_of(api))
    fail(case)
    fail(CaseFactory(status=Status.RUNNING, client_webhook_url=URL))  # another client's
    last, first = Delivery.objects.filter(case=case).order_by("-sequence")
    events = data_of(api.get("/events"))
    assert events["nextCursor"] is None
    assert [event["eventId"] for event in events["events"]] == [last.event_id, first.event_id]
    assert events["events"][1] == {
        "eventId": first.event_id,
        "eventType": "case.input_needed",
        "caseId": str(case.pk),
        "state": "WAITING",
        "url": URL,
        "attemptCount": 0,
        "createdAt": milliseconds(first.created_at),
        "nextAttemptAt": milliseconds(first.created_at),
    }
    assert events["events"][0]["nextAttemptAt"] is None  # it waits for the other
    tasks.record_attempt(first.pk, work.now(), sender.Outcome(200, 5))
    delivered = data_of(api.get("/events", state="DELIVERED"))["events"]
    first.refresh_from_db()
    assert first.delivered_at is not None
    assert [event["deliveredAt"] for event in delivered] == [milliseconds(first.delivered_at)]


def test_pages_show_each_event_once_though_new_ones_come_in(api: Api) -> None:  # noqa: F811
    for _ in range(5):
        fail(case_of(api))
    Delivery.objects.update(created_at=work.now())  # all at the same moment
    seen, cursor = [], None
    for page in range(3):
        answer = data_of(api.get("/events", limit="2", **({"cursor": cursor} if cursor else {})))
        seen += [event["eventId"] for event in answer["events"]]
        cursor = answer["nextCursor"]
        assert (cursor is None) == (page == 2)
        fail(case_of(api))
    assert len(seen) == len(set(seen)) == 5


def test_filters(api: Api) -> None:  # noqa: F811
    ask(one := case_of(api))
    fail(one)
    fail(case_of(api))
    assert len(data_of(api.get("/events", type="case.failed"))["events"]) == 2
    assert len(data_of(api.get("/events", caseId=str(one.pk)))["events"]) == 2
    assert len(data_of(api.get("/events", caseId=str(one.pk), type="case.failed"))["events"]) == 1
    assert data_of(api.get("/events", state="PARKED"))["events"] == []
    other = CaseFactory(status=Status.RUNNING)
    assert error_of(api.get("/events", caseId=str(other.pk))) == (403, "FORBIDDEN")
    assert error_of(api.get("/events", caseId="nonsense")) == (404, "CASE_NOT_FOUND")


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"state": "LOST"}, "state"),
        ({"type": ""}, "type"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"cursor": "\u00fc"}, "cursor"),
        ({"cursor": "OTk5OTk5OTk5OTk5OTk5OTk5OTlfMDA"}, "cursor"),
    ],
)
def test_a_query_that_is_wrong_is_refused(api: Api, query: dict[str, str], path: str) -> None:  # noqa: F811
    response = api.get("/events", **query)
    assert error_of(response) == (400, "INVALID_REQUEST")
    assert response.json()["error"]["details"][0]["path"] == path


def test_a_cases_events_come_in_order_with_each_attempt(api: Api) -> None:  # noqa: F811
    ask(case := case_of(api))
    fail(case)
    first = Delivery.objects.get(case=case, sequence=1)
    tasks.record_attempt(first.pk, work.now(), sender.Outcome(503, 12, body=b"busy", error=""))
    tasks.record_attempt(first.pk, work.now(), sender.Outcome(None, 15000, error="timed out"))
    events = data_of(api.get(f"/cases/{case.pk}/events"))["events"]
    assert [event["eventType"] for event in events] == ["case.input_needed", "case.failed"]
    attempts = events[0]["attempts"]
    assert [attempt.pop("startedAt") <= milliseconds(work.now()) for attempt in attempts] == [True, True]
    assert attempts == [
        {"number": 1, "durationMs": 12, "status": 503, "error": "", "responseBody": "busy"},
        {"number": 2, "durationMs": 15000, "status": None, "error": "timed out", "responseBody": ""},
    ]
    assert events[1]["attempts"] == []


def test_an_event_is_sent_again_on_request_once_it_has_ended(api: Api) -> None:  # noqa: F811
    fail(case_of(api))
    delivery = Delivery.objects.get()
    path = f"/events/{delivery.event_id}/redeliver"
    assert error_of(api.post(path)) == (409, "EVENT_NOT_ENDED")
    tasks.record_attempt(delivery.pk, work.now(), sender.Outcome(200, 5))
    assert not work.due("delivery").exists()
    answer = data_of(api.post(path), 202)
    assert (answer["eventId"], answer["state"], answer["attemptCount"]) == (delivery.event_id, "WAITING", 1)
    [due] = work.due("delivery")
    assert bytes(due.body) == bytes(delivery.body)


def test_who_may_not_is_told_nothing(api: Api, client: Any) -> None:  # noqa: F811
    other = fail(CaseFactory(status=Status.RUNNING, client_webhook_url=URL))
    delivery = Delivery.objects.get()
    tasks.record_attempt(delivery.pk, work.now(), sender.Outcome(200, 5))
    forbidden = api.post(f"/events/{delivery.event_id}/redeliver")
    assert error_of(forbidden) == (403, "FORBIDDEN")
    assert URL not in forbidden.content.decode()
    assert error_of(api.post("/events/evt_unknown/redeliver")) == (404, "EVENT_NOT_FOUND")
    assert error_of(api.get(f"/cases/{other.pk}/events")) == (403, "FORBIDDEN")
    assert data_of(api.get("/webhooks/endpoints")) == {"endpoints": []}
    assert Delivery.objects.get().state == DeliveryState.DELIVERED
    for method, path in [
        ("get", "/events"),
        ("post", "/events/evt_1/redeliver"),
        ("get", f"/cases/{other.pk}/events"),
        ("get", "/webhooks/endpoints"),
        ("post", "/webhooks/test"),
    ]:
        assert error_of(getattr(client, method)(path)) == (401, "UNAUTHORIZED")


def test_endpoints_show_how_they_are(api: Api) -> None:  # noqa: F811
    fail(case_of(api))
    fail(case_of(api, client_webhook_url="https://other.example/"))
    gone, well = Delivery.objects.order_by("created_at")
    tasks.record_attempt(gone.pk, work.now(), sender.Outcome(410, 5))
    tasks.record_attempt(well.pk, work.now(), sender.Outcome(200, 5))
    first, second = data_of(api.get("/webhooks/endpoints"))["endpoints"]
    parked = Endpoint.objects.get(pk=gone.endpoint_id)
    assert parked.parked_at is not None
    assert first == {
        "origin": "https://hooks.example:443",
        "health": "PARKED",
        "consecutiveFailures": 1,
        "failingSince": milliseconds(parked.parked_at),
        "lastFailureAt": milliseconds(parked.parked_at),
        "parkedAt": milliseconds(parked.parked_at),
        "parkedReason": "It answered 410 Gone.",
        "parkedEventCount": 1,
    }
    assert (second["health"], second["consecutiveFailures"], second["parkedEventCount"]) == ("OK", 0, 0)
    assert second.keys() == {"origin", "health", "consecutiveFailures", "lastSuccessAt", "parkedEventCount"}


# --- The test -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("loopback_allowed")
def test_a_test_is_signed_and_tells_what_came_of_it(api: Api) -> None:  # noqa: F811
    with receiver(says(OK)) as endpoint:
        answer = data_of(api.post("/webhooks/test", {"url": endpoint.url}))
    headers, body = head_and_body(endpoint.requests[0])
    [secret] = signing.secrets_for(api.key.client)
    event = Webhook(secret).verify(body, headers)
    assert event == {
        "event_id": answer["eventId"],
        "event_type": "webhook.test",
        "timestamp": event["timestamp"],
        "data": {},
    }
    assert headers["webhook-id"] == answer["eventId"]
    assert abs(event["timestamp"] - milliseconds(work.now())) < 10_000
    assert 0 <= answer.pop("durationMs") < 5000
    assert answer == {
        "eventId": event["event_id"],
        "url": endpoint.url,
        "delivered": True,
        "status": 200,
        "error": "",
        "responseBody": "ok",
        "replayedCount": 0,
    }
    assert not Delivery.objects.exists()
    assert not Endpoint.objects.exists()


@pytest.mark.usefixtures("loopback_allowed")
def test_a_good_test_takes_a_parked_endpoint_back_and_sends_what_was_kept_if_asked(api: Api) -> None:  # noqa: F811
    with receiver(says(OK)) as endpoint:
        ask(case := case_of(api, client_webhook_url=endpoint.url))
        endpoints.park(Endpoint.objects.get().pk, "On request.")
        fail(case)
        answer = data_of(api.post("/webhooks/test", {"replayParked": True}))  # to the newest case's URL
    assert (answer["delivered"], answer["url"], answer["replayedCount"]) == (True, endpoint.url, 2)
    assert not Endpoint.objects.get().is_parked
    assert [row.sequence for row in work.due("delivery")] == [1]
    assert replay.kept_for(Endpoint.objects.get()).count() == 0


@pytest.mark.usefixtures("loopback_allowed")
def test_a_bad_test_is_held_against_nobody_and_ends_at_its_limit(
    api: Api,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trial, "LIMIT_SECONDS", 0.4)
    with receiver(hangs) as endpoint:
        fail(case_of(api, client_webhook_url=endpoint.url))
        answer = data_of(api.post("/webhooks/test"))
    assert (answer["delivered"], answer["status"], answer["error"]) == (False, None, "timed out")
    assert 400 <= answer["durationMs"] < 2000
    assert Endpoint.objects.get().failures == 0


def test_tests_of_a_client_are_ten_seconds_apart(
    api: Api,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    client: Any,
) -> None:
    monkeypatch.setattr(sender, "post", lambda *args, **options: sender.Outcome(200, 1))
    assert api.post("/webhooks/test", {"url": URL}).status_code == 200
    second = api.post("/webhooks/test", {"url": URL})
    assert error_of(second) == (429, "RATE_LIMITED")
    assert 1 <= int(second["Retry-After"]) <= 11
    assert Api(ApiKeyFactory(), client).post("/webhooks/test", {"url": URL}).status_code == 200
    monkeypatch.setattr(trial, "PAUSE", trial.PAUSE * 0)
    assert api.post("/webhooks/test", {"url": URL}).status_code == 200


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "url"),  # no case has had one
        ({"url": "http://127.0.0.1/"}, "url"),
        ({"url": "http://[::ffff:169.254.169.254]/"}, "url"),
        ({"url": "http://user@hooks.example/"}, "url"),
        ({"url": "ftp://hooks.example/"}, "url"),
        ({"url": URL, "replayParked": "true"}, "replayParked"),
        ({"url": URL, "replayParked": 1}, "replayParked"),
    ],
)
def test_what_may_not_be_called_is_not_tested(api: Api, body: Any, path: str) -> None:  # noqa: F811
    response = api.post("/webhooks/test", body)
    assert error_of(response) == (400, "INVALID_REQUEST")
    assert response.json()["error"]["details"][0]["path"] == path


def test_a_name_that_leads_to_a_private_address_is_told_and_not_called(
    api: Api,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *args, **options: [(2, 1, 6, "", ("10.0.0.7", 443))])
    answer = data_of(api.post("/webhooks/test", {"url": URL}))
    assert (answer["delivered"], answer["error"]) == (False, "10.0.0.7 is not a public address.")


# --- Further events for those who ask -------------------------------------------------------------


def test_further_events_are_told_only_to_clients_that_asked_for_them(api: Api) -> None:  # noqa: F811
    new = {
        "channel": "EMAIL",
        "goal": {"objective": "Ask."},
        "counterparty": {"address": "ann@supplier.example", "name": "Ann"},
        "senderPersona": {"name": "Bob"},
        "clientWebhookUrl": URL,
    }
    assert api.post("/cases", new).status_code == 201
    assert not Delivery.objects.exists()
    api.key.client.event_types = ["case.created"]
    api.key.client.save()
    case_id = data_of(api.post("/cases", new), 201)["caseId"]
    delivery = Delivery.objects.get()
    assert (delivery.event_type, str(delivery.case_id)) == ("case.created", case_id)
    assert delivery.event_id == json.loads(bytes(delivery.body))["event_id"]
    assert delivery.event_id.endswith(f"_{delivery.timeline_event_id}")


def test_the_routes_are_documented(document: Any) -> None:  # noqa: F811
    no_case = {"404": ["CASE_NOT_FOUND", "NOT_FOUND"]}
    assert codes(document, "get", "/events") == {"200": [], **ANYWHERE, "404": ["CASE_NOT_FOUND", "NOT_FOUND"]}
    assert codes(document, "get", "/cases/{case_id}/events") == {"200": [], **ANYWHERE, **no_case}
    assert codes(document, "get", "/webhooks/endpoints") == {"200": [], **ANYWHERE}
    assert codes(document, "post", "/events/{event_id}/redeliver") == {
        "202": [],
        **ANYWHERE,
        **WITH_BODY,
        "404": ["EVENT_NOT_FOUND", "NOT_FOUND"],
        "409": ["EVENT_NOT_ENDED"],
    }
    limited = {"429": ["RATE_LIMITED"]}
    assert codes(document, "post", "/webhooks/test") == {"200": [], **ANYWHERE, **WITH_BODY, **limited}
    parameters = {parameter["name"] for parameter in document["paths"]["/events"]["get"]["parameters"]}
    assert parameters == {"type", "state", "caseId", "limit", "cursor"}
