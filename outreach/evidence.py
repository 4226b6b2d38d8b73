"""Whether a result may be believed: every value has a source, and the source really says so. For every agent."""

import csv
import json
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import partial
from typing import Any

from cases import result_schema
from outreach import schema_places
from outreach.agents import clock_times, spelling
from outreach.agents.base import CaseView, Mail, Source
from outreach.passages import Passage, passages, plain

LEAST_COPIED = 2  # lines of our own mail one after the other that make them a copy, where nothing marks it

By = dict[str, list[Passage]]  # a JSON Pointer to the passages that were quoted for it and do stand there


def errors(case: CaseView, result: Any, sources: tuple[Source, ...]) -> list[str]:
    """What speaks against completing with this result: schema violations first, then what has no evidence."""
    found = result_schema.errors(case.result_schema, result)
    violations = [f"{error['path'] or 'result'}: {error['message']}" for error in found]
    return violations or list(_unsourced(case, result, sources))


def _unsourced(case: CaseView, result: Any, sources: tuple[Source, ...]) -> Iterator[str]:
    quoted = _quoted(case, sources)
    yield from _invented_names(case.result_schema, result, quoted)
    for path, value in leaves(result):
        if value is None or value == "":
            continue  # says that there is nothing; nothing needs a source
        if path not in quoted:
            yield f"{path or 'result'}: no source is given"
        elif not _prove(quoted[path], value, case.result_schema, path):
            written = json.dumps(value, ensure_ascii=False)
            yield f"{path or 'result'}: the quoted source does not say {written}{_why(quoted[path], value)}"


def _quoted(case: CaseView, sources: tuple[Source, ...]) -> By:
    texts = source_texts(case)
    quoted: By = {}
    for source in sources:
        for text in texts.get(source.source_id, ()):
            for quote in {source.quote, _cells(source.quote)}:
                quoted.setdefault(source.path, []).extend(passages(text, quote))
        quoted.setdefault(source.path, [])
    return quoted


_NOTHING = object()


def borne_out(case: CaseView, result: Any, sources: tuple[Source, ...]) -> tuple[Any, tuple[Source, ...]]:
    """Of a result that may be incomplete the values that have evidence, with their sources; (None, ()) for none.

    A list is taken whole or not at all, since sources name its items by their places.
    """
    quoted = _quoted(case, sources) if result is not None else {}

    def kept(value: Any, path: str) -> Any:
        if isinstance(value, dict):
            known = schema_places.names_at(case.result_schema, path)
            inner = {
                name: kept(item, pointer(path, name))
                for name, item in value.items()
                if name in known or _is_said(name, pointer(path, name), quoted)
            }
            inner = {name: item for name, item in inner.items() if item is not _NOTHING}
            return inner or _NOTHING
        if isinstance(value, list):
            items = [kept(item, f"{path}/{index}") for index, item in enumerate(value)]
            return items if items and items == value else _NOTHING
        if value is None or value == "" or path not in quoted:
            return _NOTHING
        return value if _prove(quoted[path], value, case.result_schema, path) else _NOTHING

    values = kept(result, "")
    if values is _NOTHING:
        return None, ()
    paths = {path for path, _ in leaves(values)}
    return values, tuple(source for source in sources if source.path in paths)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every scalar of a JSON value with its JSON Pointer (RFC 6901)."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, pointer(path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}/{index}")
    else:
        yield path, value


def pointer(path: str, name: str) -> str:
    return f"{path}/{name.replace('~', '~0').replace('/', '~1')}"


# --- Names ------------------------------------------------------------------------------------------


def _invented_names(schema: Any, result: Any, quoted: By) -> Iterator[str]:
    """Names in objects that the schema does not give: those are said by somebody, or invented."""
    for path, name in _names(result):
        own = pointer(path, name)
        if name not in schema_places.names_at(schema, path) and not _is_said(name, own, quoted):
            yield f"{own}: the schema knows no such name, and no quote for it or for what it holds has it"


def _names(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every name in every object, with the pointer to the object."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield path, name
            yield from _names(item, pointer(path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _names(item, f"{path}/{index}")


def _is_said(name: str, own: str, quoted: By) -> bool:
    spelled = re.sub(r"(?<=[a-z\d])(?=[A-Z])|[_-]+", " ", name)
    found = (passage for path, all_ in quoted.items() if path == own or path.startswith(f"{own}/") for passage in all_)
    return any(passage.holds(name) or passage.holds(spelled) for passage in found)


# --- Values -----------------------------------------------------------------------------------------


def _prove(found: list[Passage], value: Any, schema: Any, path: str) -> bool:
    if isinstance(value, bool) or schema_places.lists_values(schema, path):
        return any(_decides(passage, value) for passage in found)
    if isinstance(value, int | float):
        is_said = partial(_has_number, value=Decimal(str(value)), is_whole=schema_places.wants_integer(schema, path))
        return any(is_said(passage) for passage in found)
    return any(passage.holds(value) for passage in found) or _is_date(found, value) or _is_moment(found, value)


def _decides(passage: Passage, value: Any) -> bool:
    """Whether the passage can be looked at as what a choice was made by: its own words, or a statement of any.

    "We can't make it" is a no: the choice need not occur. Whether a statement means it, no code can tell.
    """
    if isinstance(value, bool):
        answers = passage.yes_no()
        if spelling.yes_no(passage.words) is (not value):
            return False
        return passage.is_statement or answers == {value}
    if isinstance(value, int | float) and Decimal(str(value)) in passage.numbers:
        return True
    return passage.is_statement or (isinstance(value, str) and len(value) > 1 and passage.holds(value))


def _has_number(passage: Passage, *, value: Decimal, is_whole: bool) -> bool:
    if value in passage.numbers:
        return True
    return is_whole and value in passage.readable_numbers and value == value.to_integral_value()


def _is_date(found: Iterable[Passage], value: str) -> bool:
    """Whether a passage names the day, in a spelling that can be read in one way only."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return False
    return any(spelling.dates(value) & passage.dates for passage in found)


def _is_moment(found: list[Passage], value: str) -> bool:
    """Whether the passages together name day, time and zone of the value, in any spelling and any zone."""
    at = clock_times.moment(value)
    if at is None:
        return False
    zones = [zone for passage in found for zone in clock_times.zones(passage.words)]
    days = {day for passage in found for day in passage.dates}
    times = {time for passage in found for time in clock_times.times(passage.words)}
    return any(shown.date() in days and shown.time() in times for shown in clock_times.clock_readings(at, zones))


def _why(found: list[Passage], value: bool | float | str) -> str:
    """What is wrong with the quotes, where that can be told."""
    if not found:
        return ": the quote does not stand there, in whole words"
    if isinstance(value, bool):
        return ""
    if isinstance(value, int | float):
        readings = {reading for passage in found for reading in passage.readable_numbers}
        return ": it can be read in two ways" if Decimal(str(value)) in readings else ""
    at = clock_times.moment(value)
    if at and at.tzinfo and not any(clock_times.zones(passage.words) for passage in found):
        return ": no time zone is quoted"
    days = {day for passage in found for day in spelling.dates(passage.words)}
    return ": it can be read in two ways" if at is None and spelling.dates(value) & days else ""


# --- Texts that count -------------------------------------------------------------------------------


def source_texts(case: CaseView) -> dict[str, list[str]]:
    """What can be quoted, by id, in plain spelling: mail and files from the other side, human answers, the goal.

    Not our mail, nor what theirs repeats of it.
    """
    ours = [mail for mail in case.thread if mail.from_us]
    theirs = case.from_counterparty
    texts = {mail.id: [_their_words(mail.text, ours)] for mail in theirs}
    for file in (file for mail in theirs for file in mail.files):
        words = _their_words(file.text, ours)
        texts[file.id] = [words, _cells(words)] if file.type == "text/csv" else [words]
    texts |= {answer.id: [plain(answer.text)] for answer in case.answers}
    # As words, and as the JSON that models are shown: a quote of either is literal.
    texts["goal"] = [plain("\n".join(_lines(case.goal))), plain(json.dumps(case.goal, ensure_ascii=False))]
    return texts


def _cells(text: str) -> str:
    """The cells of comma-separated values, apart from each other: the comma in `1,250` may be a mark or a border."""
    lines = text.splitlines()
    delimiter = max(",;\t", key=(lines or [""])[0].count)
    try:
        return "\n".join("\t".join(row) for row in csv.reader(lines, delimiter=delimiter))
    except csv.Error:  # a cell longer than the module takes
        return text


def _lines(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _lines(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from _lines(item, name)
    else:
        said = value if isinstance(value, str) else json.dumps(value)
        yield f"{name}: {said}" if name else said


def _their_words(text: str, ours: list[Mail]) -> str:
    """The plain text without what it repeats of our own mail: marked as a quote, or several lines on end."""
    our_words = "\n".join(" ".join(plain(mail.text).split()) for mail in ours)
    our_lines = {" ".join(line.split()) for mail in ours for line in plain(mail.text).splitlines()} - {""}
    lines = plain(text).splitlines()
    dropped: set[int] = set()
    run: list[int] = []
    for index, line in enumerate(lines):
        bare = " ".join(line.lstrip("> |\t").split())
        if bare and line.lstrip().startswith((">", "|")) and bare in our_words:
            dropped.add(index)
        if bare in our_lines:
            run.append(index)
        elif bare:
            dropped |= set(run) if len(run) >= LEAST_COPIED else set()
            run = []
    dropped |= set(run) if len(run) >= LEAST_COPIED else set()
    return "\n".join("" if index in dropped else line for index, line in enumerate(lines))
