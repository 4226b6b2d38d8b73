"""What a JSON Schema says of a property, as far as a form needs it: its title, its kind, what its items are."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cases.schema_reading import in_words, target

Schema = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """A property of the objects in a list, of which one is written into a line: `Name; Quantity`."""

    name: str
    title: str
    schema: Schema
    is_required: bool

    @property
    def about(self) -> str:
        """All that tells what a value of it means."""
        return " ".join((self.title, self.name, str(self.schema.get("description", ""))))


def dereferenced(given: Any, root: Schema) -> Schema:
    """The schema with references into the same document followed; {} for what is no object."""
    schema: Schema = given if isinstance(given, dict) else {}
    for _ in range(10):
        all_of = schema.get("allOf")
        if isinstance(all_of, list) and len(all_of) == 1 and isinstance(all_of[0], dict):
            schema = {**all_of[0], **{key: value for key, value in schema.items() if key != "allOf"}}
        reference = schema.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#"):
            break
        found = target(root, reference)
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**found, **beside} if isinstance(found, dict) else beside
    return schema


def with_items(given: Any, root: Schema) -> Schema:
    """The schema with its references followed, and those of its items and of their properties."""
    schema = dereferenced(given, root)
    if not isinstance(schema.get("items"), dict):
        return schema
    items = dereferenced(schema["items"], root)
    if isinstance(items.get("properties"), dict):
        properties = {name: dereferenced(property_, root) for name, property_ in items["properties"].items()}
        items = {**items, "properties": properties}
    return {**schema, "items": items}


def title_of(name: str, schema: Schema) -> str:
    """How a person is asked for the property: its title, else words made of its name."""
    given = schema.get("title")
    if isinstance(given, str) and (title := " ".join(given.split()).rstrip(":： ")):
        return title
    return in_words(name).rstrip(":： ") or "Value"


def alternatives(schema: Schema) -> list[Schema] | None:
    """The schemas of `anyOf` or `oneOf`; None where there is no such keyword."""
    for keyword in ("anyOf", "oneOf"):
        if isinstance(schema.get(keyword), list):
            return [option for option in schema[keyword] if isinstance(option, dict)]
    return None


def types(schema: Schema) -> list[str]:
    """The types that a value may have; a schema without any takes text, as far as it does not look like another."""
    given = schema.get("type")
    if given is None:
        return ["object"] if schema.get("properties") else ["array"] if "items" in schema else ["string"]
    return [given] if isinstance(given, str) else list(given)


def is_list(schema: Schema) -> bool:
    """Whether the value is a list, which may be written one item a line."""
    if "enum" in schema or "const" in schema:
        return False
    options = alternatives(schema)
    return any(map(is_list, options)) if options is not None else "array" in types(schema)


def is_scalar(schema: Schema) -> bool:
    """Whether every value is text, a number, a boolean or null."""
    if "enum" in schema or "const" in schema:
        return not any(isinstance(option, dict | list) for option in schema.get("enum", [schema.get("const")]))
    options = alternatives(schema)
    if options is not None:
        return all(map(is_scalar, options))
    return not {"object", "array"} & set(types(schema))


def is_askable(schema: Schema) -> bool:
    """Whether a person can write a value into lines: a scalar, a list of scalars, or of flat objects, one a line."""
    options = alternatives(schema)
    if options is not None and "enum" not in schema and "const" not in schema:
        return any(is_askable(option) for option in options if types(option) != ["null"])
    if is_scalar(schema) or {"string", "integer", "number", "boolean"} & set(types(schema)):
        return True
    items = schema.get("items", {})
    return is_list(schema) and isinstance(items, dict) and (is_scalar(items) or bool(columns(items)))


def columns(items: Schema) -> tuple[Column, ...]:
    """The properties of a flat object, required ones first; none where it is no such object."""
    if types(items) != ["object"] or not isinstance(items.get("properties"), dict):
        return ()
    found = tuple(_columns(items))
    return found if all(is_scalar(column.schema) for column in found) else ()


def _columns(items: Schema) -> Iterator[Column]:
    required = items.get("required", [])
    for name in dict.fromkeys((*required, *items["properties"])):
        schema = items["properties"].get(name, {})
        schema = schema if isinstance(schema, dict) else {}
        yield Column(name, title_of(name, schema), schema, name in required)
