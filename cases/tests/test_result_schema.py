"""Results are checked by JSON Schema, and no schema makes the service fetch, fail or hang."""

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cases import result_schema
from cases.errors import InvalidCase, InvalidResult

ORDER = {
    "type": "object",
    "properties": {"number": {"type": "string", "pattern": r"^\p{L}-\d+$"}, "total": {"type": "number", "minimum": 0}},
    "required": ["number", "total"],
}


@pytest.mark.parametrize(
    ("schema", "result"),
    [
        (None, None),
        (None, {"anything": [1]}),
        ({}, "anything"),
        (ORDER, {"number": "Ä-7", "total": 12.5, "more": True}),
        ({"type": "integer"}, 3.0),
        ({"format": "date"}, "2026-03-01"),
        ({"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": True}, 2),
        ({"$schema": "http://json-schema.org/draft-07/schema", "items": [{"type": "string"}]}, ["a"]),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"const": 1}}}, 1),
        ({"properties": {"child": {"$ref": "#"}}, "type": "object"}, {"child": {"child": {}}}),
        ({"$ref": "https://json-schema.org/draft/2020-12/schema"}, {"type": "string"}),  # comes with the library
        ({"const": None}, None),
    ],
)
def test_a_valid_result_passes(schema: Any, result: Any) -> None:
    result_schema.check(schema, result)
    assert result_schema.errors(schema, result) == []


@pytest.mark.parametrize(
    ("schema", "result", "paths"),
    [
        (ORDER, {"number": "7", "total": -1}, ["/number", "/total"]),
        (ORDER, {}, ["", ""]),
        (ORDER, [], [""]),
        ({"format": "date"}, "1 March", [""]),
        ({"type": "integer"}, "3", [""]),
        ({"type": "integer"}, True, [""]),
        ({"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": True}, 1, [""]),
        ({"items": {"properties": {"a/b~c": {"type": "null"}}}}, [{}, {"a/b~c": 1}], ["/1/a~1b~0c"]),
    ],
)
def test_an_invalid_result_is_told_where(schema: Any, result: Any, paths: list[str]) -> None:
    assert [error["path"] for error in result_schema.errors(schema, result)] == paths
    with pytest.raises(InvalidResult) as raised:
        result_schema.check(schema, result)
    assert [detail["path"] for detail in raised.value.details or []] == paths


def test_no_more_than_20_faults_are_told() -> None:
    assert len(result_schema.errors({"items": {"type": "string"}}, list(range(1000)))) == 20


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"type": ["string", "string"]},
        {"pattern": "("},
        {"pattern": r"\p{Nonsense}"},
        {"pattern": "(a{1,65535}){1,65535}"},
        {"patternProperties": {"[": {}}},
        {"minLength": -1},
        {"multipleOf": 0},
        {"required": "a"},
        {"properties": {"a": 1}},
        {"$ref": "#/$defs/missing"},
        {"$ref": 7},
        {"$ref": "other.json"},
        {"$schema": "https://json-schema.org/draft/2099/schema"},
        {"$schema": None},
        {"$schema": "http://json-schema.org/draft-07/schema##"},
        {"$ref": "#"},
        {"anyOf": [{"type": "string"}, {"not": {"$ref": "#"}}]},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {"$schema": ["https://json-schema.org/draft/2020-12/schema"]},
    ],
)
def test_what_is_no_schema_is_refused(schema: Any) -> None:
    with pytest.raises(InvalidCase) as raised:
        result_schema.validator(schema)
    [detail] = raised.value.details or []
    assert detail["path"] == "resultSchema"
    assert detail["message"].startswith("Not a valid JSON Schema: ")
    assert "\n" not in detail["message"]


@pytest.fixture
def visitors() -> Iterator[tuple[int, list[str]]]:
    """A port at this machine, and who has come to it: the library's own sockets are not Python's to watch."""
    seen: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            while True:
                try:
                    connection, address = server.accept()
                except OSError:
                    return
                seen.append(str(address))
                connection.close()

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield server.getsockname()[1], seen
        server.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=5)


def test_no_schema_makes_the_service_fetch(visitors: tuple[int, list[str]]) -> None:
    port, seen = visitors
    url = f"http://127.0.0.1:{port}/schema.json"
    schemas: list[dict[str, Any]] = [
        {"$schema": url},
        {"$ref": url},
        {"$dynamicRef": url},
        {"$id": url, "$ref": "other.json"},
        {"properties": {"a": {"$schema": url, "$ref": url + "#/a"}}},
        {"$defs": {"a": {"$id": url, "$schema": url, "type": "string"}}, "$ref": "#/$defs/a"},
        {"$schema": "http://json-schema.org/draft-04/schema#", "id": url, "$ref": "other.json"},
        {"allOf": [{"$ref": "file:///etc/passwd"}]},
    ]
    for schema in schemas:
        try:
            result_schema.validator(schema).is_valid({"a": "b"})
        except InvalidCase:
            continue
    assert seen == []


@pytest.mark.parametrize(
    ("schema", "result"),
    [
        ({"pattern": "^(a+)+$"}, "a" * 60 + "!"),
        ({"pattern": "^(?=(a+)+$)(a|aa)+$"}, "a" * 60 + "!"),
        ({"minimum": 10**300, "multipleOf": 1e-300}, 10**299),
        ({"maxLength": 2**70}, "a"),
    ],
)
def test_a_vicious_schema_neither_fails_nor_hangs(schema: Any, result: Any) -> None:
    result_schema.errors(schema, result)


def test_a_long_chain_of_references_is_followed() -> None:
    chain: dict[str, Any] = {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(2000)}
    schema = {"$defs": {**chain, "a2000": {"type": "string"}}, "$ref": "#/$defs/a0"}
    assert result_schema.errors(schema, "a") == []
    assert len(result_schema.errors(schema, 1)) == 1


def doubled(times: int, keyword: str = "allOf") -> dict[str, Any]:
    """A short schema with 2 ** times paths to its end."""
    steps = {f"a{n}": {keyword: [{"$ref": f"#/$defs/a{n + 1}"}, {"$ref": f"#/$defs/a{n + 1}"}]} for n in range(times)}
    return {"$defs": {**steps, f"a{times}": {"type": "string"}}, "$ref": "#/$defs/a0"}


def unevaluated(times: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(times):
        schema = {"unevaluatedProperties": False, "allOf": [schema]}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        doubled(30),
        doubled(30, "anyOf"),
        doubled(16),
        unevaluated(30),
        {"properties": {"a": {"items": {"$ref": "#/$defs/a0"}}}, "$defs": doubled(30)["$defs"]},
        {"$schema": "http://json-schema.org/draft-07/schema#", **doubled(30)},
        {"$id": "https://client.example/order", **doubled(30)},
    ],
)
def test_a_schema_that_multiplies_is_refused_at_once(schema: Any) -> None:
    began = time.monotonic()
    with pytest.raises(InvalidCase) as raised:
        result_schema.validator(schema)
    [detail] = raised.value.details or []
    assert detail["message"].endswith("its references and combinations multiply to more than can be checked")
    assert time.monotonic() - began < 2


EXPRESSION = {
    "$defs": {
        "expression": {
            "anyOf": [
                {"type": "string"},
                *({"properties": {word: {"items": {"$ref": "#/$defs/expression"}}}} for word in ("and", "or", "not")),
            ]
        }
    },
    "$ref": "#/$defs/expression",
}


@pytest.mark.parametrize(
    ("schema", "result"),
    [
        (doubled(10), "a"),
        (EXPRESSION, {"and": ["a", {"or": ["b", {"not": ["c"]}]}]}),
        ({"$ref": "#order", "$defs": {"a": {"$anchor": "order", "type": "string"}}}, "a"),
        (
            {
                "$id": "https://a.example/b",
                "$ref": "c",
                "$defs": {"d": {"$id": "c", "$ref": "#/$defs/e", "$defs": {"e": {}}}},
            },
            "a",
        ),
        ({"$schema": "http://json-schema.org/draft-07/schema", "$ref": "#a", "definitions": {"b": {"$id": "#a"}}}, 1),
        ({"$dynamicRef": "#node", "$defs": {"a": {"$dynamicAnchor": "node", "type": "string"}}}, "a"),
        (
            {
                "$schema": "https://json-schema.org/draft/2019-09/schema",
                "$recursiveAnchor": True,
                "properties": {"a": {"$recursiveRef": "#"}},
            },
            {"a": {"a": {}}},
        ),
        ({"items": {"properties": {f"p{n}": {"type": "string"} for n in range(30)}}}, [{"p1": "a"}] * 1000),
        ({"properties": {"a": False, "b": True}, "additionalProperties": False}, {"b": [[]]}),
    ],
)
def test_what_references_are_for_is_allowed(schema: Any, result: Any) -> None:
    assert result_schema.errors(schema, result) == []


def test_a_result_too_deep_for_its_schema_is_not_checked_for_ever() -> None:
    schema = {"properties": {"a": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}}
    result: Any = {}
    for _ in range(6):
        result = {"a": result}
    assert result_schema.errors(schema, result) == []
    for _ in range(54):
        result = {"a": result}
    began = time.monotonic()
    [error] = result_schema.errors(schema, result)
    assert error == {"path": "", "message": "The result is too deep and too large to be checked by this schema."}
    assert time.monotonic() - began < 2
