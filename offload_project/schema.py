"""The envelope and the errors that every route shares, added to the generated OpenAPI document.

Views describe their data alone; what is around it is described here, once.
"""

from typing import Any

METHODS = {"get", "post", "put", "patch", "delete"}

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
    result.setdefault("components", {}).setdefault("schemas", {})["Error"] = ERROR
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            if method in METHODS:
                _describe(operation, has_parameters="{" in path)
    return result


def _describe(operation: dict[str, Any], *, has_parameters: bool) -> None:
    responses = operation["responses"]
    for status, response in responses.items():
        content = response.get("content", {}).get("application/json")
        if status.startswith("2") and content:
            content["schema"] = _wrapped(content.get("schema", {}))
    for status, description in _errors(operation, has_parameters=has_parameters).items():
        response = responses.setdefault(status, {"description": description})
        response["content"] = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    operation["responses"] = dict(sorted(responses.items()))


def _wrapped(data: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": ["ok", "data"], "properties": {"ok": {"const": True}, "data": data}}


def _errors(operation: dict[str, Any], *, has_parameters: bool) -> dict[str, str]:
    """Status and description of what the route may answer besides; those the view has described come along."""
    errors = {status: "" for status in operation["responses"] if not status.startswith("2")}
    errors |= {"400": "The request is not valid", "500": "Something went wrong on our side"}
    if operation.get("security"):
        errors |= {"401": "No API key, or an unknown one", "403": "The key is not usable, or the case is another's"}
    if has_parameters:
        errors["404"] = "There is nothing of that id"
    if "requestBody" in operation:
        errors |= {"413": "The body is too large", "415": "The body is not JSON"}
    return errors
