"""Whatever is sent to the API, it answers as its OpenAPI document says: no 5xx, no status, code or field beside it."""

import gc
from collections.abc import Iterator
from itertools import cycle
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
from cases.models import ApiKey, Attachment, Status
from offload_project.wsgi import application

EXAMPLES = 40  # of each operation, besides those that probe the limits of its fields
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
document = schemathesis.openapi.from_wsgi(
    "/schema", application, config=SchemathesisConfig.from_dict({"generation": GENERATION})
)


@pytest.fixture
def attachments(key: ApiKey) -> Iterator[Attachment | None]:
    """An attachment with a thread on a case, for each request anew; None: let the request name what it will."""

    def rows() -> Iterator[Attachment | None]:
        for status in cycle([*Status, None, "another client's"]):
            if status is None:
                yield None
                continue
            owner = {} if status == "another client's" else {"client": key.client}
            case = CaseFactory(status=status if owner else Status.RUNNING, constraints=["Be brief."], **owner)
            if status == Status.INPUT_NEEDED:
                InputRequestFactory(case=case)
            if status != Status.CREATED:
                MessageFactory(case=case)
            yield AttachmentFactory(message__case=case)

    return rows()


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


def aim(case: Any, attachment: Attachment | None) -> None:
    """Let a generated request name rows that exist, so that it gets further than to a 404."""
    if attachment is None:
        return
    existing = {"case_id": attachment.message.case_id, "attachment_id": attachment.pk}
    for name in case.path_parameters.keys() & existing.keys():
        case.path_parameters[name] = str(existing[name])
    question = attachment.message.case.input_requests.first()
    if question and isinstance(case.body, dict) and isinstance(case.body.get("inputRequestId"), str):
        case.body["inputRequestId"] = str(question.pk)


def check(case: Any, key: ApiKey) -> int:
    """Send the request and hold its answer against the document; returns the status."""
    headers = {"x-api-key": key.key}  # type: ignore[attr-defined]
    return int(case.call_and_validate(headers=headers, checks=CHECKS).status_code)


@document.parametrize()
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_a_documented_one(case: Any, key: ApiKey, attachments: Iterator[Attachment | None]) -> None:
    aim(case, next(attachments))
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
