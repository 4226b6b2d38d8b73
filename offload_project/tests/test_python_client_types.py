"""The Python client knows every field, argument, filter and error code of the OpenAPI document, and no others."""

from typing import Any

import pytest
import yaml

from offload_client import bodies, errors, models, webhooks
from offload_client.models import camel
from offload_project.tests.processes import ROOT

DOCUMENT: Any = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())
SCHEMAS = DOCUMENT["components"]["schemas"]
MODELS: dict[str, type[models.Model]] = {  # component to the model that it becomes
    "Attachment": models.Attachment,
    "AttachmentDownload": models.AttachmentDownload,
    "Case": models.Case,
    "CaseCompletedEvent": webhooks.WebhookEvent,
    "CaseFailedEvent": webhooks.WebhookEvent,
    "CaseInputNeededEvent": webhooks.WebhookEvent,
    "CaseList": models.CasePage,
    "InputRequest": models.InputRequest,
    "Message": models.Message,
    "MessageList": models.MessagePage,
    "SandboxMail": models.SandboxMail,
    "Source": models.Source,
    "TestOutcome": models.TestOutcome,
    "Timeline": models.TimelinePage,
    "TimelineEvent": models.TimelineEvent,
    "WebhookAttempt": models.Attempt,
    "WebhookEndpoint": models.Endpoint,
    "WebhookEventWithAttempts": models.SentEvent,
    "WebhookEvents": models.SentEventPage,
}
FILTERS: dict[str, Any] = {"/cases": bodies.CaseFilters, "/events": bodies.EventFilters}


def codes(value: Any) -> set[str]:
    """Every error code in the document: what `error.code` may be, wherever that stands."""
    return {example["value"]["error"]["code"] for example in value["components"]["examples"].values()}


@pytest.mark.parametrize("component", MODELS)
def test_a_model_has_the_fields_of_its_component(component: str) -> None:
    assert set(MODELS[component].json_names().values()) == set(SCHEMAS[component]["properties"])


@pytest.mark.parametrize("component", MODELS)
def test_what_may_be_absent_has_a_default(component: str) -> None:
    model = MODELS[component]
    optional = {json for name, json in model.json_names().items() if name in vars(model)}
    required = set(SCHEMAS[component].get("required", ()))
    if component != "WebhookEventWithAttempts":  # which also stands for WebhookEvent
        assert optional == set(SCHEMAS[component]["properties"]) - required


def test_the_data_of_an_event_has_the_fields_of_all_events() -> None:
    names = [name for name in SCHEMAS if name.endswith("Event") and "event_type" in SCHEMAS[name]["properties"]]
    references = {SCHEMAS[name]["properties"]["data"].get("$ref", "") for name in names}
    data = [SCHEMAS[reference.rpartition("/")[2]] for reference in references - {""}]  # a test's has no fields
    documented = {field for schema in data for field in schema["properties"]}
    assert set(webhooks.EventData.json_names().values()) == documented


def test_a_new_case_takes_the_fields_of_the_api() -> None:
    arguments = bodies.NewCase
    assert {camel(name) for name in arguments.__annotations__} == set(SCHEMAS["NewCase"]["properties"])
    required = {camel(name) for name in arguments.__required_keys__}
    assert required == set(SCHEMAS["NewCase"]["required"]) - {"channel"}  # EMAIL unless given
    for name in ("Goal", "Counterparty", "SenderPersona"):
        given = getattr(bodies, name)
        assert set(given.__annotations__) == set(SCHEMAS[name]["properties"])
        assert set(given.__required_keys__) == set(SCHEMAS[name]["required"])


@pytest.mark.parametrize("path", FILTERS)
def test_a_list_takes_the_filters_of_the_api(path: str) -> None:
    documented = {parameter["name"] for parameter in DOCUMENT["paths"][path]["get"]["parameters"]}
    assert {camel(name) for name in FILTERS[path].__annotations__} == documented


def test_every_error_of_the_api_has_a_class() -> None:
    assert codes(DOCUMENT) - set(errors.ApiError.by_code) == set()
