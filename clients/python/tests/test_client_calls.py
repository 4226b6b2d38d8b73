"""Both clients put requests alike, repeat what may be repeated, and name what went wrong."""

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
import pytest

import offload_client
from offload_client import AsyncClient, Client, ConnectionFailed, DownloadIncomplete, NotInTime, Retries, errors
from offload_client.retries import retry_after_seconds
from offload_samples import CASE

BASE = "https://offload.example.com/api"
NEW: Any = {
    "goal": {"objective": "Ask."},
    "counterparty": {"address": "ann@supplier.example", "name": "Ann"},
    "sender_persona": {"name": "Bob"},
    "max_attempts": 0,
}
CASE_ID = CASE["caseId"]
Answer = httpx.Response | Exception


def success(data: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json={"ok": True, "data": data})


def failure(status: int, code: str, headers: dict[str, str] | None = None) -> httpx.Response:
    body = {"ok": False, "error": {"code": code, "message": "No.", "details": [{"path": "a", "message": "b"}]}}
    return httpx.Response(status, json=body, headers=headers)


class Service:
    """Answers in turn with what it was given, and keeps the requests. `kind` is the client that asks it."""

    def __init__(self, kind: str, pauses: list[float]) -> None:
        self.kind, self.pauses = kind, pauses
        self.requests: list[httpx.Request] = []
        self.answers: Iterator[Answer] = iter(())

    def ask(self, act: Callable[[Any], Any], *answers: Answer, **options: Any) -> Any:
        """What the client's method returns; the pieces of what it streams, joined."""
        self.answers = iter(answers)
        if self.kind == "sync":
            with Client(BASE, "key", transport=httpx.MockTransport(self._answer), **options) as client:
                return act(client)
        return asyncio.run(self._ask_async(act, options))

    async def _ask_async(self, act: Callable[[Any], Any], options: Any) -> Any:
        async with AsyncClient(BASE, "key", transport=httpx.MockTransport(self._answer), **options) as client:
            answer = act(client)
            return [case async for case in answer] if hasattr(answer, "__aiter__") else await answer

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(params=["sync", "async"])
def service(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Service:
    pauses: list[float] = []

    async def no_sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("offload_client.client.time.sleep", pauses.append)
    monkeypatch.setattr("offload_client.aio.asyncio.sleep", no_sleep)
    return Service(request.param, pauses)


def test_a_case_is_created(service: Service) -> None:
    made = service.ask(lambda client: client.create_case(**NEW), success({"caseId": CASE_ID}, 201))
    assert made == CASE_ID
    [request] = service.requests
    assert (request.method, str(request.url)) == ("POST", f"{BASE}/cases")
    assert request.headers["x-api-key"] == "key"
    assert len(request.headers["idempotency-key"]) == 36
    assert json.loads(request.content) == {
        "channel": "EMAIL",
        "goal": NEW["goal"],
        "counterparty": NEW["counterparty"],
        "senderPersona": NEW["sender_persona"],
        "maxAttempts": 0,
    }


def test_a_repeated_creation_carries_the_same_key(service: Service) -> None:
    lost = httpx.ReadError("gone")
    made = service.ask(
        lambda client: client.create_case(**NEW),
        lost,
        failure(409, "IDEMPOTENCY_KEY_IN_USE"),
        success({"caseId": CASE_ID}, 201),
    )
    assert made == CASE_ID
    assert len({request.headers["idempotency-key"] for request in service.requests}) == 1
    assert len({request.content for request in service.requests}) == 1
    assert [0.25 <= service.pauses[0] <= 0.5, 0.5 <= service.pauses[1] <= 1] == [True, True]


def create(options: dict[str, str], client: Any) -> Any:
    return client.create_case(**NEW, **options)


def test_two_creations_carry_two_keys_and_a_given_one_is_used(service: Service) -> None:
    for options in ({}, {}, {"idempotency_key": "mine"}):
        service.ask(partial(create, options), success({"caseId": CASE_ID}))
    first, second, third = (request.headers["idempotency-key"] for request in service.requests)
    assert first != second
    assert third == "mine"


def test_files_and_times_of_a_new_case_are_put_in_the_api_s_words(service: Service) -> None:
    more = {
        "attachments": [{"name": "a.pdf", "type": "application/pdf", "content": b"%PDF"}],
        "deadline_at": datetime(2026, 3, 1, 12, 0, 0, 123000, tzinfo=UTC),
        "input_timeout_hours": 24,
        "review_mode": "first",
    }
    service.ask(lambda client: client.create_case(**NEW, **more), success({"caseId": CASE_ID}, 201))
    body = json.loads(service.requests[0].content)
    assert body["attachments"] == [{"name": "a.pdf", "type": "application/pdf", "content": "JVBERg=="}]
    assert (body["deadlineAt"], body["inputTimeoutHours"], body["reviewMode"]) == (1772366400123, 24, "first")


Call = Callable[[Any], Any]
WORDS = {"body": "Please.", "subject": "Invoice"}
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
CALLS: list[tuple[Call, str, str, Any]] = [  # the method, and what goes to the service
    (
        lambda client: client.change_case(CASE_ID, goal={"knowledge": "12 chairs."}, deadline_at=AT),
        "PATCH",
        "",
        {"goal": {"knowledge": "12 chairs."}, "deadlineAt": 1772366400000},
    ),
    (lambda client: client.pause(CASE_ID), "POST", "/pause", None),
    (lambda client: client.resume(CASE_ID), "POST", "/resume", None),
    (lambda client: client.cancel(CASE_ID), "POST", "/cancel", None),
    (lambda client: client.approve_draft(CASE_ID, "d", "h"), "POST", "/drafts/d/approve", {"hash": "h"}),
    (
        lambda client: client.edit_draft(CASE_ID, "d", "h", body="Please."),
        "POST",
        "/drafts/d/edit",
        {"hash": "h", "body": "Please."},
    ),
    (lambda client: client.edit_draft(CASE_ID, "d", "h", **WORDS), "POST", "/drafts/d/edit", {"hash": "h", **WORDS}),
    (lambda client: client.reject_draft(CASE_ID, "d", "Ruder."), "POST", "/drafts/d/reject", {"reason": "Ruder."}),
]


@pytest.mark.parametrize(("act", "method", "path", "body"), CALLS)
def test_a_change_is_sent_once_and_answers_with_the_case(
    service: Service, act: Call, method: str, path: str, body: Any
) -> None:
    assert service.ask(act, success(CASE)).case_id == CASE_ID
    [request] = service.requests
    assert (request.method, str(request.url)) == (method, f"{BASE}/cases/{CASE_ID}{path}")
    assert (json.loads(request.content) if request.content else None) == body
    assert "idempotency-key" not in request.headers
    with pytest.raises(ConnectionFailed):
        service.ask(act, httpx.ReadError("gone"), success(CASE))
    assert service.pauses == []


def test_a_reopening_is_repeated_with_its_key(service: Service) -> None:
    goal = {"objective": "Get the corrected invoice."}
    made = service.ask(
        lambda client: client.reopen(CASE_ID, goal=goal, idempotency_key="mine"),
        httpx.ReadError("gone"),
        success({"caseId": "new"}, 201),
    )
    assert made == "new"
    assert [request.url.path for request in service.requests] == [f"/api/cases/{CASE_ID}/reopen"] * 2
    assert [request.headers["idempotency-key"] for request in service.requests] == ["mine", "mine"]
    assert json.loads(service.requests[1].content) == {"goal": goal}


def test_settings_are_switched_off_by_none(service: Service) -> None:
    settings: dict[str, Any] = {
        "clientId": "c",
        "name": "Acme",
        "defaultWebhookUrl": None,
        "settleSeconds": None,
        "reminderHours": None,
        "eventTypes": [],
    }
    assert service.ask(lambda client: client.client_settings(), success(settings)).name == "Acme"
    changed = service.ask(
        lambda client: client.change_client_settings(reminder_hours=None, event_types=[]), success(settings)
    )
    assert (changed.reminder_hours, changed.event_types) == (None, [])
    assert [request.method for request in service.requests] == ["GET", "PATCH"]
    assert json.loads(service.requests[1].content) == {"reminderHours": None, "eventTypes": []}


def test_what_has_no_key_is_sent_once(service: Service) -> None:
    with pytest.raises(ConnectionFailed):
        service.ask(lambda client: client.answer(CASE_ID, "q", "Yes."), httpx.ConnectError("refused"), success({}))
    with pytest.raises(errors.RateLimited):
        service.ask(lambda client: client.cancel(CASE_ID), failure(429, "RATE_LIMITED"), success(CASE))
    assert len(service.requests) == 2
    assert service.pauses == []


@pytest.mark.parametrize(("header", "waits"), [("7", True), ("31", False)])
def test_retry_after_is_honoured_or_left_to_the_caller(service: Service, header: str, waits: bool) -> None:
    answers = (failure(429, "RATE_LIMITED", {"retry-after": header}), success(CASE))
    if waits:
        assert service.ask(lambda client: client.get_case(CASE_ID), *answers).case_id == CASE_ID
        assert service.pauses == [7.0]
    else:
        with pytest.raises(errors.RateLimited) as raised:
            service.ask(lambda client: client.get_case(CASE_ID), *answers)
        assert raised.value.retry_after_seconds == 31
        assert service.pauses == []


def test_attempts_come_to_an_end(service: Service) -> None:
    with pytest.raises(errors.NotReady):
        service.ask(
            lambda client: client.get_case(CASE_ID),
            *[failure(503, "NOT_READY")] * 3,
            retries=Retries(attempts=3, first_seconds=20),
        )
    assert len(service.requests) == 3
    assert 10 <= service.pauses[0] <= 20
    assert 15 <= service.pauses[1] <= 30  # and no longer


@pytest.mark.parametrize("status", [400, 404, 500])
def test_what_will_not_pass_is_not_repeated(service: Service, status: int) -> None:
    with pytest.raises(errors.ApiError):
        service.ask(lambda client: client.get_case(CASE_ID), failure(status, "INVALID_REQUEST"))
    assert service.pauses == []


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "CASE_NOT_FOUND", errors.CaseNotFound),
        (409, "INPUT_REQUEST_MISMATCH", errors.InputRequestMismatch),
        (409, "SOMETHING_NEW", errors.Conflict),
        (418, "SOMETHING_NEW", errors.ApiError),
    ],
)
def test_errors_are_named_by_their_code(service: Service, status: int, code: str, kind: type[errors.ApiError]) -> None:
    with pytest.raises(errors.ApiError) as raised:
        service.ask(lambda client: client.get_case(CASE_ID), failure(status, code))
    assert type(raised.value) is kind
    assert (raised.value.status, raised.value.code, raised.value.message) == (status, code, "No.")
    assert raised.value.details == [{"path": "a", "message": "b"}]


def test_a_proxys_page_is_no_answer(service: Service) -> None:
    page = httpx.Response(200, text="<h1>Welcome</h1>")
    with pytest.raises(errors.AnswerMalformed):
        service.ask(lambda client: client.get_case(CASE_ID), page)
    with pytest.raises(errors.AnswerMalformed, match="caseId"):
        service.ask(lambda client: client.get_case(CASE_ID), success({}))
    down = httpx.Response(502, text="<h1>Bad Gateway</h1>")
    assert service.ask(lambda client: client.get_case(CASE_ID), down, success(CASE)).case_id == CASE_ID


def test_all_pages_are_walked(service: Service) -> None:
    pages = [success({"cases": [CASE], "nextCursor": cursor}) for cursor in ("more", None)]
    after = datetime(2026, 3, 1, 12, 0, 0, 123000, tzinfo=UTC)

    def act(client: Any) -> Any:
        found = client.iter_cases(status="RUNNING", created_after=after)
        return found if hasattr(found, "__aiter__") else list(found)

    assert [case.case_id for case in service.ask(act, *pages)] == [CASE_ID, CASE_ID]
    assert [dict(request.url.params) for request in service.requests] == [
        {"status": "RUNNING", "createdAfter": "1772366400123"},
        {"status": "RUNNING", "createdAfter": "1772366400123", "cursor": "more"},
    ]


def test_what_is_asked_for_is_asked_for_in_the_api_s_words(service: Service) -> None:
    service.ask(lambda client: client.get_case(CASE_ID, transcript=True, sources=True), success(CASE))
    assert dict(service.requests[0].url.params) == {"includeTranscript": "true", "includeSources": "true"}


@pytest.mark.parametrize("case_id", ["", ".", ".."])
def test_an_id_is_never_a_way_to_elsewhere(service: Service, case_id: str) -> None:
    with pytest.raises(ValueError, match="not an id"):
        service.ask(lambda client: client.get_case(case_id))
    service.ask(lambda client: client.get_case("a/../../b?c"), success(CASE))
    assert str(service.requests[0].url) == f"{BASE}/cases/a%2F..%2F..%2Fb%3Fc"


def file(client: Any) -> Any:
    """What `download` gives, by either client."""

    async def read() -> bytes:
        async with client.download(CASE_ID, "a") as pieces:
            return b"".join([piece async for piece in pieces])

    if isinstance(client, AsyncClient):
        return read()
    with client.download(CASE_ID, "a") as pieces:
        return b"".join(pieces)


LINK = {
    "attachmentId": "a",
    "name": "a.pdf",
    "size": 4,
    "type": "application/pdf",
    "messageId": "<m>",
    "inboxId": "i",
    "receivedAt": 1,
    "downloadUrl": "https://files.example.com/a?signature=s",
    "expiresAt": "2026-03-01T12:00:00Z",
}


def test_a_file_is_downloaded_without_the_key(service: Service) -> None:
    assert service.ask(file, success(LINK), httpx.Response(200, content=b"%PDF")) == b"%PDF"
    assert str(service.requests[1].url) == LINK["downloadUrl"]
    assert "x-api-key" not in service.requests[1].headers


def test_half_a_file_and_no_file_are_errors(service: Service) -> None:
    with pytest.raises(DownloadIncomplete, match="3 of 4"):
        service.ask(file, success(LINK), httpx.Response(200, content=b"%PD"))
    with pytest.raises(errors.NotFound):
        service.ask(file, success(LINK), httpx.Response(404, text="expired"))


def test_a_case_is_waited_for(service: Service) -> None:
    running, done = {**CASE, "status": "RUNNING"}, {**CASE, "status": "COMPLETED"}
    case = service.ask(lambda client: client.wait_for(CASE_ID), success(running), success(running), success(done))
    assert case.status == "COMPLETED"
    assert service.pauses == [0.5, 0.75]
    case = service.ask(
        lambda client: client.wait_for(CASE_ID, lambda case: case.attempt_count == 1, timeout=0), success(running)
    )
    assert case.status == "RUNNING"
    with pytest.raises(NotInTime, match="still RUNNING after 0 s"):
        service.ask(lambda client: client.wait_for(CASE_ID, {"FAILED"}, timeout=0), success(running))


def test_the_sandbox_is_played(service: Service) -> None:
    def act(client: Any) -> Any:
        return client.sandbox.reply(CASE_ID, "Here.", attachments=[{"name": "a", "type": "b/c", "content": b"%PDF"}])

    service.ask(act, success({}, 202))
    [request] = service.requests
    assert request.url.path == f"/api/sandbox/cases/{CASE_ID}/reply"
    assert json.loads(request.content) == {
        "text": "Here.",
        "html": "",
        "attachments": [{"name": "a", "type": "b/c", "content": "JVBERg=="}],
    }


def test_both_clients_have_the_same_methods() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    assert public(offload_client.client.Client) == public(offload_client.aio.AsyncClient)
    assert public(offload_client.client.Sandbox) == public(offload_client.aio.AsyncSandbox)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("120", 120.0),
        ("soon", None),
        ("-5", None),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
    ],
)
def test_a_retry_after_header_is_read(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, datetime(2026, 3, 1, 12, tzinfo=UTC)) == seconds
