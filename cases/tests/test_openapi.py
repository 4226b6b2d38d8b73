"""The OpenAPI document is complete, and its example works."""

import json
import re
from typing import Any

import pytest
from django.core.management import call_command

from cases.tests.conftest import Api
from cases.views import NEW_CASE


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What is generated; whether it is valid OpenAPI is tested once, where the whole document is."""
    path = tmp_path_factory.mktemp("openapi") / "schema.json"
    call_command("spectacular", "--fail-on-warn", "--format", "openapi-json", "--file", str(path))
    return json.loads(path.read_text())


def codes(document: Any, method: str, path: str) -> dict[str, list[str]]:
    """Status to codes, as documented for one route; a success has none."""
    found = {}
    for status, response in document["paths"][path][method]["responses"].items():
        schema = response["content"]["application/json"]["schema"]
        errors = schema["allOf"][1]["properties"]["error"]["properties"]["code"]["enum"] if "allOf" in schema else []
        found[status] = errors
    return found


ANYWHERE = {"400": ["INVALID_REQUEST"], "401": ["UNAUTHORIZED"], "403": ["FORBIDDEN"], "500": ["INTERNAL_ERROR"]}
ANYWHERE |= {"429": ["RATE_LIMITED"]}
WITH_BODY = {"408": ["REQUEST_TIMEOUT"], "413": ["PAYLOAD_TOO_LARGE"], "415": ["UNSUPPORTED_MEDIA_TYPE"]}
ONCE = {"409": ["IDEMPOTENCY_KEY_IN_USE"], "422": ["IDEMPOTENCY_KEY_REUSED"]}


def test_every_answer_is_documented(document: Any) -> None:
    no_case = {"404": ["CASE_NOT_FOUND", "NOT_FOUND"]}
    waiting = ["CASE_NOT_WAITING_FOR_INPUT", "INPUT_REQUEST_NOT_PENDING", "INPUT_REQUEST_MISMATCH"]
    assert codes(document, "post", "/cases") == {"201": [], **ANYWHERE, **WITH_BODY, **ONCE}
    assert codes(document, "get", "/cases") == {"200": [], **ANYWHERE}
    for path in ("/cases/{case_id}", "/cases/{case_id}/messages", "/cases/{case_id}/timeline"):
        assert codes(document, "get", path) == {"200": [], **ANYWHERE, **no_case}
    assert codes(document, "get", "/cases/{case_id}/attachments/{attachment_id}") == {
        "200": [],
        **ANYWHERE,
        "404": ["CASE_NOT_FOUND", "ATTACHMENT_NOT_FOUND", "NOT_FOUND"],
    }
    assert codes(document, "post", "/cases/{case_id}/input") == {
        "202": [],
        **ANYWHERE,
        **WITH_BODY,
        **no_case,
        "409": waiting,
    }
    for how, conflicts in (("approve", ["DRAFT_CHANGED"]), ("edit", ["DRAFT_CHANGED"]), ("reject", [])):
        assert codes(document, "post", f"/cases/{{case_id}}/drafts/{{draft_id}}/{how}") == {
            "200": [],
            **ANYWHERE,
            **WITH_BODY,
            "404": ["CASE_NOT_FOUND", "DRAFT_NOT_FOUND", "NOT_FOUND"],
            "409": ["DRAFT_NOT_PENDING", *conflicts],
        }
    for what in ("cancel", "pause", "resume"):
        assert codes(document, "post", f"/cases/{{case_id}}/{what}") == {
            "200": [],
            **ANYWHERE,
            **WITH_BODY,  # it needs none, and looks at what comes
            **no_case,
            "409": ["CASE_ALREADY_FINISHED"],
        }
    assert codes(document, "get", "/client") == {"200": [], **ANYWHERE}
    assert codes(document, "patch", "/client") == {"200": [], **ANYWHERE, **WITH_BODY}
    assert codes(document, "post", "/cases/{case_id}/reopen") == {
        "201": [],
        **ANYWHERE,
        **WITH_BODY,
        **no_case,
        "409": ["CASE_NOT_FINISHED", "CASE_ALREADY_REOPENED", "IDEMPOTENCY_KEY_IN_USE"],
        "422": ["IDEMPOTENCY_KEY_REUSED"],
    }
    assert codes(document, "patch", "/cases/{case_id}") == {
        "200": [],
        **ANYWHERE,
        **WITH_BODY,
        **no_case,
        "409": ["CASE_ALREADY_FINISHED", "ALREADY_SENT"],
    }


def test_a_page_is_an_object(document: Any) -> None:
    schema = document["paths"]["/cases"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema["properties"]["data"] == {"$ref": "#/components/schemas/CaseList"}


def test_every_route_of_a_case_needs_the_key(document: Any) -> None:
    scheme = {"type": "apiKey", "in": "header", "name": "x-api-key"}
    assert document["components"]["securitySchemes"] == {"apiKey": scheme}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["security"] == [{"apiKey": []}], path


def test_what_fields_refuse_is_documented(document: Any) -> None:
    schemas = document["components"]["schemas"]
    body = schemas["NewCase"]
    assert body["required"] == ["channel", "counterparty", "goal", "senderPersona"]
    whole = {"type": "integer", "maximum": 2**31 - 1}
    assert body["properties"]["maxAttempts"] == {**whole, "default": 3, "minimum": 0}
    assert body["properties"]["followUpDelayHours"] == {**whole, "default": 72, "minimum": 1}
    assert "maxItems" not in body["properties"]["constraints"]
    assert body["properties"]["resultSchema"]["type"] == "object"
    language = body["properties"]["language"]
    assert language["maxLength"] == 35
    assert re.search(language["pattern"], "zh-Hant-TW")
    assert not re.search(language["pattern"], "Chinese (Taiwan)")
    assert schemas["Goal"]["properties"]["objective"]["pattern"] == r"\S"
    assert schemas["Counterparty"]["properties"]["customData"]["additionalProperties"] == {"type": "string"}
    assert schemas["Counterparty"]["properties"]["name"]["maxLength"] == 300


def test_what_has_to_be_asked_for_is_documented(document: Any) -> None:
    parameters = document["paths"]["/cases/{case_id}"]["get"]["parameters"]
    assert {parameter["name"] for parameter in parameters} == {"case_id", "includeTranscript", "includeSources"}
    schemas = document["components"]["schemas"]
    assert not {"conversationThread", "sources"} & set(schemas["Case"]["required"])
    assert schemas["Case"]["properties"]["sources"] == {
        "type": ["array", "null"],
        "items": {"$ref": "#/components/schemas/Source"},
    }
    assert schemas["Source"]["required"] == ["path", "quote", "sourceId"]


def test_the_documented_example_works(document: Any, api: Api) -> None:
    examples = document["paths"]["/cases"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    [example] = examples.values()
    assert example["value"] == NEW_CASE
    response = api.post("/cases", example["value"])
    assert response.status_code == 201
