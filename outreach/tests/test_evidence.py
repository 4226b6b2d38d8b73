"""A result is believed only if every value in it has a source that really says so."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from outreach import evidence
from outreach.agents.base import Answer, CaseView, Mail, Source

THEIRS = "The invoice is INV-7 of 31 January 2027,\n  total 1.250,50 EUR. We agree. Paint it in dark  GREEN."


def view(schema: Any = None) -> CaseView:
    at = datetime(2026, 11, 2, tzinfo=UTC)
    return CaseView(
        now=at,
        id="c",
        goal={"objective": "Get the invoice.", "knowledge": {"order": "4711"}},
        counterparty={"name": "Ann"},
        persona={"name": "Bob"},
        result_schema=schema,
        thread=(
            Mail("ours", True, False, False, at, "", "Our guess is 99."),
            Mail("theirs", False, True, True, at, "", THEIRS),
            Mail("machine", False, False, True, at, "", "Ticket 55 was opened."),
        ),
        answers=(Answer("answer", "?", "We pay 200.", used=True),),
    )


def errors(result: Any, *sources: tuple[str, str, str], schema: Any = None) -> list[str]:
    return evidence.errors(view(schema), result, tuple(Source(*source) for source in sources))


@pytest.mark.parametrize(
    ("value", "source_id", "quote"),
    [
        ("INV-7", "theirs", "invoice is inv-7"),
        ("31 January 2027", "theirs", "31 January 2027, total"),
        ("2027-01-31", "theirs", "of 31 January 2027"),
        (1250.5, "theirs", "total 1.250,50 EUR"),
        (7, "theirs", "INV 7"),
        ("dark green", "theirs", "dark GREEN"),
        (True, "theirs", "We agree"),
        (200, "answer", "200"),
        ("4711", "goal", "4711"),
    ],
)
def test_what_is_said_is_believed(value: Any, source_id: str, quote: str) -> None:
    expected = ["/x: the quoted source does not say 7"] if value == 7 else []
    assert errors({"x": value}, ("/x", source_id, quote)) == expected


@pytest.mark.parametrize(
    ("value", "said", "is_believed"),
    [
        ("DE89370400440532013000", "IBAN: DE89 3704 0044 0532 0130 00", True),
        ("DE89370400440532013000", "IBAN: DE89 3704 0044 0532 0130 001", False),
        ("DE89370400440532013000", "IBAN: DE89 3704 0044 0532 0130", False),
        ("onlythis", "on ly this", True),
        ("only it", "onl y it", False),
        ("123", "1 2 3", False),  # three values, perhaps
    ],
)
def test_a_long_value_may_be_written_in_groups(value: str, said: str, is_believed: bool) -> None:
    case = view()
    case = replace(case, thread=(replace(case.thread[1], text=said),))
    assert (evidence.errors(case, {"x": value}, (Source("/x", "theirs", said),)) == []) is is_believed


@pytest.mark.parametrize(
    ("value", "source_id", "quote"),
    [
        ("INV-8", "theirs", "INV-7"),
        ("INV-7", "theirs", "the number is INV-7"),  # never written
        ("INV-7", "theirs", ""),
        ("INV-7", "nobody", "INV-7"),
        (99, "ours", "Our guess is 99."),
        (55, "machine", "55"),
        (125, "theirs", "total 1.250,50 EUR"),
        (1250, "theirs", "total 1.250,50 EUR"),
        ("2027-01-30", "theirs", "31 January 2027"),
        (True, "theirs", "We disagree"),
        (False, "theirs", ""),
    ],
)
def test_what_is_not_said_is_not_believed(value: Any, source_id: str, quote: str) -> None:
    assert len(errors({"x": value}, ("/x", source_id, quote))) == 1


def test_a_value_without_a_source() -> None:
    assert errors({"a": {"b": ["INV-7"]}}) == ["/a/b/0: no source is given"]
    assert errors("INV-7") == ["result: no source is given"]
    assert errors({"a": "INV-7"}, ("/b", "theirs", "INV-7")) == ["/a: no source is given"]


def test_one_good_source_is_enough() -> None:
    assert errors({"a": "INV-7"}, ("/a", "theirs", "nonsense"), ("/a", "theirs", "INV-7")) == []


def test_nothing_needs_no_source() -> None:
    assert errors({"a": None, "b": "", "c": [], "d": {}}) == []


def test_what_can_be_chosen_need_not_be_spelled_out() -> None:
    schema = {"properties": {"a": {"enum": ["AGREED", "NOT"]}, "b": {"items": {"const": "X"}}, "c": {"type": "string"}}}
    source = ("theirs", "We agree.")
    assert errors({"a": "AGREED", "b": ["X"]}, ("/a", *source), ("/b/0", *source), schema=schema) == []
    assert len(errors({"c": "AGREED"}, ("/c", *source), schema=schema)) == 1
    assert len(errors({"a": "AGREED"}, ("/a", "theirs", "We never said so."), schema=schema)) == 1


def test_the_schema_is_looked_at_first() -> None:
    schema = {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}
    assert errors({}, schema=schema) == ['result: "a" is a required property']
    assert errors({"a": 5}, schema=schema)[0].startswith("/a: ")


def test_leaves() -> None:
    assert list(evidence.leaves({"a/b": [1, {"~": None}], "": "x"})) == [
        ("/a~1b/0", 1),
        ("/a~1b/1/~0", None),
        ("/", "x"),
    ]


def test_any_schema_is_looked_into() -> None:
    for schema in ({"properties": {"a": True}}, {"properties": {"a": {"items": [{"enum": ["INV-9"]}]}}}, True):
        assert len(list(evidence._unsourced(view(schema), {"a": ["INV-9"]}, (Source("/a/0", "theirs", "INV-7"),)))) == 1
