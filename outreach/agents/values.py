"""From what a person wrote on a line to the value that the schema wants. What has two readings has none."""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from outreach.agents import amounts, said, spelling
from outreach.agents.schemas import Column, Schema, alternatives, columns, types

LONGEST_NUMBER = 60  # characters, with currency and unit
_NONE = frozenset({"-", "–", "—", "none", "null", "n/a", "n.a", "nothing", "keine", "keiner", "aucun"})


class NotUsable(ValueError):
    """What was written is not a value of the schema's type, or could be more than one."""


def value_of(schema: Schema, text: str, about: str = "") -> Any:
    """The text as a value of the schema's type; whether that is allowed is the schema's to say.

    `about` is the title and the description of what is asked for: they say which units may stand beside a number.
    Raises NotUsable.
    """
    if "enum" in schema:
        return _option(schema["enum"], text)
    if "const" in schema:
        return _option([schema["const"]], text)
    for read in _readings(schema):
        try:
            return read(text, about)
        except NotUsable:
            continue
    raise NotUsable(text)


def _readings(schema: Schema) -> list[Callable[[str, str], Any]]:
    """The ways to read a text by the schema's types or alternatives, in its order; as nothing first."""
    options = alternatives(schema)
    if options is not None:
        ordered = sorted(options, key=lambda option: option.get("type") != "null")
        return [lambda text, about, option=option: value_of(option, text, about) for option in ordered]  # type: ignore[misc]
    kinds = sorted(types(schema), key=lambda kind: kind != "null")
    return [lambda text, about, kind=kind: _READERS[kind](schema, text, about) for kind in kinds]  # type: ignore[misc]


def _option(options: Iterable[Any], text: str) -> Any:
    """The one option that the text names: exactly, else in other letters and with other separators (IN_STOCK)."""
    options = list(options)
    for same in (lambda word: " ".join(word.split()), _fold, _without_separators):
        found = [option for option in options if same(as_word(option)) == same(text)]
        if len(found) == 1:
            return found[0]
    for option in options:
        if isinstance(option, bool) and spelling.yes_no(text) is option:
            return option
        if option is None and _is_none(text):
            return None
    raise NotUsable(text)


def as_word(option: Any) -> str:
    """A value as one would write it: text as it is, everything else as in JSON."""
    text = option if isinstance(option, str) else json.dumps(option, ensure_ascii=False)
    return " ".join(text.split())


def _fold(text: str) -> str:
    return " ".join(text.split()).casefold()


def _without_separators(text: str) -> str:
    return re.sub(r"(?<=\w)[\s_–-]+(?=\w)|_", " ", _fold(text).rstrip(".! "))


def _string(schema: Schema, text: str, _: str) -> str:
    if schema.get("format") == "date":
        day = spelling.date_alone(text)
        if day is None:  # none, or "03/04/2027", which is two, or words that may change what is meant
            raise NotUsable(text)
        return day.isoformat()
    if said.is_evasive(text):
        raise NotUsable(text)
    return text


def _integer(schema: Schema, text: str, about: str) -> int:
    number = _number(schema, text, about)
    if not isinstance(number, int):
        raise NotUsable(text)
    return number


def _number(_: Schema, text: str, about: str) -> float | int:
    alone = amounts.number_alone(text, about) if len(text) <= LONGEST_NUMBER else None
    if alone is None:  # none, or "1,250", which is two
        raise NotUsable(text)
    return int(alone) if alone == alone.to_integral_value() else float(alone)


def _boolean(_: Schema, text: str, __: str) -> bool:
    truth = spelling.yes_no(text)
    if truth is None:
        raise NotUsable(text)
    return truth


def _null(_: Schema, text: str, __: str) -> None:
    if not _is_none(text):
        raise NotUsable(text)


def _is_none(text: str) -> bool:
    return _fold(text).rstrip(".") in _NONE


def _array(schema: Schema, text: str, about: str) -> list[Any]:
    if text.startswith("["):
        return list(_json(text, list))
    items = schema.get("items", {})
    items = items if isinstance(items, dict) else {}
    if row := columns(items):
        return [_row(row, line) for line in _lines(text)]
    separator = "\n" if "\n" in text else ";" if ";" in text else ","
    parts = _lines(text) if separator == "\n" else [part.strip() for part in text.split(separator) if part.strip()]
    if not parts:
        raise NotUsable(text)
    return [value_of(items, part, about) for part in parts]


def _lines(text: str) -> list[str]:
    return [re.sub(r"^\s*(?:[-*•·–]|\d{1,2}[.)])\s+", "", line).strip() for line in text.split("\n") if line.strip()]


def _row(row: tuple[Column, ...], line: str) -> dict[str, Any]:
    """An object of a list, written as `Bolt; 12; 3.50`; what may be left out can be empty or a dash."""
    cells = [cell.strip() for cell in re.split(r"[;|\t]", line)]
    if len(cells) != len(row):
        raise NotUsable(line)
    filled = [
        (column, cell)
        for column, cell in zip(row, cells, strict=True)
        if column.is_required or not said.is_evasive(cell)
    ]
    return {column.name: value_of(column.schema, cell, column.about) for column, cell in filled}


def _object(_: Schema, text: str, __: str) -> dict[str, Any]:
    return dict(_json(text, dict))


def _json(text: str, type_: type) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotUsable(text) from error
    if not isinstance(value, type_):
        raise NotUsable(text)
    return value


_READERS: dict[str, Callable[[Schema, str, str], Any]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "null": _null,
    "array": _array,
    "object": _object,
}
