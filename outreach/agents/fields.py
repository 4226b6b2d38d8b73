"""The properties of a resultSchema as lines of a form: `Title: value`. Reads what is written and never guesses."""

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from outreach.agents import spelling

Schema = dict[str, Any]
Path = tuple[str, ...]

DEEPEST = 4  # properties of properties; what lies deeper is asked for as JSON
WRAPS_FROM = 60  # characters: mail programs break lines of text at 66 to 78
LONGEST_NUMBER = 40  # characters


class NotUsable(ValueError):
    """What was written is not a value of the field's type; the message says what one looks like."""


@dataclass(frozen=True)
class Field:
    """A property that has a value of its own, or one of a nested object."""

    path: Path  # the properties that lead to it
    title: str  # how a person is asked for it
    schema: Schema  # with local references resolved
    required_steps: tuple[bool, ...]  # for each step of the path, whether its object requires it

    @property
    def line(self) -> str:
        return f"{self.title}: "

    @property
    def pointer(self) -> str:
        """Where its value stands in the result (RFC 6901)."""
        return "".join(f"/{step.replace('~', '~0').replace('/', '~1')}" for step in self.path)

    @property
    def is_required(self) -> bool:
        return all(self.required_steps)

    def is_expected(self, filled_in: Collection[Path]) -> bool:
        """Whether a value is needed, given those that there are: an optional object that is begun must be completed."""
        *objects, is_required = self.required_steps
        return is_required and all(
            is_required or any(path[: depth + 1] == self.path[: depth + 1] for path in filled_in)
            for depth, is_required in enumerate(objects)
        )


@dataclass(frozen=True)
class Entry:
    """What a person wrote for a field; `line` is the whole line, as evidence."""

    field: Field
    text: str
    line: str
    source_id: str

    @property
    def says_nothing(self) -> bool:
        """A dash, dots, a question mark: the line was seen, and there is no value in it."""
        return not any(character.isalnum() for character in self.text)


def fields_of(schema: Schema | None) -> tuple[Field, ...]:
    """The fields to ask for; none where the schema does not list the properties of an object."""
    if not schema:
        return ()
    fields = tuple(_fields(_resolved(schema, schema), schema, (), (), ""))
    titles = Counter(_fold(field.title) for field in fields)
    return tuple(
        field
        if titles[_fold(field.title)] == 1
        else Field(field.path, _name(field), field.schema, field.required_steps)
        for field in fields
    )


def _fields(object_: Schema, root: Schema, path: Path, steps: tuple[bool, ...], title: str) -> Iterator[Field]:
    properties, required = object_.get("properties", {}), object_.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list):
        return
    # What is required comes first, in its order: PostgreSQL's jsonb keeps that of a list, and no order of keys.
    for name in dict.fromkeys((*required, *properties)):
        schema = properties.get(name, {})
        if schema is False:
            continue  # nothing may stand there
        schema = _resolved(schema, root)
        here, steps_here = (*path, name), (*steps, name in required)
        own = _title(name, schema)
        full = f"{title} {own if own[:2].isupper() else own[:1].lower() + own[1:]}" if title else own
        if isinstance(schema.get("properties"), dict) and schema["properties"] and len(here) < DEEPEST:
            yield from _fields(schema, root, here, steps_here, full)
        else:
            yield Field(here, full, schema, steps_here)


def _resolved(given: Any, root: Schema) -> Schema:
    """The schema with references into the same document followed, its own and that of its items."""
    schema: Schema = given if isinstance(given, dict) else {}
    for _ in range(10):
        all_of = schema.get("allOf")
        if isinstance(all_of, list) and len(all_of) == 1 and isinstance(all_of[0], dict):
            schema = {**all_of[0], **{key: value for key, value in schema.items() if key != "allOf"}}
        reference = schema.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#"):
            break
        schema = {**_at(root, reference), **{key: value for key, value in schema.items() if key != "$ref"}}
    if isinstance(schema.get("items"), dict) and "$ref" in schema["items"]:
        schema = {**schema, "items": _resolved(schema["items"], root)}
    return schema


def _at(root: Any, reference: str) -> Schema:
    for step in reference.lstrip("#").split("/")[1:]:
        root = root.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(root, dict) else None
    return root if isinstance(root, dict) else {}


def _title(name: str, schema: Schema) -> str:
    given = schema.get("title")
    if isinstance(given, str) and (title := " ".join(given.split()).rstrip(":： ")):
        return title
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[\s_\-.]+", " ", name).split()
    title = " ".join(word if word.isupper() else word.lower() for word in words).rstrip(":： ")
    return title[:1].upper() + title[1:] or "Value"


def _name(field: Field) -> str:
    return " ".join(".".join(field.path).split()) or "Value"


# --- From a mail to entries -----------------------------------------------------------------------


def entries(fields: Iterable[Field], text: str, source_id: str, known: Collection[str] = ()) -> list[Entry]:
    """The lines of the text that fill in a field, in order; a line without a value fills in nothing.

    A line marked as quoted counts if it is new, as where somebody writes into the form that he quotes; the `known` ones
    (see `lines_of`) stood in earlier mail already.
    """
    fields = tuple(fields)
    labels = {_fold(_name(field)): field for field in fields} | {_fold(field.title): field for field in fields}
    longest = max(map(len, labels), default=0)
    found, lines = [], text.splitlines()
    for index, line in enumerate(lines):
        if filled := _filled_in(line, labels, longest):
            field, value = filled
            if value and not (_is_quoted(line) and _unmarked(line) in known):
                wrapped = list(_wrapped(lines, index, labels, longest))
                whole = " ".join([value, *map(_without_quote_marks, wrapped)])
                found.append(Entry(field, whole, "\n".join([line.strip(), *wrapped]), source_id))
    return found


def lines_of(text: str) -> set[str]:
    """The lines of a mail, to recognise them by where somebody quotes it."""
    return {_unmarked(line) for line in text.splitlines()}


def _filled_in(line: str, labels: dict[str, Field], longest: int) -> tuple[Field, str] | None:
    """The field and value of the line; the longest label wins, since a title may hold a colon itself."""
    for match in reversed(list(re.finditer("[:：]", line[: 2 * longest + 20]))):
        before, after = line[: match.start()], line[match.end() :]
        if field := labels.get(_fold(before.strip(" \t>*•·-–_"))):
            return field, _without_marks(before, after)
    return None


def _without_marks(before: str, after: str) -> str:
    """The value without the asterisks that a mail program makes of bold letters: `*Name:* Bob`, `Name: *Bob*`."""
    value = after.strip()
    before = before.lstrip(" \t>•·-–")
    for mark in ("**", "*"):
        if before.startswith(mark) and not before.rstrip().endswith(mark):
            value = value.removeprefix(mark).strip()
            break
    for mark in ("**", "*"):
        if value.startswith(mark) and value.endswith(mark) and len(value) > 2 * len(mark):
            return value[len(mark) : -len(mark)].strip()
    return value


def _wrapped(lines: list[str], index: int, labels: dict[str, Field], longest: int) -> Iterator[str]:
    """The lines by which a mail program has continued the one at the index because it was long."""
    while index + 1 < len(lines) and len(lines[index]) >= WRAPS_FROM:
        line, index = lines[index], index + 1
        is_same_quote = _is_quoted(line) == _is_quoted(lines[index])
        if not is_same_quote or not _unmarked(lines[index]) or _filled_in(lines[index], labels, longest):
            return
        yield lines[index].strip()


def _is_quoted(line: str) -> bool:
    return line.lstrip().startswith(">")


def _unmarked(line: str) -> str:
    return _fold(_without_quote_marks(line))


def _without_quote_marks(line: str) -> str:
    return line.strip().lstrip("> \t")


def _fold(label: str) -> str:
    return " ".join(label.split()).casefold()


# --- From what a person wrote to the value that the schema wants ----------------------------------


def value_of(schema: Schema, text: str) -> Any:
    """The text as a value of the schema's type; whether that is allowed is the schema's to say. Raises NotUsable."""
    if "enum" in schema:
        return _option(schema["enum"], text)
    if "const" in schema:
        return _option([schema["const"]], text)
    reasons = []
    for read in _readings(schema):
        try:
            return read(text)
        except NotUsable as error:
            reasons.append(str(error))
    raise NotUsable(reasons[-1] if reasons else "left empty")


def _readings(schema: Schema) -> list[Callable[[str], Any]]:
    """The ways to read a text by the schema's types or alternatives, in its order; as nothing first."""
    for keyword in ("anyOf", "oneOf"):
        if isinstance(schema.get(keyword), list):
            options = sorted(
                (option for option in schema[keyword] if isinstance(option, dict)),
                key=lambda option: option.get("type") != "null",
            )
            return [lambda text, option=option: value_of(option, text) for option in options]  # type: ignore[misc]
    types = schema.get("type", "string")
    ordered = sorted([types] if isinstance(types, str) else types, key=lambda type_: type_ != "null")
    return [lambda text, type_=type_: _READERS[type_](schema, text) for type_ in ordered]  # type: ignore[misc]


def _option(options: Iterable[Any], text: str) -> Any:
    options = list(options)
    for option in options:
        if _fold(_word(option)) == _fold(text):
            return option
    for option in options:
        if isinstance(option, bool) and spelling.yes_no(text) is option:
            return option
        if option is None and _is_none(text):
            return None
    raise NotUsable(_one_of(options))


def _string(schema: Schema, text: str) -> str:
    if schema.get("format") == "date":
        day = spelling.date_alone(text)
        if day is None:  # none, or "03/04/2027", which is two, or words that may change what is meant
            raise NotUsable(_FORMATS["date"])
        return day.isoformat()
    if not any(character.isalnum() for character in text):
        raise NotUsable("filled in")
    return text


def _integer(schema: Schema, text: str) -> int:
    try:
        number = _number(schema, text)
    except NotUsable as error:
        raise NotUsable("a whole number") from error
    if not isinstance(number, int):
        raise NotUsable("a whole number")
    return number


def _number(_: Schema, text: str) -> float | int:
    is_one = len(text) <= LONGEST_NUMBER and re.fullmatch(r"[+-]?\d[\d.,'’\s]*", text.strip())
    numbers = spelling.numbers(text) if is_one else set()
    if len(numbers) != 1:  # none, or "1,250", which is two
        raise NotUsable("a number like 1250.50")
    number = numbers.pop()
    return int(number) if number == number.to_integral_value() else float(number)


def _boolean(_: Schema, text: str) -> bool:
    truth = spelling.yes_no(text)
    if truth is None:
        raise NotUsable("yes or no")
    return truth


def _null(_: Schema, text: str) -> None:
    if not _is_none(text):
        raise NotUsable("a dash if there is none")


def _is_none(text: str) -> bool:
    return _fold(text).rstrip(".") in {
        "-",
        "–",
        "—",
        "none",
        "null",
        "n/a",
        "n.a",
        "nothing",
        "keine",
        "keiner",
        "aucun",
    }


def _array(schema: Schema, text: str) -> list[Any]:
    if text.startswith("["):
        return list(_json(text, list))
    separator = ";" if ";" in text else ","
    items = schema.get("items", {})
    parts = [part.strip() for part in text.split(separator) if part.strip()]
    return [value_of(items if isinstance(items, dict) else {}, part) for part in parts]


def _object(_: Schema, text: str) -> dict[str, Any]:
    return dict(_json(text, dict))


def _json(text: str, type_: type) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotUsable("JSON") from error
    if not isinstance(value, type_):
        raise NotUsable("JSON")
    return value


_READERS: dict[str, Callable[[Schema, str], Any]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "null": _null,
    "array": _array,
    "object": _object,
}


# --- What to write, in words ----------------------------------------------------------------------


def describe(schema: Schema) -> str:
    """What to write, in a few words that go on from "as" or "needs to be"; empty where any text will do."""
    if "enum" in schema or "const" in schema:
        return _one_of(schema.get("enum", [schema.get("const")]))
    for keyword in ("anyOf", "oneOf"):
        if isinstance(schema.get(keyword), list):
            described = [describe(option) for option in schema[keyword] if isinstance(option, dict)]
            return " or ".join(dict.fromkeys(filter(None, described)))
    types = schema.get("type", "string")
    kind = types if isinstance(types, str) else next((name for name in types if name != "null"), "null")
    return _DESCRIBERS[kind](schema) if kind in _DESCRIBERS else ""


def demands(schema: Schema) -> str:
    """As `describe`, but never empty, for somebody who has written what can't be used."""
    return describe(schema) or "something else"


_FORMATS = {
    "date": "a date like 2027-01-31",
    "date-time": "a date and time like 2027-01-31T14:00:00Z",
    "time": "a time like 14:00:00Z",
    "email": "an e-mail address",
    "uri": "a web address like https://example.com/",
}


def _describe_string(schema: Schema) -> str:
    if known := _FORMATS.get(schema.get("format", "")):
        return known
    if isinstance(schema.get("examples"), list) and schema["examples"]:
        return f"something like {_word(schema['examples'][0])}"
    if "pattern" in schema:
        return f"text of the form {_word(schema['pattern'])}"
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if most is not None:
        return f"{least} to {most} characters" if least else f"at most {most} characters"
    return f"at least {least} characters" if least > 1 else ""


def _describe_number(schema: Schema) -> str:
    is_whole = schema.get("type") == "integer" or schema.get("type") == ["integer", "null"]
    noun = "a whole number" if is_whole else "a number"
    bounds = ", ".join(f"{words} {_word(schema[keyword])}" for keyword, words in _BOUNDS.items() if keyword in schema)
    if bounds:
        return f"{noun} ({bounds})"
    return noun if is_whole else "a number like 1250.50"


_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
    "multipleOf": "in steps of",
}
_DESCRIBERS: dict[str, Callable[[Schema], str]] = {
    "string": _describe_string,
    "integer": _describe_number,
    "number": _describe_number,
    "boolean": lambda _: "yes or no",
    "array": lambda schema: "JSON" if _holds_objects(schema) else "one or more, separated by commas",
    "object": lambda _: "JSON",
}


def _holds_objects(schema: Schema) -> bool:
    return isinstance(schema.get("items"), dict) and schema["items"].get("type") in ("object", "array")


def _one_of(options: Iterable[Any]) -> str:
    return listed([_word(option) for option in options], "or")


def listed(words: list[str], last: str = "and") -> str:
    """`a, b and c`"""
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else ""


def _word(option: Any) -> str:
    if isinstance(option, bool):
        return "yes" if option else "no"
    if option is None:
        return "a dash"
    text = option if isinstance(option, str) else json.dumps(option, ensure_ascii=False)
    return " ".join(text.split())
