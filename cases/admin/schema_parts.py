"""The fields of a form that is drawn from a resultSchema: what each kind shows, and what it reads back.

A field holds text as it was typed until it is asked for its value, so that whatever is wrong can be shown again.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, ClassVar

from cases.schema_reading import LIMITS
from cases.values import pointer

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
            if types_of(items) == ["string"]:
                return Text(self.name, "", items).parsed(line)
            return _yes_or_no(line) if types_of(items) == ["boolean"] else _number(line)
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


_FORMATS = {
    "date-time": "date and time with a zone, like 2026-01-31T09:00:00Z",
    "time": "like 09:00:00Z",
    "email": "an e-mail address",
    "uri": "an address like https://www.example.com",
    "uuid": "a UUID",
}


def _hints(schema: Schema) -> Iterator[str]:
    if types_of(schema) == ["integer"]:
        yield "a whole number"
    if hint := _FORMATS.get(str(schema.get("format"))):
        yield hint
    for key, words in LIMITS.items():
        limit = schema.get(key)
        if isinstance(limit, int | float | str) and not isinstance(limit, bool):
            yield words.format(limit)
    examples = schema.get("examples")
    if isinstance(examples, list) and examples:
        yield f"for example {', '.join(map(_plain, examples[:3]))}"


def types_of(schema: Schema) -> list[str]:
    """The types that the schema allows; none where it does not say."""
    given = schema.get("type")
    if given is None:
        return ["object"] if isinstance(schema.get("properties"), dict) else []
    return [given] if isinstance(given, str) else [str(one) for one in given]
