"""The OpenAPI document shows the envelope and the errors of every route."""

from typing import Any

from django.test import Client

from offload_project.schema import describe_envelope

WRAPPED = {"type": "object", "required": ["ok", "data"]}
ERROR = {"$ref": "#/components/schemas/Error"}


def content(schema: Any) -> Any:
    return {"application/json": {"schema": schema}}


def coded(*codes: str) -> Any:
    return content({"allOf": [ERROR, {"properties": {"error": {"properties": {"code": {"enum": list(codes)}}}}}]})


def document(path: str, **operation: Any) -> dict[str, Any]:
    return {"openapi": "3.1.0", "paths": {path: {"post": operation}}}


def test_an_answer_links_to_the_routes_that_take_what_it_names() -> None:
    def operation(name: str, *parameters: str) -> dict[str, Any]:
        taken = [{"name": parameter, "in": "path"} for parameter in parameters]
        return {"operationId": name, "parameters": taken, "responses": {"200": {"description": ""}, "404": {}}}

    paths = {
        "/cases": {"post": operation("createCase")},
        "/cases/{case_id}": {"get": operation("getCase", "case_id")},
        "/cases/{case_id}/drafts/{draft_id}": {"post": operation("editDraft", "case_id", "draft_id")},
    }
    described = describe_envelope({"paths": paths})["paths"]["/cases"]["post"]["responses"]
    assert described["200"]["links"] == {
        "getCase": {"operationId": "getCase", "parameters": {"case_id": "$response.body#/data/caseId"}}
    }
    assert "links" not in described["400"]


def test_data_is_wrapped_and_errors_are_added() -> None:
    data = {"$ref": "#/components/schemas/Case"}
    responses = {
        "201": {"description": "", "content": content(data)},
        "404": {"description": "No case", "content": content({"enum": ["CASE_NOT_FOUND"]})},
        "409": {"description": "Too late"},
    }
    result = describe_envelope(document("/cases", responses=responses, requestBody={}, security=[{"apiKey": []}]))
    described = result["paths"]["/cases"]["post"]["responses"]
    assert list(described) == ["201", "400", "401", "403", "404", "408", "409", "413", "415", "429", "500"]
    assert described["201"]["content"]["application/json"]["schema"] == WRAPPED | {
        "properties": {"ok": {"const": True}, "data": data}
    }
    assert described["409"] == {"description": "Too late", "content": content(ERROR)}
    assert described["404"] == {"description": "No case", "content": coded("CASE_NOT_FOUND", "NOT_FOUND")}
    assert described["500"]["content"] == coded("INTERNAL_ERROR")
    assert result["components"]["schemas"]["Error"]["required"] == ["ok", "error"]


def test_errors_are_those_the_route_can_answer() -> None:
    responses = {"204": {"description": ""}}
    both = {"/cases/{id}": {"get": {"responses": dict(responses)}, "post": {"responses": dict(responses)}}}
    result = describe_envelope({"openapi": "3.1.0", "paths": both})
    described = result["paths"]["/cases/{id}"]["get"]["responses"]
    assert list(described) == ["204", "400", "404", "500"]
    assert list(result["paths"]["/cases/{id}"]["post"]["responses"]) == [
        "204",
        "400",
        "404",
        "408",
        "413",
        "415",
        "500",
    ]
    assert described["204"] == {"description": "No Content"}


def test_the_document_is_served_without_a_key(client: Client) -> None:
    response = client.get("/schema")
    assert response["Content-Type"] == "application/json"
    document = response.json()
    assert document["openapi"] == "3.1.0"
    assert not {path for path in document["paths"] if path.startswith(("/healthz", "/readyz", "/schema", "/docs"))}
    assert "Error" in document["components"]["schemas"]


def test_a_key_s_rate_is_told_on_what_takes_a_key() -> None:
    responses = {"201": {"description": "", "headers": {"Own": {}}}}
    result = describe_envelope(document("/cases", responses=responses, security=[{"apiKey": []}]))
    described = result["paths"]["/cases"]["post"]["responses"]
    rate = {"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"}
    assert described["201"]["headers"].keys() == {"Own", *rate}
    assert described["429"]["headers"].keys() == {"Retry-After", *rate}
    assert not {"401", "500"} & {status for status, response in described.items() if "headers" in response}
    assert described["429"]["headers"]["Retry-After"] == {"$ref": "#/components/headers/Retry-After"}
    assert result["components"]["headers"].keys() == {"Retry-After", *rate}
    open_to_all = describe_envelope(document("/files", responses={"200": {"description": ""}}))
    assert "headers" not in open_to_all["paths"]["/files"]["post"]["responses"]["200"]
