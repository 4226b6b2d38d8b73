"""A result is believed only if every value in it has a source that really says so."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from outreach import evidence
from outreach.agents.base import Answer, CaseView, Mail, Source

KNOWN: dict[str, Any] = {"properties": {name: {} for name in "abcdx"}}
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


def errors(result: Any, *sources: tuple[str, str, str], schema: Any = KNOWN) -> list[str]:
    return evidence.errors(view(schema), result, tuple(Source(*source) for source in sources))


@pytest.mark.parametrize(
    ("value", "source_id", "quote"),
    [
        ("INV-7", "theirs", "invoice is inv-7"),
        ("31 January 2027", "theirs", "31 January 2027, total"),
        ("2027-01-31", "theirs", "of 31 January 2027"),
        (1250.5, "theirs", "total 1.250,50 EUR"),
        (7, "theirs", "INV-7"),
        ("dark green", "theirs", "dark GREEN"),
        (True, "theirs", "We agree"),
        (200, "answer", "200"),
        ("4711", "goal", "4711"),
    ],
)
def test_what_is_said_is_believed(value: Any, source_id: str, quote: str) -> None:
    assert errors({"x": value}, ("/x", source_id, quote)) == []


@pytest.mark.parametrize(
    ("value", "said", "is_believed"),
    [
        ("DE89370400440532013000", "IBAN: DE89 3704 0044 0532 0130 00", True),
        ("DE89370400440532013000", "IBAN: DE89 3704 0044 0532 0130 001", False),
        ("DE89370400440532013000", "IBAN: DE89 3704 0044 0532 0130", False),
        ("onlythis", "on ly this", False),  # groups are for numbers and the like, not for words
        ("only it", "onl y it", False),
        ("123", "1 2 3", False),  # three values, perhaps
    ],
)
def test_a_long_value_may_be_written_in_groups(value: str, said: str, is_believed: bool) -> None:
    case = view({"properties": {"x": {}}})
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
    schema: Any = {"properties": {"a": {"properties": {"b": {}}}}}
    assert errors({"a": {"b": ["INV-7"]}}, schema=schema) == ["/a/b/0: no source is given"]
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
    source = ("/a/0", "theirs", "INV-7")
    for schema in ({"properties": {"a": True}}, {"properties": {"a": {"items": {"type": "string"}}}}):
        assert len(errors({"a": ["INV-9"]}, source, schema=schema)) == 1


CHOICE = {"enum": ["AGREED", "NOT"]}


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"$ref": "#/$defs/choice"}}, "$defs": {"choice": CHOICE}},
        {"properties": {"a": {"anyOf": [CHOICE, {"type": "null"}]}}},
        {"allOf": [{"properties": {"a": CHOICE}}]},
        {"patternProperties": {"^a": CHOICE}, "required": ["a"]},
        {"additionalProperties": CHOICE, "required": ["a"]},
    ],
)
def test_a_choice_is_one_wherever_the_schema_says_so(schema: Any) -> None:
    assert errors({"a": "AGREED"}, ("/a", "theirs", "We agree."), schema=schema) == []
    assert len(errors({"a": "AGREED"}, ("/a", "theirs", "e"), schema=schema)) == 1


def test_choices_in_a_list() -> None:
    for schema in (
        {"properties": {"a": {"prefixItems": [CHOICE]}}},
        {"$schema": "http://json-schema.org/draft-07/schema", "properties": {"a": {"items": [CHOICE]}}},
    ):
        assert errors({"a": ["AGREED"]}, ("/a/0", "theirs", "We agree."), schema=schema) == []


# --- Quotes are whole ---


def said(text: str, value: Any, *quotes: str, schema: Any = None, ours: str = "") -> list[str]:
    """What is wrong with {"x": value}, where the counterparty has written the text and the quotes are from it."""
    at = datetime(2026, 11, 2, tzinfo=UTC)
    thread = (Mail("ours", True, False, False, at, "", ours), Mail("theirs", False, True, True, at, "", text))
    case = replace(view({"properties": {"x": schema or {}}}), thread=thread)
    return evidence.errors(case, {"x": value}, tuple(Source("/x", "theirs", quote) for quote in quotes))


@pytest.mark.parametrize(
    ("text", "value", "quote"),
    [
        ("We never received it.", True, "e"),
        ("We never received it.", True, "ever received"),
        ("I do not know.", False, "no"),
        ("I do not know.", False, "know"),
        ("No.", True, "No."),
        ("Yes.", False, "yes"),
        ("It is INV-77.", "7", "INV-77"),
        ("It is INV-77.", "INV-7", "INV-7"),
        ("It is INV-7-B.", "INV-7", "INV-7"),
        ("It is INV-7/2.", "INV-7", "It is INV-7"),
        ("It costs 1250.50.", "1250", "1250.50"),
        ("It costs 1,250.50.", 250.5, "250.50"),
        ("It costs 1250.", 125, "125"),
        ("It costs 1250.", 50, "1250"),
        ("Write to jo.ann@supplier.example.", "ann@supplier.example", "ann@supplier.example"),
        ("1,250", 1.25, "1,250"),
        ("1,250", 1250, "1,250"),
        ("1.250 kg", 1.25, "1.250 kg"),
        ("On 03/04/2026.", "2026-04-03", "03/04/2026"),
        ("On 03/04/2026.", "2026-03-04", "03/04/2026"),
        ("1\n250 euros", 1250, "1\n250"),
    ],
)
def test_a_part_of_a_word_a_number_or_a_doubt_proves_nothing(text: str, value: Any, quote: str) -> None:
    assert len(said(text, value, quote)) == 1


@pytest.mark.parametrize(
    ("text", "value", "quote"),
    [
        ("Yes.", True, "Yes."),
        ("Hello,\n\nja\n\nAnn", True, "ja"),
        ("Yes, we can do that.", True, "yes"),
        ("We can't make it.", False, "can't make it"),
        ("はい、同意します。", True, "同意します"),
        ("It costs EUR1,250 all in.", 1250, "EUR1,250"),
        ("It costs 1.250 € all in.", 1250, "1.250 €"),
        ("2,500.75 in all, and 1,250 for the first.", 1250, "1,250 for the first"),
        ("2500,75 in all, and 1,250 for the first.", 1.25, "1,250 for the first"),
        ("It costs 1 250,50.", 1250.5, "1 250,50"),
        ("It costs 1'250.50.", 1250.5, "1'250.50"),
        ("On 03/04/2026, not 13/03/2026.", "2026-04-03", "03/04/2026"),
        ("IBAN: DE02 1203 0000 0000 2020 51", "DE02120300000000202051", "DE02 1203 0000 0000 2020 51"),
        ("Order PO-4711.", "4711", "PO-4711"),
        ("The “new” one – it’s green", 'The "new" one - it\'s green', 'The "new" one - it\'s green'),
    ],
)
def test_whole_ones_do(text: str, value: Any, quote: str) -> None:
    assert said(text, value, quote) == []


def test_a_whole_number_has_one_reading_where_the_schema_wants_one() -> None:
    assert said("1,250", 1250, "1,250", schema={"type": "integer"}) == []


def test_a_second_source_settles_an_ambiguous_date() -> None:
    text = "On 03/04/2026. I mean the third of the month: 3 April 2026."
    assert said(text, "2026-04-03", "03/04/2026", "3 April 2026") == []
    assert said(text, "2026-03-04", "03/04/2026", "3 April 2026") == [
        '/x: the quoted source does not say "2026-03-04": it can be read in two ways'
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Monday 14 December 2026 at 10:00 CET", "2026-12-14T10:00:00+01:00"),
        ("14.12.2026, 10 Uhr (MEZ)", "2026-12-14T10:00:00+01:00"),
        ("14 December 2026, 2.30 pm, Berlin time", "2026-12-14T13:30:00Z"),
        ("2026-12-14 09:00 UTC", "2026-12-14T10:00:00+01:00"),
        ("2026-12-14T09:00:00Z", "2026-12-14T09:00:00+00:00"),
        ("le 14 décembre 2026 à 14h30, heure de Paris", "2026-12-14T14:30:00+01:00"),
        ("14 December 2026 at noon, Europe/London", "2026-12-14T12:00:00Z"),
        ("14 December 2026 at 10:00", "2026-12-14T10:00:00"),
    ],
)
def test_a_moment_in_any_spelling_and_zone(text: str, value: str) -> None:
    assert said(text, value, text) == []


@pytest.mark.parametrize(
    ("text", "value", "why"),
    [
        ("14 December 2026 at 10:00", "2026-12-14T10:00:00+05:00", ": no time zone is quoted"),
        ("14 December 2026 at 10:00 CET", "2026-12-14T10:00:00Z", ""),
        ("14 December 2026 at 10:00 CET", "2026-12-14T11:00:00+01:00", ""),
        ("15 December 2026 at 10:00 CET", "2026-12-14T10:00:00+01:00", ""),
        ("14 December 2026, for 10 people, CET", "2026-12-14T10:00:00+01:00", ""),
    ],
)
def test_a_moment_that_was_not_named(text: str, value: str, why: str) -> None:
    assert said(text, value, text) == [f'/x: the quoted source does not say "{value}"{why}']


# --- What is no source ---


@pytest.mark.parametrize(
    "text",
    [
        "> Is the total\n> 99 euros?\n\nI will look.",
        "I will look.\n\nHello Ann,\nIs the total 99 euros?\nRobin",
    ],
)
def test_our_own_words_are_no_source_in_their_mail_either(text: str) -> None:
    ours = "Hello Ann,\nIs the total 99 euros?\nRobin"
    assert len(said(text, 99, "99 euros", ours=ours)) == 1
    assert said(f"It is 99 euros.\n\n{text}", 99, "It is 99 euros", ours=ours) == []


def test_a_line_that_they_take_over_from_us_is_theirs() -> None:
    assert said("14 December 2026, 10:00", "2026-12-14", "14 December 2026", ours="Or\n14 December 2026, 10:00") == []


@pytest.mark.parametrize(
    "quote", ['Ask for "Blue" chairs.', "in two\nlines", "in two lines", '"order": "47 11"', "4711"]
)
def test_the_goal_is_quoted_as_it_reads(quote: str) -> None:
    goal = {"objective": 'Ask for "Blue" chairs.\nWrite in two\nlines.', "knowledge": {"order": "47 11", "n": 4711}}
    case = replace(view({"properties": {"x": {}}}), goal=goal)
    value = {'"order": "47 11"': "47 11", "in two\nlines": "two lines"}.get(quote, quote)
    assert evidence.errors(case, {"x": value}, (Source("/x", "goal", quote),)) == []


# --- Names ---


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"properties": {"a": {}}},
        {"additionalProperties": {"type": "string"}},
        {"patternProperties": {"approved": {}}},
        None,
    ],
)
def test_names_that_the_schema_does_not_give_are_said_or_invented(schema: Any) -> None:
    quoted = ("theirs", "The invoice is INV-7")
    assert errors({"approvedBy": "INV-7"}, ("/approvedBy", *quoted), schema=schema) == [
        "/approvedBy: the schema knows no such name, and no quote for it or for what it holds has it"
    ]
    assert errors({"invoice": "INV-7"}, ("/invoice", *quoted), schema=schema) == []
    assert len(errors({"approvedBy": None}, schema=schema)) == 1
