"""The Python client knows every route, field, argument and error code of the OpenAPI document, and no others."""

from datetime import date
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

from offload_client import bodies, errors, models, requests, webhooks
from offload_client.models import camel
from offload_project.tests.processes import ROOT

DOCUMENT: Any = yaml.load((ROOT / "docs" / "openapi.yaml").read_text(), yaml.CSafeLoader)
SCHEMAS = DOCUMENT["components"]["schemas"]
MODELS: dict[str, type[models.Model]] = {  # component to the model that it becomes
    "Attachment": models.Attachment,
    "AttachmentDownload": models.AttachmentDownload,
    "Case": models.Case,
    "CaseCompletedEvent": webhooks.WebhookEvent,
    "CaseDraftReadyEvent": webhooks.WebhookEvent,
    "CaseFailedEvent": webhooks.WebhookEvent,
    "CaseInputNeededEvent": webhooks.WebhookEvent,
    "CaseList": models.CasePage,
    "Client": models.ClientSettings,
    "Draft": models.Draft,
    "DraftFile": models.DraftFile,
    "InputRequest": models.InputRequest,
    "Message": models.Message,
    "MessageList": models.MessagePage,
    "SandboxMail": models.SandboxMail,
    "SandboxMailAttachment": models.MailedFile,
    "Source": models.Source,
    "TestOutcome": models.TestOutcome,
    "Timeline": models.TimelinePage,
    "TimelineEvent": models.TimelineEvent,
    "WebhookAttempt": models.Attempt,
    "WebhookEndpoint": models.Endpoint,
    "WebhookEventWithAttempts": models.SentEvent,
    "WebhookEvents": models.SentEventPage,
}
BODIES: dict[str, Any] = {  # component to the arguments, or the object, that become it
    "Counterparty": bodies.Counterparty,
    "CounterpartyChange": bodies.CounterpartyChange,
    "EnclosedFile": bodies.File,
    "Goal": bodies.Goal,
    "GoalAnew": bodies.GoalAnew,
    "GoalChange": bodies.GoalChange,
    "PatchedCaseChange": bodies.CaseChange,
    "PatchedClientChange": bodies.SettingsChange,
    "Reopening": bodies.Reopening,
    "SandboxAttachment": bodies.File,
    "SenderPersona": bodies.SenderPersona,
}
CASE, FILE, DRAFT, EVENT = "{case_id}", "{attachment_id}", "{draft_id}", "{event_id}"
REQUESTS: list[requests.Request[Any]] = [
    requests.create_case(
        {"goal": {"objective": "a"}, "counterparty": {"address": "b", "name": "c"}, "sender_persona": {"name": "d"}},
        None,
    ),
    requests.get_case(CASE, transcript=False, sources=False),
    requests.list_cases({}),
    requests.change_case(CASE, {}),
    requests.pause(CASE),
    requests.resume(CASE),
    requests.cancel(CASE),
    requests.reopen(CASE, {}, None),
    requests.answer(CASE, "a", "b"),
    requests.list_messages(CASE, None),
    requests.list_timeline(CASE, None),
    requests.attachment(CASE, FILE),
    requests.approve_draft(CASE, DRAFT, "a"),
    requests.edit_draft(CASE, DRAFT, "a", body="b", subject=None),
    requests.reject_draft(CASE, DRAFT, "a"),
    requests.client_settings(),
    requests.change_client_settings({}),
    requests.list_events({}),
    requests.case_events(CASE),
    requests.redeliver(EVENT),
    requests.list_endpoints(),
    requests.test_webhook(None, replay_parked=False),
    requests.sandbox_mails(CASE),
    requests.sandbox_reply(CASE, "a", "", ()),
    requests.sandbox_bounce(CASE, permanent=True),
    requests.sandbox_complaint(CASE),
    requests.sandbox_out_of_office(CASE, date(2026, 3, 1)),
    requests.sandbox_advance(CASE, 1),
]
FILTERS: dict[str, Any] = {"/cases": bodies.CaseFilters, "/events": bodies.EventFilters}


def test_every_route_can_be_asked() -> None:
    documented = {(method.upper(), path) for path, operations in DOCUMENT["paths"].items() for method in operations}
    assert {(request.method, unquote(request.path)) for request in REQUESTS} == documented


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


@pytest.mark.parametrize("component", BODIES)
def test_what_is_sent_takes_the_fields_of_its_component(component: str) -> None:
    given, schema = BODIES[component], SCHEMAS[component]
    assert {camel(name) for name in given.__annotations__} == set(schema["properties"])
    assert {camel(name) for name in given.__required_keys__} == set(schema.get("required", ()))


@pytest.mark.parametrize("path", FILTERS)
def test_a_list_takes_the_filters_of_the_api(path: str) -> None:
    documented = {parameter["name"] for parameter in DOCUMENT["paths"][path]["get"]["parameters"]}
    assert {camel(name) for name in FILTERS[path].__annotations__} == documented


def test_every_error_of_the_api_has_a_class() -> None:
    assert codes(DOCUMENT) - set(errors.ApiError.by_code) == set()
