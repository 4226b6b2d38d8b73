"""JSON from outside, value by value: for tables that people read."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

MAX_VALUES = 200  # of one object
MAX_DEPTH = 20

Steps = tuple[str | int, ...]  # from the root of a JSON value to a place in it


@dataclass(frozen=True)
class Entry:
    """A value that holds no further values: its place as a JSON Pointer (RFC 6901) and in words."""

    path: str
    place: str
    value: Any

    @property
    def needs_source(self) -> bool:
        """Whether it says anything at all."""
        return self.value is not None and self.value not in ("", [], {})


def table(thing: Any) -> list[Entry]:
    """The single values of a JSON value, at most MAX_VALUES; a scalar is one, its path and place empty."""
    return [Entry(pointer(steps), in_words(steps), value) for steps, value in islice(leaves(thing), MAX_VALUES)]


def leaves(value: Any, steps: Steps = ()) -> Iterator[tuple[Steps, Any]]:
    """Place and value of everything that holds no further values, or lies deeper than MAX_DEPTH."""
    if not value or not isinstance(value, dict | list) or len(steps) == MAX_DEPTH:
        yield steps, value
        return
    for step, part in value.items() if isinstance(value, dict) else enumerate(value):
        yield from leaves(part, (*steps, step))


def pointer(steps: Steps) -> str:
    """The place as a JSON Pointer."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in steps)


def steps_of(pointer: str) -> list[str]:
    """The names and indexes of a JSON Pointer (RFC 6901)."""
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def in_words(steps: Steps) -> str:
    """The place for people: names as they are, items of lists counted from 1."""
    return " › ".join(f"no. {step + 1}" if isinstance(step, int) else step for step in steps)


def place_of(path: str) -> str:
    """The same for a JSON Pointer; a number is taken for the place in a list."""
    steps = (step.replace("~1", "/").replace("~0", "~") for step in path.split("/")[1:])
    return in_words(tuple(int(step) if step.isdecimal() and len(step) < 10 else step for step in steps))
