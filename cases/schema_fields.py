"""A resultSchema as a table that people read: its fields with what may stand in each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from cases.schema_reading import LIMITS, target

MAX_FIELDS = 200
MAX_DEPTH = 8
MOST_CHOICES = 8

KINDS: Mapping[str, str] = {
    "string": "text",
    "number": "number",
    "integer": "whole number",
    "boolean": "yes or no",
    "object": "group",
    "array": "list",
    "null": "nothing",
}
FORMATS: Mapping[str, str] = {
    "date": "date",
    "date-time": "date and time",
    "time": "time of day",
    "email": "e-mail address",
    "uri": "web address",
    "uuid": "UUID",
}


@dataclass(frozen=True)
class Field:
    """One field; `depth` is in how many groups and lists it stands."""

    name: str
    depth: int
    kind: str
    is_required: bool
    description: str


def fields(schema: Any) -> list[Field]:
    """The fields in the schema's order, those of groups and of the items of lists below them; at most MAX_FIELDS.

    A schema that describes a result in other ways than by `properties` has one row for all of it.
    """
    root = schema if isinstance(schema, dict) else {}
    return list(islice(_within(root, root, 0) if _parts(root, root) else _whole(root), MAX_FIELDS))


def _whole(root: Mapping[str, Any]) -> Iterator[Field]:
    yield Field("(the whole result)", 0, _kind(root, root), is_required=True, description=_description(root))


def _within(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Iterator[Field]:
    required = schema.get("required")
    names = required if isinstance(required, list) else []
    for name, part in _parts(schema, root).items():
        found = _resolved(part, root)
        yield Field(name, depth, _kind(found, root), name in names, _description(found))
        if depth < MAX_DEPTH:
            yield from _within(_inner(found, root), root, depth + 1)


def _parts(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = _inner(schema, root).get("properties")
    return properties if isinstance(properties, dict) else {}


def _inner(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """What describes the fields inside: of a list its items, of a choice its one group."""
    if isinstance(schema.get("properties"), dict):
        return schema
    items = _resolved(schema.get("items"), root)
    if items:
        return {} if "items" in items else _inner(items, root)
    groups = [part for part in _choices(schema, root) if isinstance(part.get("properties"), dict)]
    return groups[0] if len(groups) == 1 else {}


def _resolved(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema, or what it refers to within the same document."""
    found = schema if isinstance(schema, dict) else {}
    for _ in range(MAX_DEPTH):
        reference = found.get("$ref")
        if not isinstance(reference, str):
            return found
        referred = target(root, reference)
        beside = {name: value for name, value in found.items() if name != "$ref"}
        found = {**referred, **beside} if isinstance(referred, dict) else beside
    return {}


def _choices(schema: Mapping[str, Any], root: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    listed = schema.get("anyOf") or schema.get("oneOf") or []
    return [_resolved(part, root) for part in listed] if isinstance(listed, list) else []


def _kind(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int = 0) -> str:
    if depth == MAX_DEPTH:
        return "…"  # it holds itself
    if "const" in schema:
        return f"always {_said(schema['const'])}"
    if isinstance(schema.get("enum"), list):
        return _one_of(schema["enum"])
    if choices := _choices(schema, root):
        return " or ".join(dict.fromkeys(_kind(part, root, depth + 1) for part in choices[:MOST_CHOICES]))
    allowed = schema.get("type")
    types = allowed if isinstance(allowed, list) else [allowed]
    kinds = [_kind_of(str(type_), schema, root, depth) for type_ in types if type_ is not None]
    return " or ".join(kinds) or ("group" if "properties" in schema else "anything")


def _kind_of(type_: str, schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> str:
    if type_ == "string" and schema.get("format"):
        return FORMATS.get(str(schema["format"]), str(schema["format"]))
    items = _resolved(schema.get("items"), root)
    if type_ == "array" and items:
        return f"list, each: {_kind(items, root, depth + 1)}" if "items" not in items else "list of lists"
    return KINDS.get(type_, type_)


def _one_of(values: list[Any]) -> str:
    shown = ", ".join(_said(value) for value in values[:MOST_CHOICES])
    return f"one of {shown}{', …' if len(values) > MOST_CHOICES else ''}"


def _said(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"“{value}”" if isinstance(value, str) else str(value)


def _description(schema: Mapping[str, Any]) -> str:
    described = [str(schema[name]) for name in ("title", "description") if isinstance(schema.get(name), str)]
    bounds = [words.format(schema[name]) for name, words in LIMITS.items() if _is_bound(schema.get(name))]
    return "; ".join([*described, *bounds])


def _is_bound(value: Any) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool)
