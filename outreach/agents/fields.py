"""The properties of a resultSchema as lines of a form: `Title: value`. Reads what is written and never guesses."""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from outreach.agents import spelling


class NotUsable(ValueError):
    """What was written is not a value of the field's type; the message says what one looks like."""


@dataclass(frozen=True)
class Field:
    name: str  # the property
    title: str  # how a person is asked for it
    schema: dict[str, Any]
    required: bool

    @property
    def line(self) -> str:
        return f"{self.title}: "


@dataclass(frozen=True)
class Entry:
    """What a person wrote for a field; `line` is the whole line, as evidence."""

    field: Field
    text: str
    line: str
    source_id: str


def fields_of(schema: dict[str, Any] | None) -> tuple[Field, ...]:
    """The fields to ask for; none where the schema does not list the properties of an object."""
    properties = (schema or {}).get("properties")
    if not schema or not isinstance(properties, dict):
        return ()
    required = schema.get("required", [])
    return tuple(
        Field(name, _title(name, sub), sub if isinstance(sub, dict) else {}, name in required)
        for name, sub in properties.items()
    )


def _title(name: str, schema: Any) -> str:
    given = schema.get("title") if isinstance(schema, dict) else None
    if isinstance(given, str) and given.strip():
        return " ".join(given.split()).rstrip(": ")
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_\-.]+", " ", name).split()
    title = " ".join(word if word.isupper() else word.lower() for word in words)
    return title[:1].upper() + title[1:] or name



def entries(fields: Iterable[Field], text: str, source_id: str) -> list[Entry]:
    """The lines of the text that fill in a field, in order; a line without a value fills in nothing."""
    labels = {_fold(label): field for field in fields for label in (field.name, field.title)}
    found = []
    for line in text.splitlines():
        for label, value in _splits(line):
            if (field := labels.get(_fold(label))) and value:
                found.append(Entry(field, value, line.strip(), source_id))
                break
    return found


def _splits(line: str) -> Iterable[tuple[str, str]]:
    """Every way to read the line as label and value: a title may hold a colon itself."""
    for match in re.finditer("[:：]", line):
        label = line[: match.start()].strip(" \t>*•-–_")
        yield label, line[match.end() :].strip(" \t*_\u00a0")


def _fold(label: str) -> str:
    return " ".join(label.split()).casefold()


# --- From what a person wrote to the value that the schema wants -------------------------------------------------------


def value_of(schema: dict[str, Any], text: str) -> Any:
    """The text as a value of the schema's type. Raises NotUsable; whether the value is allowed is the schema's to say."""
    if "enum" in schema:
        return _option(schema["enum"], text)
    if "const" in schema:
        return _option([schema["const"]], text)
    types = schema.get("type", "string")
    reasons = []
    for type_ in [types] if isinstance(types, str) else types:
        try:
            return _READERS[type_](schema, text)
        except NotUsable as error:
            reasons.append(str(error))
    raise NotUsable(reasons[0] if reasons else "nothing can be written here")


def describe(schema: dict[str, Any]) -> str:
    """What to write, in a few words; empty where any text will do."""
    if "enum" in schema:
        return "one of " + ", ".join(_word(option) for option in schema["enum"])
    types = schema.get("type", "string")
    kind = types if isinstance(types, str) else next((name for name in types if name != "null"), "null")
    if kind == "string":
        return {"date": "a date like 2027-01-31", "email": "an e-mail address"}.get(schema.get("format", ""), "")
    return _DESCRIPTIONS.get(kind, "")


_DESCRIPTIONS = {
    "integer": "a whole number",
    "number": "a number like 1250.50",
    "boolean": "yes or no",
    "array": "several separated by commas",
    "object": "JSON",
}


def _word(option: Any) -> str:
    if isinstance(option, bool):
        return "yes" if option else "no"
    return option if isinstance(option, str) else json.dumps(option, ensure_ascii=False)


def _option(options: Iterable[Any], text: str) -> Any:
    for option in options:
        if _fold(_word(option)) == _fold(text):
            return option
    raise NotUsable("one of " + ", ".join(_word(option) for option in options))


def _string(schema: dict[str, Any], text: str) -> str:
    if schema.get("format") != "date":
        return text
    dates = spelling.dates(text)
    if len(dates) != 1:  # none, or "03/04/2027", which is two
        raise NotUsable("a date like 2027-01-31")
    return dates.pop().isoformat()


def _integer(_: dict[str, Any], text: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,30}", text.strip()):
        raise NotUsable("a whole number")
    return int(text)


def _number(_: dict[str, Any], text: str) -> float | int:
    numbers = spelling.numbers(text) if re.fullmatch(r"[+-]?[\d.,'’\s]+", text.strip()) else set()
    if len(numbers) != 1:  # none, or "1,250", which is two
        raise NotUsable("a number like 1250.50")
    number = numbers.pop()
    return int(number) if number == number.to_integral_value() else float(number)


def _boolean(_: dict[str, Any], text: str) -> bool:
    truth = spelling.YES_NO.get(_fold(text).rstrip(".! "))
    if truth is None:
        raise NotUsable("yes or no")
    return truth


def _null(_: dict[str, Any], text: str) -> None:
    if _fold(text) not in {"-", "–", "none", "null", "n/a"}:
        raise NotUsable("a dash if there is none")


def _array(schema: dict[str, Any], text: str) -> list[Any]:
    separator = ";" if ";" in text else ","
    items = schema.get("items", {})
    parts = [part.strip() for part in text.split(separator) if part.strip()]
    return [value_of(items if isinstance(items, dict) else {}, part) for part in parts]


def _object(_: dict[str, Any], text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotUsable("JSON") from error
    if not isinstance(value, dict):
        raise NotUsable("JSON")
    return value


_READERS: dict[str, Callable[[dict[str, Any], str], Any]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "null": _null,
    "array": _array,
    "object": _object,
}
