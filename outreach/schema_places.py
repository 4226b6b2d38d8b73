"""What a JSON Schema says of a place in a result: which schemas apply there, and which names it knows."""

import re
from collections.abc import Iterator
from typing import Any

from cases.schema_reading import target
from cases.values import steps_of

MOST_STEPS = 200  # of references that lead to each other
_ALTERNATIVES = ("allOf", "anyOf", "oneOf")
_CONDITIONAL = ("then", "else")


def at(schema: Any, pointer: str) -> list[dict[str, Any]]:
    """The schemas that apply to the value at the pointer, alternatives and local references included."""
    found = list(_applying(schema, schema, set()))
    for step in steps_of(pointer):
        inner = [sub for one in found for sub in _below(one, step)]
        found = [each for sub in inner for each in _applying(schema, sub, set())]
    return found


def names_at(schema: Any, pointer: str) -> set[str]:
    """The names that the schema gives to what may stand in the object at the pointer."""
    return {name for one in at(schema, pointer) for name in (*one.get("properties", {}), *one.get("required", ()))}


def lists_values(schema: Any, pointer: str) -> bool:
    """Whether the schema lists the values that may stand at the pointer (`enum` or `const`)."""
    return any("enum" in one or "const" in one for one in at(schema, pointer))


def wants_integer(schema: Any, pointer: str) -> bool:
    return any(one.get("type") == "integer" for one in at(schema, pointer))


def _applying(root: Any, schema: Any, seen: set[int]) -> Iterator[dict[str, Any]]:
    """The schema and those that it refers to or is made of, each once."""
    if not isinstance(schema, dict) or id(schema) in seen or len(seen) > MOST_STEPS:
        return
    seen.add(id(schema))
    yield schema
    references = [target(root, schema.get("$ref"))]
    parts = [part for key in _ALTERNATIVES if isinstance(schema.get(key), list) for part in schema[key]]
    for part in (*references, *parts, *(schema.get(key) for key in _CONDITIONAL)):
        yield from _applying(root, part, seen)


def _below(schema: dict[str, Any], step: str) -> Iterator[Any]:
    properties = schema.get("properties", {})
    if step in properties:
        yield properties[step]
    patterns = {key: sub for key, sub in schema.get("patternProperties", {}).items() if _matches(key, step)}
    yield from patterns.values()
    if step not in properties and not patterns:
        yield schema.get("additionalProperties")
    if step.isdecimal():
        yield from _items(schema, int(step))


def _items(schema: dict[str, Any], index: int) -> Iterator[Any]:
    """Items of 2020-12 (`prefixItems`, `items`) and of older drafts (a list of `items`, `additionalItems`)."""
    items = schema.get("items")
    first = schema.get("prefixItems", items if isinstance(items, list) else [])
    if index < len(first):
        yield first[index]
    else:
        yield schema.get("additionalItems") if isinstance(items, list) else items


def _matches(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None
    except re.error:  # of another dialect; what it allows, the validator has checked
        return False
