"""The envelope, the errors and the examples that routes share, added to the generated OpenAPI document.

Views describe their data alone, and with `{"enum": […]}` their own error codes; what is around them is described here,
once. What a component looks like stands in examples.py.
"""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from cases.errors import CaseError
from offload_project.api import CODES, MESSAGES
from offload_project.examples import ANSWERS, EXAMPLES

METHODS = {"get", "post", "put", "patch", "delete"}
COMPONENT = "#/components/schemas/"
SIGNED = {  # Standard Webhooks, https://www.standardwebhooks.com
    "webhook-id": "The event_id: the same for each attempt.",
    "webhook-timestamp": "When this attempt was made, in Unix seconds. Refuse what is more than five minutes off.",
    "webhook-signature": "Signatures of `{webhook-id}.{webhook-timestamp}.{body}`, separated by spaces; each is `v1,` "
    "and the HMAC-SHA256 under a secret in Base64.",
}

RATE = {  # as of offload_project/answers.py
    "RateLimit-Limit": "How many requests this key may send at once.",
    "RateLimit-Remaining": "How many of them are left.",
    "RateLimit-Reset": "Seconds until all are there again.",
}
RETRY_AFTER = "Seconds until a request is granted again."

ERROR = {
    "type": "object",
    "required": ["ok", "error"],
    "properties": {
        "ok": {"const": False},
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string", "examples": ["INVALID_REQUEST"]},
                "message": {"type": "string"},
                "details": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["path", "message"],
                        "properties": {
                            "path": {"type": "string", "examples": ["counterparty.address"]},
                            "message": {"type": "string"},
                        },
                    },
                },
            },
        },
    },
}


def describe_envelope(result: dict[str, Any], **context: Any) -> dict[str, Any]:
    """drf-spectacular's POSTPROCESSING_HOOKS: wrap each success's JSON, and add the errors each route may answer."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Error"] = ERROR
    components["headers"] = {
        name: {"description": text, "schema": {"type": "integer"}}
        for name, text in {**RATE, "Retry-After": RETRY_AFTER}.items()
    }
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            if method in METHODS:
                _describe(operation, has_parameters="{" in path, looks_at_bodies=method in {"post", "patch"})
    _link(result["paths"])
    return result


def describe_webhooks(result: dict[str, Any], **context: Any) -> dict[str, Any]:
    """drf-spectacular's POSTPROCESSING_HOOKS: the headers that come with each event; none of them has a key."""
    for webhook in result.get("webhooks", {}).values():
        webhook["post"]["security"] = []
        webhook["post"]["parameters"] = [
            {"in": "header", "name": name, "description": text, "required": True, "schema": {"type": "string"}}
            for name, text in SIGNED.items()
        ]
    return result


def add_examples(result: dict[str, Any], **context: Any) -> dict[str, Any]:
    """drf-spectacular's POSTPROCESSING_HOOKS: an example for each JSON body that has none, and one for each error."""
    codes: set[str] = set()
    for operation in [*_operations(result["paths"]), *_operations(result.get("webhooks", {}))]:
        _illustrate(operation.get("requestBody", {}), EXAMPLES, wrapped=False)
        answers = EXAMPLES | ANSWERS.get(operation.get("operationId", ""), {})
        for status, response in operation["responses"].items():
            if status.startswith("2"):
                _illustrate(response, answers, wrapped=True)
            elif shown := _codes(response):
                codes.update(shown)
                named = {code: {"$ref": f"#/components/examples/{code}"} for code in shown}
                response["content"]["application/json"]["examples"] = named
    result["components"]["examples"] = {code: {"value": _error(code)} for code in sorted(codes)}
    return result


def _operations(paths: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (operation for path in paths.values() for method, operation in path.items() if method in METHODS)


def _illustrate(described: dict[str, Any], values: dict[str, Any], *, wrapped: bool) -> None:
    """Give a request body or a response the value of the component that it shows; `wrapped`: in the envelope."""
    content = described.get("content", {}).get("application/json")
    if not content:
        return
    schema = content["schema"]["properties"]["data"] if wrapped else content["schema"]
    name = schema.get("$ref", "").removeprefix(COMPONENT)
    if name in values:
        content.setdefault("examples", {name: {"value": values[name]}})
    if wrapped:
        for example in content.get("examples", {}).values():
            example["value"] = {"ok": True, "data": example["value"]}


def _codes(response: dict[str, Any]) -> list[str]:
    """The codes of a failure as `_failed` has described them."""
    parts = response["content"]["application/json"]["schema"].get("allOf", ())
    return [code for part in parts[1:] for code in part["properties"]["error"]["properties"]["code"]["enum"]]


def _error(code: str) -> dict[str, Any]:
    error: dict[str, Any] = {"code": code, "message": _messages().get(code, MESSAGES[400])}
    if code == CODES[400]:
        fault = {"path": "counterparty.address", "message": "This field is required."}
        error = {"code": code, "message": f"{fault['path']}: {fault['message']}", "details": [fault]}
    return {"ok": False, "error": error}


def _messages() -> dict[str, str]:
    """What the service says with each code, where it has one sentence for it."""
    shared = {**CODES, 500: "INTERNAL_ERROR"}
    by_status = {code: MESSAGES.get(status, HTTPStatus(status).phrase) for status, code in shared.items()}
    return by_status | {error.code: error.message for error in _subclasses(CaseError) if error.status < 500}


def _subclasses(error: type[CaseError]) -> Iterator[type[CaseError]]:
    for subclass in error.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def _describe(operation: dict[str, Any], **traits: bool) -> None:
    responses = operation["responses"]
    for status, description in _errors(operation, **traits).items():
        responses.setdefault(status, {"description": description})
    for status, response in responses.items():
        if names := _headers(status) if operation.get("security") else ():
            references = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
            response["headers"] = response.get("headers", {}) | references
        content = response.get("content", {}).get("application/json")
        if not status.startswith("2"):
            own = content["schema"]["enum"] if content else []
            response["content"] = {"application/json": {"schema": _failed(int(status), own)}}
            continue
        response["description"] = response["description"] or HTTPStatus(int(status)).phrase
        if content:
            content["schema"] = _wrapped(content.get("schema", {}))
    operation["responses"] = dict(sorted(responses.items()))


def _headers(status: str) -> tuple[str, ...]:
    """What stands on the answers of a route that takes a key."""
    return (*RATE, "Retry-After") if status == "429" else tuple(RATE) if status.startswith("2") else ()


# What an answer names that other routes take in their address, as runtime expressions.
NAMED: list[tuple[str, dict[str, str]]] = [
    ("createCase", {"case_id": "$response.body#/data/caseId"}),
    (
        "getCase",
        {
            "case_id": "$request.path.case_id",
            "attachment_id": "$response.body#/data/attachments/0/attachmentId",
        },
    ),
    ("getCase", {"case_id": "$request.path.case_id", "draft_id": "$response.body#/data/draft/id"}),
    ("listEvents", {"event_id": "$response.body#/data/events/0/eventId"}),
]


def _link(paths: dict[str, Any]) -> None:
    """Add links (OpenAPI 3.1 §4.8.20) from the answers that name something to the routes that take just that."""
    operations = {one["operationId"]: one for item in paths.values() for one in item.values() if "operationId" in one}
    for source, named in NAMED:
        answers = operations.get(source, {}).get("responses", {})
        links = {
            target: {"operationId": target, "parameters": named}
            for target, operation in operations.items()
            if {part["name"] for part in operation.get("parameters", ()) if part["in"] == "path"} == named.keys()
        }
        for status, answer in answers.items():
            if status.startswith("2"):
                answer.setdefault("links", {}).update(links)


def _wrapped(data: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": ["ok", "data"], "properties": {"ok": {"const": True}, "data": data}}


def _failed(status: int, own_codes: list[str]) -> dict[str, Any]:
    """The envelope of a failure; its code is one of the view's own or the one that goes with the status everywhere."""
    shared = {**CODES, 500: "INTERNAL_ERROR"}.get(status)
    codes = [*own_codes, *([shared] if shared else [])]
    envelope = {"$ref": "#/components/schemas/Error"}
    if not codes:
        return envelope
    return {"allOf": [envelope, {"properties": {"error": {"properties": {"code": {"enum": codes}}}}}]}


def _errors(operation: dict[str, Any], *, has_parameters: bool, looks_at_bodies: bool) -> dict[str, str]:
    """Status and description of what any route of this kind may answer, besides what its view has described.

    A body is looked at also where the operation needs none.
    """
    errors = {"400": "The request is not valid", "500": "Something went wrong on our side"}
    if operation.get("security"):
        errors |= {"401": "No API key, or an unknown one", "403": "The key is not usable, or the case is another's"}
        errors["429"] = "Too many requests with this key, or too many from this address without a usable one"
    if has_parameters:
        errors["404"] = "There is nothing at this address"
    if looks_at_bodies:
        errors |= {"408": "The body did not arrive in time", "413": "The body is too large"}
        errors["415"] = "The body is of a type that this route does not take"
    return errors
