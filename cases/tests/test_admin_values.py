"""JSON from outside as a table: every value once, at its place."""

from typing import Any

import pytest

from cases import values
from cases.templatetags.cases_staff import amount, in_table


@pytest.mark.parametrize(
    ("thing", "rows"),
    [
        ("a", [("", "", "a")]),
        (0, [("", "", 0)]),
        ({}, [("", "", {})]),
        ({"a": {"b": [1, [True]]}}, [("/a/b/0", "a › b › no. 1", 1), ("/a/b/1/0", "a › b › no. 2 › no. 1", True)]),
        ({"a/b~c": "x", "0": None}, [("/a~1b~0c", "a/b~c", "x"), ("/0", "0", None)]),
        ({"a": [], "": 1}, [("/a", "a", []), ("/", "", 1)]),
    ],
)
def test_every_value_is_shown_at_its_place(thing: Any, rows: list[Any]) -> None:
    assert [(entry.path, entry.place, entry.value) for entry in values.table(thing)] == rows


def test_what_is_large_or_deep_is_cut() -> None:
    assert len(values.table(list(range(5000)))) == values.MAX_VALUES
    deep: Any = "end"
    for _ in range(500):
        deep = [deep]
    [entry] = values.table(deep)
    assert entry.path == "/0" * values.MAX_DEPTH


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "–"), ("", "–"), (True, "yes"), (False, "no"), (0, "0"), (1, "1"), (12.5, "12.5"), ("a", "a"), ([], "[]")],
)
def test_a_value_is_written_as_people_write_it(value: Any, words: str) -> None:
    assert in_table(value) == words


@pytest.mark.parametrize(("value", "words"), [("0.012500", "0.0125"), (None, "0"), (0, "0"), ("100", "100")])
def test_a_sum_has_no_needless_zeros(value: Any, words: str) -> None:
    assert amount(value) == words
