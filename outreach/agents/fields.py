"""The properties of a resultSchema as lines of a form, `Title: value`, and the lines of a mail that fill them in."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from outreach.agents import remarks, said
from outreach.agents.schemas import Schema, is_list, title_of, with_items
from outreach.agents.schemas import is_askable as is_schema_askable

Path = tuple[str, ...]

DEEPEST = 4  # properties of properties; nobody is asked for what lies deeper
WRAPS_FROM = 60  # characters: mail programs break lines of text at 66 to 78


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

    @property
    def is_askable(self) -> bool:
        """Whether a person can write it into lines; objects within objects without end can't be."""
        return is_schema_askable(self.schema)

    @property
    def about(self) -> str:
        """All that tells what a value of it means: its title, name and description."""
        return " ".join((self.title, *self.path, str(self.schema.get("description", ""))))

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
        """A dash, a question mark, "see attachment": the line was seen, and there is no value in it."""
        return said.is_evasive(self.text)


@dataclass(frozen=True)
class Sheet:
    """A mail read as a form: what it fills in, in order, and the lines that stand beside that."""

    entries: tuple[Entry, ...]
    rest: tuple[str, ...]


def fields_of(schema: Schema | None) -> tuple[Field, ...]:
    """The fields to ask for; none where the schema does not list the properties of an object."""
    if not schema:
        return ()
    fields = tuple(_fields(with_items(schema, schema), schema, (), (), ""))
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
        schema = with_items(schema, root)
        here, steps_here = (*path, name), (*steps, name in required)
        own = title_of(name, schema)
        full = f"{title} {own if own[:2].isupper() else own[:1].lower() + own[1:]}" if title else own
        if isinstance(schema.get("properties"), dict) and schema["properties"] and len(here) < DEEPEST:
            yield from _fields(schema, root, here, steps_here, full)
        else:
            yield Field(here, full, schema, steps_here)


def _name(field: Field) -> str:
    return " ".join(".".join(field.path).split()) or "Value"


# --- From a mail to entries -----------------------------------------------------------------------


def scan(fields: Iterable[Field], text: str, source_id: str, known: Collection[str] = ()) -> Sheet:
    """The lines of the text that fill in a field; a line without a value fills in nothing.

    A line marked as quoted counts if it is new, as where somebody writes into the form that he quotes; the `known` ones
    (see `lines_of`) stood in earlier mail already.
    """
    fields = tuple(fields)
    labels = _fold_labels(fields)
    longest = max(map(len, labels), default=0)
    found: list[Entry] = []
    rest: list[str] = []
    lines, index = text.splitlines(), 0
    while index < len(lines):
        line = lines[index]
        filled, more = _filled_in(line, labels, longest), list[str]()
        if filled is None:
            rest.append(line)
        elif not (remarks.is_quoted(line) and _unmarked(line) in known):
            field, value = filled
            continued = _items if is_list(field.schema) else _wrapped
            more = list(continued(lines, index, labels, longest))
            glue = "\n" if is_list(field.schema) else " "
            whole = glue.join(filter(None, [value, *map(_without_quote_marks, more)]))
            if whole:
                found.append(Entry(field, whole, "\n".join([line.strip(), *more]), source_id))
        index += 1 + len(more)
    return Sheet(tuple(found), tuple(rest))


def _fold_labels(fields: tuple[Field, ...]) -> dict[str, Field]:
    return {_fold(_name(field)): field for field in fields} | {_fold(field.title): field for field in fields}


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
    if not _filled_in(lines[index], labels, longest)[1]:  # type: ignore[index]
        return
    while index + 1 < len(lines) and len(lines[index]) >= WRAPS_FROM:
        line, index = lines[index], index + 1
        if not _goes_on(line, lines[index], labels, longest):
            return
        yield lines[index].strip()


_BULLET = re.compile(r"\s*(?:[-*•·–]|\d{1,2}[.)])\s+")


def _items(lines: list[str], index: int, labels: dict[str, Field], longest: int) -> Iterator[str]:
    """The lines of a list below its label: those with bullets; all up to an empty one, where the label's is empty."""
    has_value = bool(_filled_in(lines[index], labels, longest)[1])  # type: ignore[index]
    while index + 1 < len(lines):
        line, index = lines[index], index + 1
        new = _without_quote_marks(lines[index])
        is_item = bool(_BULLET.match(new)) or not (has_value or remarks.is_doubtful(new) or remarks.is_harmless(new))
        if not is_item or not _goes_on(line, lines[index], labels, longest):
            return
        yield lines[index].strip()


def _goes_on(line: str, following: str, labels: dict[str, Field], longest: int) -> bool:
    is_same_quote = remarks.is_quoted(line) == remarks.is_quoted(following)
    return is_same_quote and bool(_unmarked(following)) and not _filled_in(following, labels, longest)


def _unmarked(line: str) -> str:
    return _fold(_without_quote_marks(line))


def _without_quote_marks(line: str) -> str:
    return line.strip().lstrip("> \t")


def _fold(label: str) -> str:
    return " ".join(label.split()).casefold()
