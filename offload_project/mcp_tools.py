"""What an agent may do by MCP: five of the API's operations, as the OpenAPI document describes them.

A tool is no more than its operation: its arguments are the operation's parameters and the fields of its body, its
output is the answer's data. Whatever the API refuses, a tool refuses; what a key may do is decided there, not here.
"""

import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

TIMEOUT_SECONDS = (5.0, 30.0)  # to connect, to answer
WORTH_REPEATING = (429, 502, 503, 504)
ARGUMENTS = {"case_id": "caseId"}  # a parameter in a path to what the rest of the API calls it


@dataclass(frozen=True)
class Operation:
    """A tool before the document has said what its operation takes and gives."""

    name: str
    operation_id: str
    description: str
    is_read_only: bool = False
    is_destructive: bool = False


OPERATIONS = (
    Operation(
        "create_case",
        "createCase",
        "Ask someone outside for something by e-mail: goal, counterparty, sender, and with resultSchema the form of "
        "the result. Answers with the caseId at once; the first mail is written and sent afterwards. Look again with "
        "get_case. Calling it twice makes two cases.",
    ),
    Operation(
        "get_case",
        "getCase",
        "A case as it stands: status CREATED, RUNNING, INPUT_NEEDED (inputRequest has the question), COMPLETED "
        "(result) or FAILED (resultStatus says why). includeTranscript 'true' adds the whole thread.",
        is_read_only=True,
    ),
    Operation(
        "list_cases",
        "listCases",
        "Your cases, the newest first, in pages; all filters are optional.",
        is_read_only=True,
    ),
    Operation(
        "answer_question",
        "provideInput",
        "Answer the question that a case in INPUT_NEEDED waits on. The question is meant for a human who decides: pass "
        "on what that human has said. The key needs the scope `answers`; without it this is refused.",
    ),
    Operation(
        "cancel_case",
        "cancelCase",
        "End a case for good: nothing is sent any more, whatever is still open.",
        is_destructive=True,
    ),
)


@dataclass(frozen=True)
class Tool:
    """An operation with its place and its schemas (JSON Schema 2020-12, without references)."""

    operation: Operation
    method: str
    path: str
    places: dict[str, tuple[str, str]]  # argument to where it goes (path, query or body), and its name there
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]


class Refused(Exception):
    """The service has refused a call, or could not be reached; the text is for the agent."""


def tools(document: dict[str, Any]) -> dict[str, Tool]:
    """The tools that the OpenAPI document describes, by name. Raises KeyError where it lacks an operation."""
    found = {
        operation["operationId"]: (method, path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    return {operation.name: _tool(operation, document, *found[operation.operation_id]) for operation in OPERATIONS}


def _tool(operation: Operation, document: dict[str, Any], method: str, path: str, described: Any) -> Tool:
    fields: dict[str, Any] = {}
    places: dict[str, tuple[str, str]] = {}
    required: list[str] = []
    for parameter in described.get("parameters", ()):
        if parameter["in"] in {"path", "query"}:
            argument = ARGUMENTS.get(parameter["name"], parameter["name"])
            fields[argument] = {"description": parameter.get("description", ""), **parameter["schema"]}
            places[argument] = parameter["in"], parameter["name"]
            required += [argument] if parameter.get("required") else []
    if "requestBody" in described:
        body = _inlined(described["requestBody"]["content"]["application/json"]["schema"], document)
        fields |= body["properties"]
        places |= {name: ("body", name) for name in body["properties"]}
        required += body.get("required", [])
    success = next(response for status, response in described["responses"].items() if status.startswith("2"))
    data = success["content"]["application/json"]["schema"]["properties"]["data"]
    input_schema = {"type": "object", "properties": _inlined(fields, document), "required": required}
    return Tool(operation, method.upper(), path, places, input_schema, _inlined(data, document))


def _inlined(schema: Any, document: dict[str, Any]) -> Any:
    """The schema with every reference to a component replaced by what it refers to: not every host follows them."""
    if isinstance(schema, list):
        return [_inlined(item, document) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(reference := schema.get("$ref"), str):
        return _inlined(document["components"]["schemas"][reference.rpartition("/")[2]], document)
    return {name: _inlined(value, document) for name, value in schema.items()}


class Api:
    """The service's API over HTTP, as the owner of one key."""

    def __init__(self, url: str, key: str, *, repeats: int = 3) -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._session.headers["x-api-key"] = key
        # What carries an Idempotency-Key may be repeated like a GET; an answer and a cancellation may not.
        self._session.mount(f"{self._url}/cases", _repeating(repeats, {"GET", "POST"}))
        self._session.mount(f"{self._url}/cases/", _repeating(repeats, {"GET"}))

    def call(self, tool: Tool, arguments: dict[str, Any]) -> dict[str, Any]:
        """The answer's data; the arguments satisfy the tool's input_schema. Raises Refused."""
        sent: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "body": {}}
        for argument, value in arguments.items():
            place, name = tool.places[argument]
            sent[place][name] = value
        path = tool.path.format_map({name: quote(str(value), safe="") for name, value in sent["path"].items()})
        try:
            response = self._session.request(
                tool.method,
                self._url + path,
                params=sent["query"],
                json=sent["body"] if tool.method != "GET" else None,
                headers={"idempotency-key": str(uuid.uuid4())} if tool.path == "/cases" else {},
                timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
            )
            envelope = response.json()
        except requests.RequestException as error:
            raise Refused(f"{self._url} does not answer as the API does: {type(error).__name__}") from error
        return _data(envelope)


def _repeating(times: int, methods: set[str]) -> HTTPAdapter:
    """Repeats requests of these methods, with growing pauses and as the service's Retry-After asks."""
    return HTTPAdapter(
        max_retries=Retry(
            total=times,
            backoff_factor=0.5,
            status_forcelist=WORTH_REPEATING,
            allowed_methods=methods,
            raise_on_status=False,
        )
    )


def _data(envelope: Any) -> dict[str, Any]:
    match envelope:
        case {"ok": True, "data": dict(data)}:
            return data
        case {"ok": False, "error": {"code": str(code), "message": str(message)}}:
            details = [f"{detail['path']}: {detail['message']}" for detail in envelope["error"].get("details", ())]
            raise Refused("\n".join([f"{code}: {message}", *details]))
    raise Refused("The answer is none of the API.")
