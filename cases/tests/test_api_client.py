"""GET and PATCH /client: what a client sets for all its cases, and what that does."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings

from cases.factories import CaseFactory, ClientFactory
from cases.models import Case, Client
from cases.tests.conftest import VALID, Api, body_with, error_of

HOOK = "https://client.example/hook"


def test_at_first_nothing_is_set(api: Api) -> None:
    client = api.key.client
    expected: dict[str, Any] = {
        "defaultWebhookUrl": None,
        "settleSeconds": None,
        "reminderHours": None,
        "eventTypes": [],
    }
    assert api.get("/client").json()["data"] == {"clientId": str(client.pk), "name": client.name, **expected}


def test_what_is_named_is_set_and_the_rest_stays(api: Api) -> None:
    other = ClientFactory()
    response = api.patch("/client", {"defaultWebhookUrl": HOOK, "settleSeconds": 0})
    assert response.status_code == 200
    changed = api.patch("/client", {"reminderHours": 24, "settleSeconds": None}).json()["data"]
    assert changed == api.get("/client").json()["data"]
    assert (changed["defaultWebhookUrl"], changed["settleSeconds"], changed["reminderHours"]) == (HOOK, None, 24)
    assert Client.objects.get(pk=other.pk).reminder_hours is None


def test_further_events_are_chosen(api: Api) -> None:
    chosen = ["case.input_overdue", "message.received"]
    assert api.patch("/client", {"eventTypes": chosen}).json()["data"]["eventTypes"] == chosen
    assert error_of(api.patch("/client", {"eventTypes": ["case.completed"]})) == (400, "INVALID_REQUEST")
    assert Client.objects.get().event_types == chosen


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({}, ""),
        ({"name": "Mallory"}, ""),
        ({"settleSeconds": -1}, "settleSeconds"),
        ({"settleSeconds": 3601}, "settleSeconds"),
        ({"settleSeconds": "5"}, "settleSeconds"),
        ({"reminderHours": 0}, "reminderHours"),
        ({"reminderHours": 24 * 366 + 1}, "reminderHours"),
        ({"defaultWebhookUrl": "ftp://client.example"}, "defaultWebhookUrl"),
        ({"defaultWebhookUrl": ""}, "defaultWebhookUrl"),
    ],
)
def test_a_wrong_setting_is_refused(api: Api, change: Any, path: str) -> None:
    before = api.get("/client").json()
    response = api.patch("/client", change)
    assert error_of(response) == (400, "INVALID_REQUEST")
    assert [detail["path"] for detail in response.json()["error"]["details"]] == [path]
    assert api.get("/client").json() == before


def test_the_default_webhook_is_that_of_cases_that_name_none(api: Api) -> None:
    earlier = api.post("/cases", VALID).json()["data"]["caseId"]
    api.patch("/client", {"defaultWebhookUrl": HOOK})
    later = api.post("/cases", VALID).json()["data"]["caseId"]
    own = api.post("/cases", body_with("clientWebhookUrl", f"{HOOK}/own")).json()["data"]["caseId"]
    urls = {str(case.pk): case.client_webhook_url for case in Case.objects.all()}
    assert urls == {earlier: None, later: HOOK, own: f"{HOOK}/own"}


@pytest.mark.parametrize(("seconds", "expected"), [(None, 60), (0, 0), (5, 5)])
def test_the_settle_time_is_the_clients_own(db: None, seconds: int | None, expected: int) -> None:
    case = CaseFactory(client=ClientFactory(settle_seconds=seconds), transport="email")
    with override_settings(OFFLOAD_SETTLE_SECONDS=60):
        assert case.settle == timedelta(seconds=expected)
