"""An empty result to fill in, drawn from a resultSchema."""

from typing import Any

MAX_DEPTH = 6


def skeleton(schema: Any, depth: int = 0) -> Any:
    """The shape of a valid result with nothing in it: null wherever a person has to put a value, [] for lists.

    Only `properties` is followed; a result that the schema describes in other ways begins as {} or null.
    """
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return None
    properties = schema.get("properties")
    if isinstance(properties, dict):
        return {name: skeleton(part, depth + 1) for name, part in properties.items()}
    allowed = schema.get("type")
    types = allowed if isinstance(allowed, list) else [allowed]
    if "array" in types:
        return []
    return {} if "object" in types else None
