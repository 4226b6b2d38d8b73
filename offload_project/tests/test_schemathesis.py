"""Whatever is sent to the API, it answers as its OpenAPI document says: no 5xx, no status, code or field beside it."""

import gc
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from cases.factories import ApiKeyFactory, AttachmentFactory, CaseFactory, InputRequestFactory, MessageFactory
from cases.models import ApiKey, ReviewMode, Status
from offload_project.tests.rows import delivery_of, draft_of
from offload_project.wsgi import application
from scripts import offline
from webhooks import trial
from webhooks.models import DeliveryState

EXAMPLES = 3  # of each operation; `make attack` makes far more
TIMES = 3  # that the same rows are named
# The client that sends the requests leaves the temporary files of large forms to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
GENERATION = {"deterministic": True, "max-examples": EXAMPLES, "database": "none"}


def described(*, at_limits: bool) -> Any:
    """The service by its document; whether requests that probe the limits of each field are made as well."""
    phases = {"coverage": {"enabled": at_limits}}
    config = SchemathesisConfig.from_dict({"generation": GENERATION, "phases": phases})
    return schemathesis.openapi.from_wsgi("/schema", application, config=config)


document = described(at_limits=False)


@dataclass
class Existing:
    """What a request may name: parameters of its path and fields of its body, with their values."""

    path: dict[str, Any] = field(default_factory=dict)
    body: dict[str, str] = field(default_factory=dict)


@pytest.fixture
def rows(key: ApiKey) -> Iterator[Existing]:
    """A case with something of everything, of each status and of another client, several times before others are made:
    to make them takes longer than a request. Now and then none: let it name what it will."""

    def some() -> Iterator[Existing]:
        for number in count():
            owned = [existing(number + place, status, client=key.client) for place, status in enumerate(Status)]
            anothers = existing(number, Status.RUNNING)
            for _ in range(TIMES):
                yield from [*owned, Existing(), anothers]

    return some()


def existing(number: int, status: Status, **owner: Any) -> Existing:
    """On such a case: a file and a mail that came in, a draft, an event, and a question where it waits for one."""
    case = CaseFactory(
        status=status,
        constraints=["Be brief."],
        review_mode=ReviewMode.ALL,
        client_webhook_url="https://hooks.example/offload",
        **owner,
    )
    attachment = AttachmentFactory(message__case=case)
    if status != Status.CREATED:
        MessageFactory(case=case)
    draft = draft_of(case)
    delivery = delivery_of(case, (DeliveryState.DELIVERED, DeliveryState.WAITING, DeliveryState.PARKED)[number % 3])
    found = Existing(
        {"case_id": case.pk, "attachment_id": attachment.pk, "draft_id": draft.pk, "event_id": delivery.event_id},
        {"hash": draft.hash},
    )
    if status == Status.INPUT_NEEDED:
        found.body["inputRequestId"] = str(InputRequestFactory(case=case).pk)
    return found


@pytest.fixture
def key(db: None) -> Iterator[ApiKey]:
    """A test key. Requests run in the test's own transaction, so its connection stays open between them."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)  # as Django's own test client does
    yield ApiKeyFactory(is_test=True)
    for signal in signals:
        signal.connect(close_old_connections)
    gc.collect()


def aim(case: Any, rows: Existing) -> None:
    """Let a generated request name rows that exist, so that it gets further than to a 404."""
    for name in case.path_parameters.keys() & rows.path.keys():
        case.path_parameters[name] = str(rows.path[name])
    if isinstance(case.body, dict):
        for name in case.body.keys() & rows.body.keys():
            if isinstance(case.body[name], str):
                case.body[name] = rows.body[name]


@pytest.fixture(autouse=True)
def offline_webhooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hosts of generated webhooks are not there, and may be tested one right after the other."""
    monkeypatch.setattr(socket, "getaddrinfo", offline.getaddrinfo)
    monkeypatch.setattr(trial, "PAUSE", trial.PAUSE * 0)


def check(case: Any, key: ApiKey) -> int:
    """Send the request and hold its answer against the document; returns the status."""
    headers = {"x-api-key": key.key}  # type: ignore[attr-defined]
    return int(case.call_and_validate(headers=headers, checks=CHECKS).status_code)


@document.parametrize()
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_a_documented_one(case: Any, key: ApiKey, rows: Iterator[Existing]) -> None:
    aim(case, next(rows))
    check(case, key)


@pytest.fixture
def one_request(key: ApiKey) -> Any:
    case = CaseFactory(client=key.client)
    return document["/cases/{case_id}"]["GET"].Case(path_parameters={"case_id": str(case.pk)})


def test_what_is_documented_passes(one_request: Any, key: ApiKey) -> None:
    assert check(one_request, key) == 200


@pytest.mark.parametrize("what", ["status", "code", "field", "type"])
def test_what_is_not_documented_is_found(
    what: str, one_request: Any, key: ApiKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cases import errors, resources

    if what == "status":
        monkeypatch.setattr(errors.Forbidden, "status", 410)
    if what == "code":
        monkeypatch.setattr(errors.Forbidden, "code", "GO_AWAY")
    if what in {"status", "code"}:
        one_request.path_parameters["case_id"] = str(CaseFactory().pk)
    if what == "field":
        monkeypatch.setattr(resources.CaseResource, "ABSENT_IF_NONE", ("inputRequest",))
    if what == "type":
        monkeypatch.setattr(resources.Milliseconds, "to_representation", lambda self, value: str(value))
    with pytest.raises(FailureGroup):
        check(one_request, key)
