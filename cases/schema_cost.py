"""How much work a JSON Schema can make: references in twos, thirty deep, are a line each and a billion checks.

A check walks every path of keywords through the schema, following references, again for each path that leads to a
value. Here the paths are counted, by adding up each subschema once for each depth of the value: cheap for any schema.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import lookup_recursive_ref, specification_with

# Keywords whose subschemas are for the value itself (JSON Schema Core §10.2), and those for its parts (§10.3).
IN_PLACE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies")
PARTS = (
    *("properties", "patternProperties", "additionalProperties", "propertyNames", "unevaluatedProperties"),
    *("prefixItems", "items", "additionalItems", "contains", "unevaluatedItems"),
)
NAMED = frozenset({"properties", "patternProperties", "dependentSchemas", "dependencies"})  # maps of names to schemas
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
METASCHEMAS = "json-schema.org/draft"  # they come with the validator, and describe schemas only


class TooCostly(Exception):
    """A subschema refers to itself for one and the same value, or a reference leads nowhere."""


@dataclass
class _Node:
    """A subschema: those it applies to the same value and to parts of it, by the ids that Python gives their dicts."""

    in_place: list[int] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)
    times: int = 1  # that each of `in_place` is walked


def cost(schema: dict[str, Any], draft: str, *, depth: int, limit: int) -> int:
    """How many paths lead through the schema for values of this depth (0: no objects or lists); at most limit + 1.

    Raises TooCostly.
    """
    nodes = _nodes(schema, draft)
    try:
        order = list(TopologicalSorter({key: node.in_place for key, node in nodes.items()}).static_order())
    except CycleError as error:
        raise TooCostly("a subschema refers to itself for one and the same value") from error
    of_parts = dict.fromkeys(nodes, 0)
    for _ in range(depth + 1):
        costs: dict[int, int] = {}
        for key in order:
            node = nodes[key]
            total = 1 + node.times * sum(costs[child] for child in node.in_place)
            costs[key] = min(total + sum(of_parts[child] for child in node.parts), limit + 1)
        if costs == of_parts:  # deeper values make no more work
            break
        of_parts = costs
    return of_parts[id(schema)]


def _nodes(schema: dict[str, Any], draft: str) -> dict[int, _Node]:
    """Every subschema that the schema leads to, by the id of its dict: a parsed document has none in two places."""
    specification = specification_with(draft)
    root = specification.create_resource(schema)
    resolver: Any = Registry().with_resource(root.id() or "", root).resolver(root.id() or "")
    nodes: dict[int, _Node] = {}
    waiting = [(schema, resolver)]
    while waiting:
        subschema, resolver = waiting.pop()
        if id(subschema) in nodes:
            continue
        resolver = resolver.in_subresource(specification.create_resource(subschema))
        in_place = [*_subschemas(subschema, IN_PLACE, resolver), *_referred(subschema, resolver)]
        parts = list(_subschemas(subschema, PARTS, resolver))
        node = nodes[id(subschema)] = _Node([id(child) for child, _ in in_place], [id(child) for child, _ in parts])
        if subschema.keys() & {"unevaluatedProperties", "unevaluatedItems"}:
            node.times = 2  # once more to find out what they have looked at
        waiting += in_place + parts
    return nodes


def _subschemas(schema: dict[str, Any], keywords: tuple[str, ...], resolver: Any) -> Iterator[tuple[Any, Any]]:
    for keyword in keywords:
        value = schema.get(keyword)
        if isinstance(value, dict):
            value = value.values() if keyword in NAMED else [value]
        elif not isinstance(value, list):  # true and false are schemas, too, and no work
            continue
        yield from ((subschema, resolver) for subschema in value if isinstance(subschema, dict))


def _referred(schema: dict[str, Any], resolver: Any) -> Iterator[tuple[Any, Any]]:
    for keyword in REFERENCES:
        reference = schema.get(keyword)
        if isinstance(reference, str) and METASCHEMAS not in reference:
            try:
                found = lookup_recursive_ref(resolver) if keyword == "$recursiveRef" else resolver.lookup(reference)
            except Unresolvable as error:
                raise TooCostly(f"{reference[:100]!r} leads nowhere") from error
            if isinstance(found.contents, dict):
                yield found.contents, found.resolver
