"""On which channels somebody can be reached, and what a client is told where nobody can."""

import json
from typing import Any

import pytest
from django.test import Client

from cases.factories import ApiKeyFactory
from cases.models import Case

BODY = {
    "channel": "EMAIL",
    "goal": {"objective": "Get the invoice of March."},
    "counterparty": {"address": "ann@supplier.example", "name": "Ann"},
    "senderPersona": {"name": "Bob"},
}
NO_TRANSPORT = "No mail transport is configured. A test key's cases use the sandbox."

pytestmark = pytest.mark.django_db


def post(client: Client, channel: str, *, is_test: bool) -> Any:
    key: Any = ApiKeyFactory(is_test=is_test)
    body = json.dumps({**BODY, "channel": channel})
    return client.post("/cases", body, content_type="application/json", headers={"x-api-key": key.key})


def test_a_live_case_that_nobody_could_play_is_refused(client: Client) -> None:
    response = post(client, "EMAIL", is_test=False)
    assert (response.status_code, response.json()["error"]) == (
        400,
        {
            "code": "INVALID_REQUEST",
            "message": f"channel: {NO_TRANSPORT}",
            "details": [{"path": "channel", "message": NO_TRANSPORT}],
        },
    )
    assert Case.objects.count() == 0


def test_a_test_key_has_the_sandbox(client: Client) -> None:
    assert post(client, "EMAIL", is_test=True).status_code == 201
    assert Case.objects.get().transport == "sandbox"


def test_a_live_key_has_what_the_operator_has_chosen(client: Client, settings: Any) -> None:
    settings.OFFLOAD_LIVE_CASES = True
    assert post(client, "EMAIL", is_test=False).status_code == 201
    assert Case.objects.get().transport == "sandbox"


@pytest.mark.parametrize("is_test", [True, False])
def test_nobody_sends_short_messages(client: Client, settings: Any, is_test: bool) -> None:
    settings.OFFLOAD_LIVE_CASES = True
    response = post(client, "SMS", is_test=is_test)
    assert response.json()["error"]["details"] == [
        {"path": "channel", "message": "No transport is configured for SMS."}
    ]
    assert (response.status_code, Case.objects.count()) == (400, 0)
