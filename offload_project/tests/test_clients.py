"""Whoever speaks to the API in an application's place, against a service that runs: the Python client, and the tools
of the MCP server. Each takes the API's own example to COMPLETED."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from drf_spectacular.generators import SchemaGenerator
from mcp import Client as McpClient
from mcp import StdioServerParameters
from mcp.server import Server
from pytest_httpserver import HTTPServer

import offload_client
from cases.views import NEW_CASE
from conftest import require
from offload_client import errors
from offload_project import mcp_server, mcp_tools
from offload_project.tests.processes import ROOT, Service, copy_of, installed
from scripts import demo
from scripts.demo import Receiver

pytestmark = pytest.mark.long

QUESTION = "Do you need it on paper?"
ANSWER = "No, a PDF will do."
REPLY = "Invoice number: 2026-0042\nTotal: 1250.50"
RESULT = {"invoiceNumber": "2026-0042", "total": 1250.5}
ARGUMENTS: Any = {  # the example in the Python client's spelling
    "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name): value
    for name, value in NEW_CASE.items()
}


@pytest.fixture(scope="module")
def running(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any
) -> Iterator[Service]:
    """A service with web server, worker and clock, for all tests here."""
    var_dir = tmp_path_factory.mktemp("clients")
    with installed(copy_of(sqlite_template, var_dir), var_dir, django_db_blocker) as service:
        service.start_web()
        service.start_all()
        yield service


@pytest.fixture(scope="module")
def base(running: Service) -> str:
    return running.environment["OFFLOAD_BASE_URL"]


@pytest.fixture(scope="module")
def printed(running: Service) -> dict[str, str]:
    """What `create_client` prints: clientId, apiKey, webhookSecret."""
    printed: dict[str, str] = json.loads(running.manage("create_client", "Acme", "--test", "--json"))
    return printed


@pytest.fixture
def client(base: str, printed: dict[str, str]) -> Iterator[offload_client.Client]:
    with offload_client.Client(base, printed["apiKey"]) as client:
        yield client


# --- Python ---


def test_the_python_client_takes_the_example_to_its_end(client: offload_client.Client, printed: dict[str, str]) -> None:
    with closing(Receiver(printed["webhookSecret"])) as receiver:
        case_id = client.create_case(**ARGUMENTS, client_webhook_url=receiver.url)
        assert client.wait_for(case_id, {"RUNNING"}, timeout=60).attempt_count == 1
        [mail] = client.sandbox.mails(case_id)
        assert mail.to == "Ann Supplier <ann@supplier.example>"
        assert mail.raw_mail.startswith("From: ")

        form: offload_client.File = {"name": "form.pdf", "type": "application/pdf", "content": demo.signed_form()}
        client.sandbox.reply(case_id, QUESTION, attachments=[form])
        asking = client.wait_for(case_id, timeout=60)
        assert asking.open_question
        client.answer(case_id, asking.open_question.id, ANSWER)
        with pytest.raises(errors.Conflict):
            client.answer(case_id, asking.open_question.id, ANSWER)
        client.wait_for(case_id, lambda case: case.attempt_count == 2, timeout=60)

        client.sandbox.reply(case_id, REPLY)
        case = client.wait_for(case_id, {"COMPLETED"}, timeout=60)
        assert (case.result_status, case.result) == ("goal_achieved", RESULT)
        [attachment] = case.attachments
        with client.download(case_id, attachment.attachment_id) as pieces:
            assert b"".join(pieces) == form["content"]

        shown = client.get_case(case_id, transcript=True, sources=True)
        assert shown.conversation_thread
        assert {source.path for source in shown.sources or ()} == {"/invoiceNumber", "/total"}
        directions = [message.direction for message in client.iter_messages(case_id)]
        assert directions == ["OUTBOUND", "INBOUND", "OUTBOUND", "INBOUND"]
        assert [event.type for event in client.iter_timeline(case_id)][-1] == "case.completed"
        assert client.list_cases(client_reference_id="order-4711").cases == (case,)
        with pytest.raises(errors.CaseAlreadyFinished):
            client.cancel(case_id)

        sent = client.case_events(case_id)
        assert [event.event_type for event in sent] == ["case.input_needed", "case.completed"]
        again = client.redeliver(sent[1].event_id)
        assert again.event_id == sent[1].event_id
        assert [event.event_id for event in client.iter_events(case_id=case_id)] == [sent[1].event_id, sent[0].event_id]


def test_mail_is_reviewed_and_a_case_changed_ended_and_reopened(client: offload_client.Client) -> None:
    order: offload_client.File = {"name": "order.pdf", "type": "application/pdf", "content": demo.signed_form()}
    deadline_at = (datetime.now(UTC) + timedelta(days=30)).replace(microsecond=0)
    reviewed: Any = {"review_mode": "first", "attachments": [order], "deadline_at": deadline_at}
    case_id = client.create_case(**ARGUMENTS, **reviewed)
    waiting = client.wait_for(case_id, lambda case: case.draft is not None, timeout=60)
    assert waiting.draft
    assert (waiting.status, waiting.deadline_at, waiting.review_mode) == ("CREATED", deadline_at, "first")
    assert [file.name for file in waiting.draft.attachments] == ["order.pdf"]
    assert client.sandbox.mails(case_id) == ()

    edited = client.edit_draft(case_id, waiting.draft.id, waiting.draft.hash, body="Please send it. Bob Buyer").draft
    assert edited
    with pytest.raises(errors.DraftChanged):
        client.approve_draft(case_id, edited.id, waiting.draft.hash)
    assert client.approve_draft(case_id, edited.id, edited.hash).draft is None
    with pytest.raises(errors.DraftNotPending):
        client.reject_draft(case_id, edited.id, "Too late.")
    client.wait_for(case_id, {"RUNNING"}, timeout=60)
    [mail] = client.sandbox.mails(case_id)
    assert mail.text.startswith("Please send it. Bob Buyer")
    assert [(file.name, file.size) for file in mail.attachments] == [("order.pdf", len(order["content"]))]

    with pytest.raises(errors.AlreadySent):
        client.change_case(case_id, counterparty={"address": "eve@supplier.example"})
    changed = client.change_case(case_id, goal={"knowledge": "It was for 12 chairs."}, constraints=[])
    assert (changed.goal["knowledge"], changed.constraints) == ("It was for 12 chairs.", [])
    assert client.pause(case_id).paused
    assert not client.resume(case_id).paused
    with pytest.raises(errors.CaseNotFinished):
        client.reopen(case_id)
    client.cancel(case_id)
    successor = client.reopen(case_id, goal={"objective": "Get the corrected invoice."})
    assert client.get_case(successor).reopened_from == case_id
    assert client.get_case(case_id).reopened_as == successor
    with pytest.raises(errors.CaseAlreadyReopened):
        client.reopen(case_id)
    assert client.cancel(successor).result_status == "cancelled"


def test_webhooks_are_tried_and_settings_kept(client: offload_client.Client, printed: dict[str, str]) -> None:
    with closing(Receiver(printed["webhookSecret"])) as receiver:
        tried = client.test_webhook(receiver.url)
        assert (tried.delivered, tried.status, tried.url) == (True, 204, receiver.url)
        kept = client.change_client_settings(default_webhook_url=receiver.url, event_types=["case.created"])
        assert client.client_settings() == kept
        assert (kept.client_id, kept.default_webhook_url) == (printed["clientId"], receiver.url)
        case_id = client.create_case(**ARGUMENTS)
        assert client.cancel(case_id).is_finished
        assert [event.event_type for event in client.case_events(case_id)] == ["case.created", "case.failed"]
        origins = {endpoint.origin for endpoint in client.list_endpoints()}
        assert receiver.url.removesuffix("/offload") in origins
        anew = client.change_client_settings(default_webhook_url=None, event_types=[])
        assert (anew.default_webhook_url, anew.event_types) == (None, [])


def test_a_creation_that_is_repeated_makes_one_case(client: offload_client.Client) -> None:
    first = client.create_case(idempotency_key="once", **ARGUMENTS)
    assert client.create_case(idempotency_key="once", **ARGUMENTS) == first
    with pytest.raises(errors.IdempotencyKeyReused):
        client.create_case(idempotency_key="once", **{**ARGUMENTS, "max_attempts": 1})
    assert client.cancel(first).result_status == "cancelled"


def test_what_is_wrong_with_a_case_is_told(client: offload_client.Client) -> None:
    with pytest.raises(errors.InvalidRequest) as raised:
        client.create_case(**{**ARGUMENTS, "counterparty": {"address": "nobody", "name": ""}})
    assert {fault["path"] for fault in raised.value.details} == {"counterparty.address", "counterparty.name"}


def test_the_async_client_speaks_to_the_same_service(base: str, printed: dict[str, str]) -> None:
    async def act() -> tuple[str, list[str]]:
        async with offload_client.AsyncClient(base, printed["apiKey"]) as client:
            case_id = await client.create_case(**ARGUMENTS, idempotency_key="async")
            await client.wait_for(case_id, {"RUNNING"}, timeout=60)
            await client.cancel(case_id)
            case = await client.get_case(case_id)
            listed = [each.case_id async for each in client.iter_cases(status="FAILED", limit=1)]
            return case.status, [each for each in listed if each == case_id]

    status, found = asyncio.run(act())
    assert status == "FAILED"
    assert len(found) == 1


# --- MCP ---


@pytest.fixture
def agent(running: Service, base: str, printed: dict[str, str]) -> StdioServerParameters:
    """How an agent's host starts the MCP server."""
    given = {**running.environment, "OFFLOAD_MCP_URL": base, "OFFLOAD_MCP_API_KEY": printed["apiKey"]}
    return StdioServerParameters(command=sys.executable, args=[str(ROOT / "manage.py"), "mcp"], env=given, cwd=ROOT)


async def use(client: McpClient, tool: str, **arguments: Any) -> dict[str, Any]:
    """A tool's structured output, which its text is, too."""
    answer = await client.call_tool(tool, arguments)
    [content] = answer.content
    assert not answer.is_error, content
    assert json.loads(content.text) == answer.structured_content  # type: ignore[union-attr]
    return dict(answer.structured_content)


async def refusal(client: McpClient, tool: str, **arguments: Any) -> str:
    answer = await client.call_tool(tool, arguments)
    assert answer.is_error
    return str(answer.content[0].text)  # type: ignore[union-attr]


async def until(client: McpClient, case_id: str, status: str, attempts: int) -> dict[str, Any]:
    """The case, once the agent sees it like this."""
    for _ in range(120):
        case = await use(client, "get_case", caseId=case_id)
        if (case["status"], case["attemptCount"]) == (status, attempts):
            return case
        await asyncio.sleep(0.5)
    raise AssertionError(f"the case is not {status} but {case}")


def test_an_agent_takes_the_example_to_its_end(agent: StdioServerParameters, client: offload_client.Client) -> None:
    async def act() -> None:
        async with McpClient(agent) as session:
            case_id = (await use(session, "create_case", **NEW_CASE))["caseId"]
            await until(session, case_id, "RUNNING", 1)
            client.sandbox.reply(case_id, QUESTION)
            question = (await until(session, case_id, "INPUT_NEEDED", 1))["inputRequest"]
            answer = {"inputRequestId": question["id"], "providedContext": ANSWER}
            assert (await use(session, "answer_question", caseId=case_id, **answer))["accepted"] is True
            await until(session, case_id, "RUNNING", 2)
            client.sandbox.reply(case_id, REPLY)
            case = await until(session, case_id, "COMPLETED", 2)
            assert case["result"] == RESULT
            listed = await use(session, "list_cases", status="COMPLETED", limit=1)
            assert listed["cases"] == [case]
            late = await refusal(session, "answer_question", caseId=case_id, **answer)
            assert late == "CASE_NOT_WAITING_FOR_INPUT: The case is not waiting for input."

    asyncio.run(act())


@pytest.fixture
def tools_here(base: str, printed: dict[str, str]) -> Server[Any]:
    """The same server within this process, which is quicker to start."""
    document = SchemaGenerator().get_schema(request=None, public=True)
    return mcp_server.server(mcp_tools.tools(document), mcp_tools.Api(base, printed["apiKey"]))


def test_an_agent_is_told_what_is_wrong(tools_here: Server[Any]) -> None:
    async def act() -> None:
        async with McpClient(tools_here) as session:
            case_id = (await use(session, "create_case", **NEW_CASE))["caseId"]
            assert (await use(session, "cancel_case", caseId=case_id))["resultStatus"] == "cancelled"
            again = await refusal(session, "cancel_case", caseId=case_id)
            assert again == "CASE_ALREADY_FINISHED: The case has already finished."
            unknown = await refusal(session, "get_case", caseId="../sandbox?x")
            assert unknown == "NOT_FOUND: There is nothing at this address."
            invalid = {**NEW_CASE, "counterparty": {"address": "nobody", "name": "Ann"}}
            told = await refusal(session, "create_case", **invalid)
            assert told.startswith("INVALID_REQUEST: counterparty.address")
            assert "'objectve' was unexpected" in await refusal(session, "create_case", **NEW_CASE, objectve="Ask.")
            assert '"caseId" is a required property' in await refusal(session, "get_case")
            assert await refusal(session, "approve_draft") == "There is no tool 'approve_draft'."

    asyncio.run(act())


def test_tools_are_described_by_the_api_s_own_document(tools_here: Server[Any]) -> None:
    async def act() -> list[Any]:
        async with McpClient(tools_here) as session:
            return list((await session.list_tools()).tools)

    tools = {tool.name: tool for tool in asyncio.run(act())}
    assert set(tools) == {"create_case", "get_case", "list_cases", "answer_question", "cancel_case"}
    assert {name for name, tool in tools.items() if tool.annotations.read_only_hint} == {"get_case", "list_cases"}
    assert {name for name, tool in tools.items() if tool.annotations.destructive_hint} == {"cancel_case"}
    assert tools["create_case"].input_schema["required"] == ["channel", "counterparty", "goal", "senderPersona"]
    assert jsonschema_rs.is_valid(tools["create_case"].input_schema, NEW_CASE)
    for tool in tools.values():
        assert "$ref" not in json.dumps([tool.input_schema, tool.output_schema])
        assert tool.input_schema["additionalProperties"] is False


def test_an_agent_can_not_be_its_own_human(
    running: Service, base: str, client: offload_client.Client, printed: dict[str, str]
) -> None:
    command = ["create_client", "Agent", "--test", "--scope", "cases", "--json"]
    narrow = json.loads(running.manage(*command))["apiKey"]
    document = SchemaGenerator().get_schema(request=None, public=True)
    tools_of_agent = mcp_server.server(mcp_tools.tools(document), mcp_tools.Api(base, narrow))

    async def act() -> None:
        async with McpClient(tools_of_agent) as session:
            case_id = (await use(session, "create_case", **NEW_CASE))["caseId"]
            assert (await use(session, "get_case", caseId=case_id))["caseId"] == case_id
            assert [case["caseId"] for case in (await use(session, "list_cases"))["cases"]] == [case_id]
            answer = {"inputRequestId": case_id, "providedContext": "Yes."}
            refused = await refusal(session, "answer_question", caseId=case_id, **answer)
            assert refused == "FORBIDDEN: The API key does not have the scope `answers`."
            assert (await use(session, "cancel_case", caseId=case_id))["resultStatus"] == "cancelled"

    asyncio.run(act())
    with offload_client.Client(base, narrow) as same_key, pytest.raises(errors.Forbidden, match="scope `approvals`"):
        same_key.approve_draft("c", "d", "h")


@pytest.mark.parametrize(("tool", "calls"), [("create_case", 2), ("cancel_case", 1)])
def test_only_what_can_be_repeated_is_repeated(httpserver: HTTPServer, tool: str, calls: int) -> None:
    httpserver.expect_request(re.compile("/cases.*")).respond_with_json(
        {"ok": False, "error": {"code": "NOT_READY", "message": "Soon."}}, status=503
    )
    document = SchemaGenerator().get_schema(request=None, public=True)
    api = mcp_tools.Api(httpserver.url_for("/"), "a key", repeats=1)
    elsewhere = mcp_server.server(mcp_tools.tools(document), api)
    arguments = NEW_CASE if tool == "create_case" else {"caseId": "c"}

    async def act() -> str:
        async with McpClient(elsewhere) as session:
            return await refusal(session, tool, **arguments)

    assert asyncio.run(act()) == "NOT_READY: Soon."
    keys = [request.headers.get("idempotency-key") for request, _ in httpserver.log]
    assert len(keys) == calls
    assert len(set(keys)) == 1


def test_without_a_key_the_server_says_what_to_do(running: Service) -> None:
    group = running.start("mcp")
    assert group.leader.wait(60) == 1
    assert "OFFLOAD_MCP_API_KEY is not set." in running.log("mcp")


# --- TypeScript ---

TYPESCRIPT = ROOT / "clients" / "typescript"


def node(*command: str) -> str:
    """What a command of the TypeScript directory prints; fails the test with its errors."""
    done = subprocess.run(command, cwd=TYPESCRIPT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_types_are_those_of_the_document(tmp_path: Path) -> None:
    require("typescript")
    written = tmp_path / "offload.d.ts"
    node("npm", "run", "--silent", "types", "--", str(written))
    committed = (TYPESCRIPT / "offload.d.ts").read_text()
    assert written.read_text() == committed, "offload.d.ts is stale; run `make clients` and commit it"


def test_the_typescript_example_compiles_and_runs(base: str, printed: dict[str, str], tmp_path: Path) -> None:
    require("typescript")
    node("node_modules/.bin/tsc", "--outDir", str(tmp_path / "build"))
    (tmp_path / "package.json").write_text('{"type": "module"}')
    said = json.loads(node("node", str(tmp_path / "build" / "example.js"), base, printed["apiKey"]))
    case_id = said["caseId"]
    assert said == {
        "caseId": case_id,
        "again": case_id,
        "listed": [case_id],
        "found": "Ann Supplier",
        "ended": "cancelled",
        "refused": "INVALID_REQUEST",
        "details": ["channel", "goal.objective"],
        "wrongRoute": "function",
    }
