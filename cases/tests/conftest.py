"""What the tests of the API share: a client with a key, and a case's body that can be spoilt."""

import json
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from cases.factories import ApiKeyFactory
from cases.models import ApiKey

VALID = {
    "channel": "EMAIL",
    "goal": {"objective": "Get the invoice of March."},
    "counterparty": {"address": "ann@supplier.example", "name": "Ann Supplier"},
    "senderPersona": {"name": "Bob Buyer"},
}


@dataclass
class Api:
    """An application with an API key."""

    key: ApiKey
    client: Client

    def get(self, path: str, **query: str) -> Any:
        return self.client.get(path, query, headers={"x-api-key": self.key.key})  # type: ignore[attr-defined]

    def patch(self, path: str, body: Any) -> Any:
        headers = {"x-api-key": self.key.key}  # type: ignore[attr-defined]
        return self.client.patch(path, json.dumps(body), content_type="application/json", headers=headers)

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body)
        headers = {"x-api-key": self.key.key}  # type: ignore[attr-defined]
        return self.client.post(path, raw, **{"content_type": "application/json", "headers": headers, **options})


@pytest.fixture
def api(db: None, client: Client) -> Api:
    return Api(ApiKeyFactory(is_test=True), client)


def body_with(path: str, value: Any) -> dict[str, Any]:
    """The valid body with one value set, by a path such as `counterparty.name`."""
    body: dict[str, Any] = deepcopy(VALID)
    *parents, last = path.split(".")
    target = body
    for parent in parents:
        target = target[parent]
    target[last] = value
    return body


def body_without(path: str) -> dict[str, Any]:
    """The valid body with one value left out."""
    body = body_with(path, None)
    *parents, last = path.split(".")
    target = body
    for parent in parents:
        target = target[parent]
    del target[last]
    return body


def error_of(response: Any) -> tuple[int, str]:
    """Status and code of a failure, in the envelope and nothing else."""
    answer = response.json()
    assert answer.keys() == {"ok", "error"}
    assert answer["ok"] is False
    assert answer["error"].keys() <= {"code", "message", "details"}
    return response.status_code, answer["error"]["code"]
