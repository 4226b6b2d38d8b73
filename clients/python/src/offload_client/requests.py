"""What is asked of the API, and how each answer is read. Both clients carry these out; nothing here talks."""

import base64
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from offload_client.bodies import NewCase, SandboxAttachment
from offload_client.models import EPOCH, AttachmentDownload, Case, CasePage, SandboxMail, camel, each, schedule

T = TypeVar("T")


@dataclass(frozen=True)
class Request(Generic[T]):
    """One call: what is sent, and what makes the answer's data into what the caller gets."""

    method: str
    path: str
    read: Callable[[Any], T]
    params: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    idempotency_key: str | None = None

    @property
    def may_be_repeated(self) -> bool:
        """Whether sending it twice does no more than sending it once."""
        return self.method == "GET" or self.idempotency_key is not None

    @property
    def headers(self) -> dict[str, str]:
        return {"idempotency-key": self.idempotency_key} if self.idempotency_key else {}


def create_case(new: NewCase, idempotency_key: str | None) -> Request[str]:
    body = {camel(name): value for name, value in {"channel": "EMAIL", **new}.items()}
    key = idempotency_key or str(uuid.uuid4())
    return Request("POST", "/cases", lambda data: str(data["caseId"]), body=body, idempotency_key=key)


def get_case(case_id: str, *, transcript: bool, sources: bool) -> Request[Case]:
    asked = {"includeTranscript": transcript, "includeSources": sources}
    params = {name: "true" for name, wanted in asked.items() if wanted}
    return Request("GET", _path("cases", case_id), Case.from_json, params=params)


def list_cases(
    *,
    status: str | None,
    client_reference_id: str | None,
    created_after: datetime | None,
    created_before: datetime | None,
    limit: int | None,
    cursor: str | None,
) -> Request[CasePage]:
    given = {
        "status": status,
        "clientReferenceId": client_reference_id,
        "createdAfter": created_after and _milliseconds(created_after),
        "createdBefore": created_before and _milliseconds(created_before),
        "limit": limit,
        "cursor": cursor,
    }
    params = {name: str(value) for name, value in given.items() if value is not None}
    return Request("GET", "/cases", CasePage.from_json, params=params)


def answer(case_id: str, input_request_id: str, provided_context: str) -> Request[None]:
    body = {"inputRequestId": input_request_id, "providedContext": provided_context}
    return Request("POST", _path("cases", case_id, "input"), _nothing, body=body)


def cancel(case_id: str) -> Request[Case]:
    return Request("POST", _path("cases", case_id, "cancel"), Case.from_json)


def attachment(case_id: str, attachment_id: str) -> Request[AttachmentDownload]:
    return Request("GET", _path("cases", case_id, "attachments", attachment_id), AttachmentDownload.from_json)


def sandbox_mails(case_id: str) -> Request[tuple[SandboxMail, ...]]:
    return Request("GET", _sandbox(case_id, "mails"), lambda data: each(SandboxMail)(data["mails"]))


def sandbox_reply(case_id: str, text: str, html: str, attachments: Iterable[SandboxAttachment]) -> Request[None]:
    files = [{**file, "content": base64.b64encode(file["content"]).decode()} for file in attachments]
    body = {"text": text, "html": html, "attachments": files}
    return Request("POST", _sandbox(case_id, "reply"), _nothing, body=body)


def sandbox_bounce(case_id: str, *, permanent: bool) -> Request[None]:
    return Request("POST", _sandbox(case_id, "bounce"), _nothing, body={"permanent": permanent})


def sandbox_complaint(case_id: str) -> Request[None]:
    return Request("POST", _sandbox(case_id, "complaint"), _nothing)


def sandbox_out_of_office(case_id: str, until: date | None) -> Request[None]:
    body = {"until": until.isoformat()} if until else {}
    return Request("POST", _sandbox(case_id, "out-of-office"), _nothing, body=body)


def sandbox_advance(case_id: str, hours: float) -> Request[datetime | None]:
    return Request(
        "POST", _sandbox(case_id, "advance"), lambda data: schedule(data["nextActionAt"]), body={"hours": hours}
    )


def _path(*parts: str) -> str:
    """An address of these parts, whatever is in them; no part is empty or climbs up."""
    if any(part in {"", ".", ".."} for part in parts):
        raise ValueError(f"not an id: {parts[-1]!r}")
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def _sandbox(case_id: str, what: str) -> str:
    return _path("sandbox", "cases", case_id, what)


def _milliseconds(at: datetime) -> int:
    """An aware datetime as Unix milliseconds."""
    return round((at - EPOCH).total_seconds() * 1000)


def _nothing(data: Any) -> None:
    """The answer says no more than that it was taken."""
