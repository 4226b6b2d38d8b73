"""The OpenAPI document says all: every route, body, error and event, each with an example that is one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from django.conf import settings
from django.core.management import call_command
from django.urls import URLPattern, URLResolver, get_resolver

from cases.factories import AttachmentFactory, CaseFactory, InputRequestFactory, MessageFactory
from cases.models import Case, Event, Status
from offload_project.tests.processes import ROOT
from webhooks import payloads

COMMITTED = ROOT / "docs" / "openapi.yaml"
METHODS = {"get", "post", "put", "patch", "delete"}
NOT_FOR_CLIENTS = {
    "/files/{token}": "an opaque link, which downloadUrl gives",
    "/inbound/agentmail": "the provider calls it",
    "/schema": "the document itself",
    "/docs": "a page that shows it",
    "/healthz": "for whoever operates the service",
    "/readyz": "for whoever operates the service",
    "/admin/second-factor/": "one of the staff's pages",
    "/admin/now/": "a part of the staff's first page",
    "/admin": "leads to the staff's pages",
    "/": "leads to the staff's pages",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What `make openapi` writes; it fails on a warning and on what the OpenAPI 3.1 meta-schema refuses."""
    path: Path = tmp_path_factory.mktemp("openapi") / "openapi.yaml"
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(path))
    return path.read_text()


@pytest.fixture(scope="module")
def document() -> Any:
    """The committed one, which is current, as a test of its own says."""
    return yaml.load(COMMITTED.read_text(), yaml.CSafeLoader)


def operations_of_routes(document: Any) -> list[Any]:
    return [operation for _, operation in operations({**document, "webhooks": {}})]


def operations(document: Any) -> Iterator[tuple[str, Any]]:
    """Every operation, of routes and of webhooks, with its name."""
    for path, operations in [*document["paths"].items(), *document["webhooks"].items()]:
        yield from ((f"{method} {path}", described) for method, described in operations.items() if method in METHODS)


def bodies(document: Any) -> Iterator[tuple[str, Any]]:
    """Every JSON body that is sent or answered, with a name for it."""
    for name, operation in operations(document):
        for status, described in {"request": operation.get("requestBody", {}), **operation["responses"]}.items():
            if content := described.get("content", {}).get("application/json"):
                yield f"{name} {status}", content


def check(document: Any, schema: Any, value: Any) -> None:
    """Raises jsonschema_rs.ValidationError unless the value is as the schema, within the document, says."""
    jsonschema_rs.validate({**schema, "components": document["components"]}, value)


def test_the_committed_document_is_current(written: str) -> None:
    assert COMMITTED.read_text() == written, "docs/openapi.yaml is stale; run `make openapi` and commit it"


def test_every_schema_is_one(document: Any) -> None:
    assert document["openapi"] == "3.1.0"
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


def routes(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    """Every address that the service knows but the staff's pages, in the document's spelling."""
    for pattern in patterns:
        path = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLPattern):
            yield "/" + path.replace("<str:", "<").replace("<", "{").replace(">", "}")
        elif path != "admin/":
            yield from routes(pattern.url_patterns, path)


def test_every_route_is_in_the_document(document: Any) -> None:
    known = set(routes(get_resolver().url_patterns))
    described = set(document["paths"])
    assert known - set(NOT_FOR_CLIENTS) == described
    assert set(NOT_FOR_CLIENTS) < known


def test_every_operation_is_worded(document: Any) -> None:
    ids = [operation["operationId"] for operation in operations_of_routes(document)]
    assert len(ids) == len(set(ids))
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["tags"], name
        assert all(response["description"] for response in operation["responses"].values()), name
    assert {tag for _, operation in operations(document) for tag in operation["tags"]} == {
        tag["name"] for tag in document["tags"]
    }


def test_every_body_has_an_example_that_is_one(document: Any) -> None:
    for name, content in bodies(document):
        examples = content.get("examples")
        assert examples, f"{name} has no example; offload_project/examples.py is the place for it"
        for example in examples.values():
            key = example.get("$ref", "").rpartition("/")[2]
            check(document, content["schema"], (document["components"]["examples"][key] if key else example)["value"])


def test_an_error_is_shown_in_the_service_s_own_words(document: Any) -> None:
    examples = document["components"]["examples"]
    assert examples["CASE_NOT_FOUND"]["value"] == {
        "ok": False,
        "error": {"code": "CASE_NOT_FOUND", "message": "There is no such case."},
    }
    assert examples["INVALID_REQUEST"]["value"]["error"]["details"] == [
        {"path": "counterparty.address", "message": "This field is required."}
    ]


def fields(document: Any, schema: Any) -> set[str]:
    return set(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"])


def case_in(status: Status) -> Case:
    """A case in that state with all that can be told of it."""
    case = CaseFactory(
        status=status,
        client_reference_id="PO-7",
        metadata={"row": 1},
        failure_reason="Refused.",
        **({"result": {"a": 1}} if status == Status.COMPLETED else {}),
    )
    AttachmentFactory(message=MessageFactory(case=case, direction="IN"))
    return case


ALWAYS_TOLD = {"case.completed", "case.failed", "case.input_needed"}
MESSAGE_ID = "f1c1f6b2-1f0e-4f39-8a43-3f5f8a1d7e20"


def test_every_event_that_there_is_is_documented(document: Any) -> None:
    assert set(document["webhooks"]) == {*ALWAYS_TOLD, *settings.OFFLOAD_OPTIONAL_EVENTS, "webhook.test"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("event_type", "status"),
    [
        ("case.completed", Status.COMPLETED),
        ("case.failed", Status.FAILED),
        ("case.input_needed", Status.INPUT_NEEDED),
        ("case.created", Status.CREATED),
        ("case.input_overdue", Status.INPUT_NEEDED),
        ("case.draft_ready", Status.CREATED),
        ("message.sent", Status.RUNNING),
        ("message.received", Status.INPUT_NEEDED),
    ],
)
def test_every_event_is_sent_as_it_is_documented(document: Any, event_type: str, status: Status) -> None:
    case = case_in(status)
    data: dict[str, Any] = {}
    if event_type in {"case.input_needed", "case.input_overdue"}:
        offers = {"options": ["Yes", "No"], "answer_schema": {"type": "string"}}
        data["inputRequestId"] = InputRequestFactory(case=case, **offers).pk
    if event_type == "case.draft_ready":
        data["messageId"] = str(MessageFactory(case=case, status="DRAFT", drafted_at=case.now).pk)
    if event_type.startswith("message."):
        data["messageId"] = MESSAGE_ID
    sent = json.loads(payloads.encode(payloads.build(case, Event(case=case, type=event_type, data=data))))
    webhook = document["webhooks"][event_type]["post"]
    schema = webhook["requestBody"]["content"]["application/json"]["schema"]
    check(document, schema, sent)
    body = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    assert set(sent) == set(body["properties"])
    assert set(sent["data"]) == fields(document, body["properties"]["data"])
    headers = [header["name"] for header in webhook["parameters"]]
    assert headers == ["webhook-id", "webhook-timestamp", "webhook-signature"]
    assert webhook["security"] == []
