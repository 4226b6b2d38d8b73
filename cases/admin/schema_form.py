"""A form drawn from a resultSchema: a field for each value, and what is typed there read back as JSON.

Drawn are objects, text, numbers, yes or no, choices, dates, lists of single values (one a line) and of objects. For
what a schema describes in other ways (`oneOf`, `patternProperties`, several types …) that part alone is a field for
JSON. The form never decides what is valid: result_schema does, and its errors are put to their fields. What a field of
each kind shows and reads is in schema_parts.
"""

from dataclasses import dataclass
from typing import Any

from cases.admin.schema_parts import (
    Choice,
    Group,
    Json,
    Lines,
    Number,
    Part,
    ReadJson,
    Rows,
    Schema,
    Several,
    Text,
    types_of,
)
from cases.schema_reading import in_words, target
from cases.values import steps_of

MAX_PARTS = 300  # of one form; what is beyond is written as JSON
MAX_DEPTH = 6


def draw(schema: Schema, *, read_json: ReadJson, name: str = "result") -> Part:
    """The empty form of a resultSchema."""
    return _Drawing(schema, read_json).part(schema, name, label="Result", is_required=True, depth=0)


# What these say of a value can't be said by a form that is drawn before there is one.
_BEYOND = frozenset(
    {
        "$ref",
        "$dynamicRef",
        "$recursiveRef",
        "oneOf",
        "anyOf",
        "allOf",
        "if",
        "patternProperties",
        "dependentSchemas",
        "dependencies",
        "prefixItems",
        "additionalItems",
        "propertyNames",
    }
)


_SINGLE: dict[str, type[Part]] = {"string": Text, "integer": Number, "number": Number, "boolean": Choice}


@dataclass
class _Drawing:
    root: Schema
    read_json: ReadJson
    count: int = 0

    def part(self, given: Any, name: str, *, label: str, is_required: bool, depth: int) -> Part:
        self.count += 1
        schema, is_nullable = self._simplified(given)
        label = _title(schema) or label
        common: dict[str, Any] = {"is_required": is_required, "is_nullable": is_nullable}
        if self.count > MAX_PARTS or depth > MAX_DEPTH or _BEYOND & schema.keys():
            return self._json(given, name, label, common)
        if "enum" in schema or "const" in schema:
            return Choice(name, label, schema, **common)
        types = types_of(schema)
        if len(types) == 1 and types[0] in _SINGLE:
            return _SINGLE[types[0]](name, label, schema, **common)
        drawn = None
        if types == ["object"]:
            drawn = self._group(schema, name, label, common, depth)
        elif types == ["array"]:
            drawn = self._list(schema, name, label, common, depth)
        return drawn or self._json(given, name, label, common)

    def _json(self, given: Any, name: str, label: str, common: dict[str, Any]) -> Part:
        part = Json(name, label, given if isinstance(given, dict) else {}, **common)
        part.read_json = self.read_json
        return part

    def _group(self, schema: Schema, name: str, label: str, common: dict[str, Any], depth: int) -> Part | None:
        properties = schema.get("properties")
        required = schema.get("required", [])
        more = schema.get("additionalProperties", True)
        if not isinstance(properties, dict) or isinstance(more, dict) or not set(required) <= set(properties):
            return None
        parts = {
            key: self.part(
                part, f"{name}-{number}", label=in_words(key) or key, is_required=key in required, depth=depth + 1
            )
            for number, (key, part) in enumerate(properties.items())
        }
        return Group(name, label, schema, **common, parts=parts)

    def _list(self, schema: Schema, name: str, label: str, common: dict[str, Any], depth: int) -> Part | None:
        items, is_nullable = self._simplified(schema.get("items"))
        if is_nullable or _BEYOND & items.keys() or not items:
            return None
        schema = {**schema, "items": items}
        if "enum" in items:
            return Several(name, label, schema, **common)
        if len(types := types_of(items)) == 1 and types[0] in ("string", "integer", "number", "boolean"):
            return Lines(name, label, schema, **common) if "const" not in items else None
        if types_of(items) != ["object"] or self._group(items, name, label, {}, depth + 1) is None:
            return None
        return Rows(name, label, schema, **common, row=lambda number: self._row(items, name, number, depth))

    def _row(self, items: Schema, name: str, number: int, depth: int) -> Group:
        self.count = 0  # rows are counted one by one: the last must be drawn like the first
        row = self._group(items, f"{name}-{number}", f"No. {number + 1}", {}, depth + 1)
        return row if isinstance(row, Group) else Group(f"{name}-{number}", "", items)

    def _simplified(self, given: Any) -> tuple[Schema, bool]:
        """The schema with references into the same document followed, and whether null is one more value.

        Of `anyOf` and the like only "this, or null" is simplified, and a single alternative.
        """
        schema: Schema = given if isinstance(given, dict) else {}
        is_nullable = False
        for _ in range(10):
            if isinstance(found := target(self.root, schema.get("$ref")), dict):
                schema = {**found, **_without(schema, "$ref")}
                continue
            key = next((key for key in ("anyOf", "oneOf", "allOf") if key in schema), None)
            if key is None or not isinstance(schema[key], list):
                break
            others = [one for one in schema[key] if key == "allOf" or one != {"type": "null"}]
            if len(others) != 1 or not isinstance(others[0], dict):
                break
            is_nullable = is_nullable or len(others) < len(schema[key])
            schema = {**others[0], **_without(schema, key)}
        return _without_null(schema, is_nullable)


def _without_null(schema: Schema, is_nullable: bool) -> tuple[Schema, bool]:
    types, listed = schema.get("type"), schema.get("enum")
    if isinstance(types, list) and "null" in types and len(types) > 1:
        schema, is_nullable = {**schema, "type": [one for one in types if one != "null"]}, True
    if isinstance(listed, list) and None in listed and len(listed) > 1:
        schema, is_nullable = {**schema, "enum": [one for one in listed if one is not None]}, True
    return schema, is_nullable


def _without(schema: Schema, key: str) -> Schema:
    return {name: value for name, value in schema.items() if name != key}


def _title(schema: Schema) -> str:
    given = schema.get("title")
    return " ".join(given.split()) if isinstance(given, str) else ""


def place_errors(form: Part, errors: list[dict[str, str]]) -> None:
    """Put errors of result_schema, `{path, message}`, to the fields that they are about."""
    for error in errors:
        form.place_error(steps_of(error["path"]), error["message"])
