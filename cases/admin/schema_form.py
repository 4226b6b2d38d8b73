"""A form drawn from a resultSchema: a field for each value, and what is typed there read back as JSON.

Drawn are objects, text, numbers, yes or no, choices, dates, lists of single values (one a line) and of objects. For
what a schema describes in other ways (`oneOf`, `patternProperties`, several types …) that part alone is a field for
JSON. The form never decides what is valid: result_schema does, and its errors are put to their fields.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, ClassVar

from cases.values import pointer

MAX_PARTS = 300  # of one form; what is beyond is written as JSON
MAX_DEPTH = 6
MAX_ROWS = 100
LONG_CHARS = 120  # text that may be longer gets room for several lines
REQUIRED = "This field is required."
ABSENT: Any = object()  # the value of a field that says nothing

Schema = dict[str, Any]
Said = Mapping[str, Any]  # the posted form
ReadJson = Callable[[str], Any]  # raises ValueError with what is wrong


@dataclass
class Part:
    """A part of the form. `name`, of positions, is its field's and its id: a schema's own names may be anything."""

    kind: ClassVar[str]  # which template draws it

    name: str
    label: str
    schema: Schema
    is_required: bool = True
    is_nullable: bool = False
    text: str = ""  # what stands in the field
    quotes: list[Any] = field(default_factory=list)  # where a value that is filled in already comes from
    errors: list[str] = field(default_factory=list)

    @property
    def help(self) -> str:
        """What the schema says about it."""
        given = self.schema.get("description")
        return given if isinstance(given, str) else ""

    @property
    def hint(self) -> str:
        """What it may be, in a line."""
        return "; ".join(_hints(self.schema))

    @property
    def described_by(self) -> str:
        """The ids of what explains it."""
        ends = (("help", self.help), ("hint", self.hint), ("quotes", self.quotes), ("errors", self.errors))
        return " ".join(f"{self.name}-{end}" for end, shown in ends if shown)

    @property
    def is_blank(self) -> bool:
        return not self.text.strip()

    def fill(self, value: Any, quotes: Mapping[str, list[Any]], place: str = "") -> None:
        """Show the value, which is at `place` in the result."""
        self.text = _plain(value)
        self.quotes = quotes.get(place, [])

    def read(self, said: Said) -> None:
        """Take what was typed."""
        self.text = str(said.get(self.name, "")).replace("\r\n", "\n")

    def value(self) -> Any:
        """What it says, or ABSENT; what is wrong with it is put to `errors`."""
        if self.is_blank:
            if self.is_required and self.is_nullable:
                return None
            if self.is_required:
                self.errors.append(REQUIRED)
            return ABSENT
        try:
            return self.parsed(self.text.strip())
        except ValueError as error:
            self.errors.append(str(error))
            return ABSENT

    def parsed(self, text: str) -> Any:
        """The value of a text that is not empty. Raises ValueError."""
        return text

    def place_error(self, steps: list[str], message: str) -> None:
        """Put an error about what is at `steps` below this part to where it can be mended."""
        self.errors.append(f"{' › '.join(_counted(steps))}: {message}" if steps else message)

    def parts_within(self) -> Iterator["Part"]:
        """It and all parts below it."""
        yield self

    @property
    def has_errors(self) -> bool:
        return any(part.errors for part in self.parts_within())


class Text(Part):
    kind = "text"

    @property
    def is_long(self) -> bool:
        """Whether it gets room for several lines."""
        if "\n" in self.text:
            return True
        if any(key in self.schema for key in ("format", "pattern")):
            return False
        return not isinstance(limit := self.schema.get("maxLength"), int) or limit > LONG_CHARS

    @property
    def input_type(self) -> str:
        kinds = {"date": "date", "email": "email", "uri": "url"}
        found = kinds.get(str(self.schema.get("format")), "text")
        # A field for dates shows nothing where it is given something else.
        return "text" if found == "date" and self.text and not _is_date(self.text) else found

    def parsed(self, text: str) -> str:
        if "\x00" in text:  # PostgreSQL stores none
            raise ValueError("Contains a character that can't be stored.")
        return text


_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")


class Number(Part):
    kind, input_type = "number", "text"

    def parsed(self, text: str) -> int | float:
        return _number(text)


def _number(text: str) -> int | float:
    if not _NUMBER.fullmatch(text) or len(text) > 300:
        raise ValueError("Write a number, with a point before its decimals and nothing else: 1250.5")
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError("This number is too large.")
    return number


class Choice(Part):
    """One of the values that the schema lists."""

    kind = "choice"

    @property
    def values(self) -> list[Any]:
        return _listed(self.schema)

    @property
    def options(self) -> list[tuple[str, str, bool]]:
        """Number, words and whether it is chosen."""
        return [(str(number), _in_words(value), self.text == str(number)) for number, value in enumerate(self.values)]

    @property
    def is_fixed(self) -> bool:
        """Whether it can be nothing else."""
        return self.is_required and len(self.values) == 1

    @property
    def is_blank(self) -> bool:
        return not self.text or self.is_fixed  # which does not tell whether the object that it stands in is there

    def fill(self, value: Any, quotes: Mapping[str, list[Any]], place: str = "") -> None:
        self.text = next((str(number) for number, one in enumerate(self.values) if _same(one, value)), "")
        self.quotes = quotes.get(place, [])

    def value(self) -> Any:
        return self.values[0] if self.is_fixed else super().value()

    def parsed(self, text: str) -> Any:
        if not text.isdecimal() or len(text) > 6 or int(text) >= len(self.values):
            raise ValueError("Choose one of the values.")
        return self.values[int(text)]


class Lines(Part):
    """A list of texts or numbers, one a line."""

    kind = "lines"

    @property
    def hint(self) -> str:
        items = self.schema["items"]
        return "; ".join(["one a line", *_hints(items), *_hints(self.schema)])

    def fill(self, value: Any, quotes: Mapping[str, list[Any]], place: str = "") -> None:
        self.text = "\n".join(_plain(item) for item in value)
        self.quotes = _below(quotes, place)

    def value(self) -> Any:
        lines = [line.strip() for line in self.text.split("\n") if line.strip()]
        if not lines:
            return _nothing(self)
        return [self._item(number, line) for number, line in enumerate(lines, start=1)]

    def _item(self, number: int, line: str) -> Any:
        items = self.schema["items"]
        try:
            if _types(items) == ["string"]:
                return Text(self.name, "", items).parsed(line)
            return _yes_or_no(line) if _types(items) == ["boolean"] else _number(line)
        except ValueError as error:
            self.errors.append(f"Line {number}: {error}")
            return None


class Several(Part):
    """A list of some of the values that the schema lists."""

    kind = "several"
    chosen: tuple[int, ...] = ()

    @property
    def values(self) -> list[Any]:
        return _listed(self.schema["items"])

    @property
    def options(self) -> list[tuple[str, str, bool]]:
        return [(str(number), _in_words(value), number in self.chosen) for number, value in enumerate(self.values)]

    @property
    def is_blank(self) -> bool:
        return not self.chosen

    def fill(self, value: Any, quotes: Mapping[str, list[Any]], place: str = "") -> None:
        self.chosen = tuple(
            number for number, one in enumerate(self.values) if any(_same(one, given) for given in value)
        )
        self.quotes = _below(quotes, place)

    def read(self, said: Said) -> None:
        given = said.getlist(self.name) if hasattr(said, "getlist") else [said.get(self.name, "")]
        self.chosen = tuple(number for number in range(len(self.values)) if str(number) in given)

    def value(self) -> Any:
        return [self.values[number] for number in self.chosen] or _nothing(self)


class Json(Part):
    """What can't be drawn: JSON, as the schema describes it."""

    kind = "json"
    read_json: ReadJson

    @property
    def hint(self) -> str:
        return "JSON, by the part of the schema below"

    def fill(self, value: Any, quotes: Mapping[str, list[Any]], place: str = "") -> None:
        self.text = json.dumps(value, indent=2, ensure_ascii=False)
        self.quotes = _below(quotes, place)

    def parsed(self, text: str) -> Any:
        return self.read_json(text)


@dataclass
class Group(Part):
    """An object: a part for each of its names."""

    kind: ClassVar[str] = "group"
    parts: dict[str, Part] = field(default_factory=dict)

    @property
    def is_blank(self) -> bool:
        return all(part.is_blank for part in self.parts.values())

    def fill(self, value: Any, quotes: Mapping[str, list[Any]], place: str = "") -> None:
        for name, part in self.parts.items():
            if isinstance(value, dict) and value.get(name) is not None and _fits(part, value[name]):
                part.fill(value[name], quotes, place + pointer((name,)))

    def read(self, said: Said) -> None:
        for part in self.parts.values():
            part.read(said)

    def value(self) -> Any:
        if self.is_blank and not self.is_required:
            return ABSENT
        if self.is_blank and self.is_nullable:
            return None
        values = {name: part.value() for name, part in self.parts.items()}
        return {name: value for name, value in values.items() if value is not ABSENT}

    def place_error(self, steps: list[str], message: str) -> None:
        if steps and steps[0] in self.parts:
            self.parts[steps[0]].place_error(steps[1:], message)
        elif not self._is_told(message):
            super().place_error(steps, message)

    def _is_told(self, message: str) -> bool:
        """Whether it is what a field that must not be empty, or can't be read, says itself."""
        missing = (name for name, part in self.parts.items() if part.errors)
        return any(message == f"{json.dumps(name, ensure_ascii=False)} is a required property" for name in missing)

    def parts_within(self) -> Iterator[Part]:
        yield self
        for part in self.parts.values():
            yield from part.parts_within()


@dataclass
class Rows(Part):
    """A list of objects: a group for each, to which one can be added and which can be taken out."""

    kind: ClassVar[str] = "rows"
    rows: dict[int, Group] = field(default_factory=dict)  # by number, which stays when others are taken out
    row: Callable[[int], Group] = field(default=lambda number: Group("", "", {}))
    newest: int | None = None  # the one that was just added

    @property
    def numbers(self) -> str:
        return " ".join(map(str, self.rows))

    @property
    def is_blank(self) -> bool:
        return all(row.is_blank for row in self.rows.values())

    def fill(self, value: Any, quotes: Mapping[str, list[Any]], place: str = "") -> None:
        self.rows = {number: self.row(number) for number in range(min(len(value), MAX_ROWS))}
        for number, row in self.rows.items():
            row.fill(value[number], quotes, f"{place}/{number}")

    def read(self, said: Said) -> None:
        given = re.findall(r"\d{1,4}", str(said.get(f"{self.name}-rows", "")))
        numbers = list(dict.fromkeys(map(int, given)))[:MAX_ROWS]
        self.rows = {number: self.row(number) for number in numbers if said.get("take_out") != f"{self.name}-{number}"}
        if said.get("add") == self.name and len(self.rows) < MAX_ROWS:
            self.newest = max(self.rows, default=-1) + 1
            self.rows[self.newest] = self.row(self.newest)
        for row in self.rows.values():
            row.read(said)

    def value(self) -> Any:
        self.rows = {number: row for number, row in self.rows.items() if not row.is_blank}
        return [row.value() for row in self.rows.values()] or _nothing(self)

    def place_error(self, steps: list[str], message: str) -> None:
        rows = list(self.rows.values())
        if steps and steps[0].isdecimal() and int(steps[0]) < len(rows):
            rows[int(steps[0])].place_error(steps[1:], message)
        else:
            super().place_error(steps, message)

    def parts_within(self) -> Iterator[Part]:
        yield self
        for row in self.rows.values():
            yield from row.parts_within()


# --- From a schema to its form --------------------------------------------------------------------


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
        types = _types(schema)
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
            key: self.part(part, f"{name}-{number}", label=in_words(key), is_required=key in required, depth=depth + 1)
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
        if len(types := _types(items)) == 1 and types[0] in ("string", "integer", "number", "boolean"):
            return Lines(name, label, schema, **common) if "const" not in items else None
        if _types(items) != ["object"] or self._group(items, name, label, {}, depth + 1) is None:
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
            reference = schema.get("$ref")
            if isinstance(reference, str) and (target := _at(self.root, reference)) is not None:
                schema = {**target, **_without(schema, "$ref")}
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


def _at(root: Any, reference: str) -> Schema | None:
    """What a reference within the document leads to; None for any other, and for one that leads nowhere."""
    if not reference.startswith("#/"):
        return None
    for step in reference[2:].split("/"):
        root = root.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(root, dict) else None
    return root if isinstance(root, dict) else None


def _types(schema: Schema) -> list[str]:
    given = schema.get("type")
    if given is None:
        return ["object"] if isinstance(schema.get("properties"), dict) else []
    return [given] if isinstance(given, str) else [str(one) for one in given]


def _title(schema: Schema) -> str:
    given = schema.get("title")
    return " ".join(given.split()) if isinstance(given, str) else ""


def in_words(name: str) -> str:
    """A property's name as people would write it: `invoiceNumber` is "Invoice number"."""
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[\s_\-.]+", " ", name).split()
    words = " ".join(part if part.isupper() else part.lower() for part in parts)
    return words[:1].upper() + words[1:] or name


# --- Values ---------------------------------------------------------------------------------------


def _fits(part: Part, value: Any) -> bool:
    """Whether a value that was found can be shown there; what can't be is left for the person to type."""
    if isinstance(part, Group):
        return isinstance(value, dict)
    if isinstance(part, Rows):
        return isinstance(value, list) and all(isinstance(row, dict) for row in value)
    if isinstance(part, Lines | Several):
        return isinstance(value, list) and not any(isinstance(one, dict | list) or "\n" in _plain(one) for one in value)
    return isinstance(part, Json | Choice) or not isinstance(value, dict | list)


def _nothing(part: Part) -> Any:
    """An empty list where one has to be there: that is how it says none."""
    if not part.is_required:
        return ABSENT
    return None if part.is_nullable else []


def _listed(schema: Schema) -> list[Any]:
    if "const" in schema:
        return [schema["const"]]
    return list(schema["enum"]) if "enum" in schema else [True, False]


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _in_words(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else _plain(value)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _yes_or_no(text: str) -> bool:
    said = {"yes": True, "true": True, "no": False, "false": False}.get(text.lower())
    if said is None:
        raise ValueError("Write yes or no.")
    return said


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == 10


def _below(quotes: Mapping[str, list[Any]], place: str) -> list[Any]:
    return [quote for path, found in quotes.items() if f"{path}/".startswith(f"{place}/") for quote in found]


def _counted(steps: list[str]) -> list[str]:
    return [f"no. {int(step) + 1}" if step.isdecimal() and len(step) < 7 else step for step in steps]


_LIMITS = (
    ("minimum", "at least {}"),
    ("exclusiveMinimum", "more than {}"),
    ("maximum", "at most {}"),
    ("exclusiveMaximum", "less than {}"),
    ("multipleOf", "a multiple of {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {} of them"),
    ("maxItems", "at most {} of them"),
    ("pattern", "written like {}"),
)
_FORMATS = {
    "date-time": "date and time with a zone, like 2026-01-31T09:00:00Z",
    "time": "like 09:00:00Z",
    "email": "an e-mail address",
    "uri": "an address like https://www.example.com",
    "uuid": "a UUID",
}


def _hints(schema: Schema) -> Iterator[str]:
    if _types(schema) == ["integer"]:
        yield "a whole number"
    if hint := _FORMATS.get(str(schema.get("format"))):
        yield hint
    for key, words in _LIMITS:
        limit = schema.get(key)
        if isinstance(limit, int | float | str) and not isinstance(limit, bool):
            yield words.format(limit)
    examples = schema.get("examples")
    if isinstance(examples, list) and examples:
        yield f"for example {', '.join(map(_plain, examples[:3]))}"


# --- Errors ---------------------------------------------------------------------------------------


def place_errors(form: Part, errors: list[dict[str, str]]) -> None:
    """Put errors of result_schema, `{path, message}`, to the fields that they are about."""
    for error in errors:
        steps = [step.replace("~1", "/").replace("~0", "~") for step in error["path"].split("/")[1:]]
        form.place_error(steps, error["message"])
