"""What is asked of the API, and how each answer is read. Both clients carry these out; nothing here talks."""

import base64
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from offload_client.bodies import CaseChange, CaseFilters, EventFilters, File, NewCase, Reopening, SettingsChange
from offload_client.models import (
    EPOCH,
    AttachmentDownload,
    Case,
    CasePage,
    ClientSettings,
    Endpoint,
    MessagePage,
    SandboxMail,
    SentEvent,
    SentEventPage,
    TestOutcome,
    TimelinePage,
    camel,
    each,
    schedule,
)

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
    body = _body({"channel": "EMAIL", **new})
    if files := new.get("attachments"):
        body["attachments"] = _encoded(files)
    return _creation("/cases", body, idempotency_key)


def get_case(case_id: str, *, transcript: bool, sources: bool) -> Request[Case]:
    asked = {"includeTranscript": transcript, "includeSources": sources}
    params = {name: "true" for name, wanted in asked.items() if wanted}
    return Request("GET", _path("cases", case_id), Case.from_json, params=params)


def list_cases(filters: CaseFilters) -> Request[CasePage]:
    return Request("GET", "/cases", CasePage.from_json, params=_query(filters))


def list_messages(case_id: str, cursor: str | None) -> Request[MessagePage]:
    return Request("GET", _path("cases", case_id, "messages"), MessagePage.from_json, params=_query({"cursor": cursor}))


def list_timeline(case_id: str, cursor: str | None) -> Request[TimelinePage]:
    return Request(
        "GET", _path("cases", case_id, "timeline"), TimelinePage.from_json, params=_query({"cursor": cursor})
    )


def list_events(filters: EventFilters) -> Request[SentEventPage]:
    return Request("GET", "/events", SentEventPage.from_json, params=_query(filters))


def case_events(case_id: str) -> Request[tuple[SentEvent, ...]]:
    return Request("GET", _path("cases", case_id, "events"), lambda data: each(SentEvent)(data["events"]))


def redeliver(event_id: str) -> Request[SentEvent]:
    return Request("POST", _path("events", event_id, "redeliver"), SentEvent.from_json)


def list_endpoints() -> Request[tuple[Endpoint, ...]]:
    return Request("GET", "/webhooks/endpoints", lambda data: each(Endpoint)(data["endpoints"]))


def test_webhook(url: str | None, *, replay_parked: bool) -> Request[TestOutcome]:
    body = {"replayParked": replay_parked, **({"url": url} if url else {})}
    return Request("POST", "/webhooks/test", TestOutcome.from_json, body=body)


def answer(case_id: str, input_request_id: str, provided_context: str) -> Request[None]:
    body = {"inputRequestId": input_request_id, "providedContext": provided_context}
    return Request("POST", _path("cases", case_id, "input"), _nothing, body=body)


def cancel(case_id: str) -> Request[Case]:
    return Request("POST", _path("cases", case_id, "cancel"), Case.from_json)


def change_case(case_id: str, changes: CaseChange) -> Request[Case]:
    return Request("PATCH", _path("cases", case_id), Case.from_json, body=_body(changes))


def pause(case_id: str) -> Request[Case]:
    return Request("POST", _path("cases", case_id, "pause"), Case.from_json)


def resume(case_id: str) -> Request[Case]:
    return Request("POST", _path("cases", case_id, "resume"), Case.from_json)


def reopen(case_id: str, anew: Reopening, idempotency_key: str | None) -> Request[str]:
    return _creation(_path("cases", case_id, "reopen"), _body(anew), idempotency_key)


def approve_draft(case_id: str, draft_id: str, hash: str) -> Request[Case]:
    return Request("POST", _path("cases", case_id, "drafts", draft_id, "approve"), Case.from_json, body={"hash": hash})


def edit_draft(case_id: str, draft_id: str, hash: str, *, body: str, subject: str | None) -> Request[Case]:
    edited = {"hash": hash, "body": body, **({} if subject is None else {"subject": subject})}
    return Request("POST", _path("cases", case_id, "drafts", draft_id, "edit"), Case.from_json, body=edited)


def reject_draft(case_id: str, draft_id: str, reason: str) -> Request[Case]:
    return Request(
        "POST", _path("cases", case_id, "drafts", draft_id, "reject"), Case.from_json, body={"reason": reason}
    )


def client_settings() -> Request[ClientSettings]:
    return Request("GET", "/client", ClientSettings.from_json)


def change_client_settings(changes: SettingsChange) -> Request[ClientSettings]:
    return Request("PATCH", "/client", ClientSettings.from_json, body=_body(changes))


def attachment(case_id: str, attachment_id: str) -> Request[AttachmentDownload]:
    return Request("GET", _path("cases", case_id, "attachments", attachment_id), AttachmentDownload.from_json)


def sandbox_mails(case_id: str) -> Request[tuple[SandboxMail, ...]]:
    return Request("GET", _sandbox(case_id, "mails"), lambda data: each(SandboxMail)(data["mails"]))


def sandbox_reply(case_id: str, text: str, html: str, attachments: Collection[File]) -> Request[None]:
    body = {"text": text, "html": html, "attachments": _encoded(attachments)}
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


def _creation(path: str, body: Mapping[str, Any], idempotency_key: str | None) -> Request[str]:
    """What makes a case; its id is read. With a key of its own, unless one is given."""
    key = idempotency_key or str(uuid.uuid4())
    return Request("POST", path, lambda data: str(data["caseId"]), body=body, idempotency_key=key)


def _body(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments in the API's words: datetimes as Unix milliseconds, None as null."""
    return {camel(name): _milliseconds(value) for name, value in arguments.items()}


def _encoded(files: Collection[File]) -> list[dict[str, str]]:
    return [
        {"name": file["name"], "type": file["type"], "content": base64.b64encode(file["content"]).decode()}
        for file in files
    ]


def _query(filters: Mapping[str, Any]) -> dict[str, str]:
    """The filters in the API's words: datetimes as Unix milliseconds, those that are None left out."""
    return {camel(name): str(_milliseconds(value)) for name, value in filters.items() if value is not None}


def _milliseconds(value: Any) -> Any:
    """An aware datetime as Unix milliseconds, anything else as it is."""
    return round((value - EPOCH).total_seconds() * 1000) if isinstance(value, datetime) else value


def _nothing(data: Any) -> None:
    """The answer says no more than that it was taken."""
