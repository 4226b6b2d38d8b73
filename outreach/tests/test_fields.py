"""Lines of a form: which are asked for, what fills them in, and what is a value."""

from typing import Any

import pytest

from outreach.agents.fields import Entry, fields_of, lines_of, scan
from outreach.agents.hints import describe
from outreach.agents.phrases import phrases_in
from outreach.agents.values import NotUsable, value_of


def titles(schema: Any) -> list[str]:
    return [field.title for field in fields_of(schema)]


def properties(**schemas: Any) -> dict[str, Any]:
    return {"type": "object", "properties": schemas}


# --- Which lines there are ---


@pytest.mark.parametrize(
    ("name", "schema", "title"),
    [
        ("invoiceNumber", {}, "Invoice number"),
        ("invoice_number", {}, "Invoice number"),
        ("invoice-number", {}, "Invoice number"),
        ("IBAN", {}, "IBAN"),
        ("buyerIBAN", {}, "Buyer IBAN"),
        ("n", {"title": "Number of the\n invoice: "}, "Number of the invoice"),
        ("n", {"title": "Ref: no"}, "Ref: no"),
        ("n", {"title": " : "}, "N"),
        ("n", {"title": 7}, "N"),
        ("", {}, "Value"),
        ("größe", {}, "Größe"),
        ("n", True, "N"),
    ],
)
def test_titles(name: str, schema: Any, title: str) -> None:
    assert titles(properties(**{name: schema})) == [title]


def test_titles_are_told_apart() -> None:
    schema = properties(a={"title": "Name"}, b={"title": "name"}, total_sum={}, totalSum={}, c={})
    assert titles(schema) == ["a", "b", "total_sum", "totalSum", "C"]


@pytest.mark.parametrize("schema", [None, {}, {"type": "array"}, {"type": "object"}, {"properties": 5}])
def test_without_properties_there_is_no_form(schema: Any) -> None:
    assert fields_of(schema) == ()


def test_what_is_required_is_asked_for_even_if_it_is_not_described() -> None:
    schema = {"required": ["b"], "properties": {"a": {}, "never": False}}
    assert [(field.title, field.is_required) for field in fields_of(schema)] == [("B", True), ("A", False)]


def test_the_properties_of_an_object_have_lines_of_their_own() -> None:
    address = {"type": "object", "required": ["street"], "properties": {"street": {}, "zipCode": {"title": "ZIP code"}}}
    fields = fields_of({**properties(address=address, name={}), "required": ["address"]})
    assert [(field.title, field.pointer, field.is_required) for field in fields] == [
        ("Address street", "/address/street", True),
        ("Address ZIP code", "/address/zipCode", False),
        ("Name", "/name", False),
    ]


def test_an_optional_object_that_is_begun_has_to_be_completed() -> None:
    address = {"type": "object", "required": ["street"], "properties": {"street": {}, "city": {}}}
    street, _ = fields_of(properties(address=address))
    assert not street.is_required
    assert not street.is_expected([])
    assert street.is_expected([("address", "city")])


def test_local_references_are_followed() -> None:
    schema = {
        "$ref": "#/$defs/form",
        "$defs": {
            "form": properties(
                count={"$ref": "#/$defs/a~1b", "title": "How many"}, tags={"items": {"$ref": "#/$defs/a~1b"}}
            ),
            "a/b": {"type": "integer"},
        },
    }
    count, tags = fields_of(schema)
    assert (count.title, count.schema["type"], tags.schema["items"]) == ("How many", "integer", {"type": "integer"})


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"$ref": "#/properties/a"}}},
        {"properties": {"a": {"$ref": "#/nowhere/at/all"}}},
        {"properties": {"a": {"$ref": "https://elsewhere.example/schema"}}},
        {"properties": {"a": {"$ref": "#"}}},
    ],
)
def test_references_that_lead_nowhere_or_in_circles_end(schema: Any) -> None:
    assert len(fields_of(schema)) == 1


# --- What fills them in ---

NAME_AND_TOTAL = properties(name={}, total={}, ref={"title": "Ref: no"})


def filled_in(text: str, known: str = "") -> list[tuple[str, str]]:
    found = scan(fields_of(NAME_AND_TOTAL), text, "m", lines_of(known)).entries
    return [(entry.field.title, entry.text) for entry in found]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Name: Bob", [("Name", "Bob")]),
        ("name:Bob  ", [("Name", "Bob")]),
        ("  NAME : Bob: the builder\t", [("Name", "Bob: the builder")]),
        ("Name： Bob", [("Name", "Bob")]),
        ("- Name: Bob", [("Name", "Bob")]),
        ("• Name: Bob", [("Name", "Bob")]),
        ("> Name: Bob", [("Name", "Bob")]),
        (">> > Name: Bob", [("Name", "Bob")]),
        ("*Name:* Bob", [("Name", "Bob")]),
        ("**Name**: Bob", [("Name", "Bob")]),
        ("**Name:** **Bob**", [("Name", "Bob")]),
        ("Name: *Bob*", [("Name", "Bob")]),
        ("Name: A*", [("Name", "A*")]),
        ("Name: __init__", [("Name", "__init__")]),
        ("Name:\u00a0Bob\u00a0", [("Name", "Bob")]),
        ("Ref: no: 7", [("Ref: no", "7")]),
        ("ref: 7", [("Ref: no", "7")]),
        ("Name:", []),
        ("Name: ", []),
        ("> Name: ", []),
        ("Name Bob", []),
        ("My name: Bob", []),
        ("Names: Bob", []),
        ("The name is: Name: Bob", []),
        (": Bob", []),
    ],
)
def test_lines(line: str, expected: list[tuple[str, str]]) -> None:
    assert filled_in(line) == expected


def test_a_quoted_line_that_stood_in_earlier_mail_fills_in_nothing() -> None:
    ours = "Hello,\n\nTotal: 100\nName: \n"
    assert filled_in("> Total: 100\n> Name:", ours) == []
    assert filled_in("> Total: 100 \n> Name: Bob", ours) == [("Name", "Bob")]
    assert filled_in("Total: 100", ours) == [("Total", "100")]  # new words, and the same


def test_a_long_line_goes_on_where_the_mail_program_has_broken_it() -> None:
    long = "Name: " + "x" * 60
    assert filled_in(f"{long}\nand more\nTotal: 5") == [("Name", "x" * 60 + " and more"), ("Total", "5")]
    assert filled_in(f"> {long}\n> and more") == [("Name", "x" * 60 + " and more")]
    assert filled_in(f"{long}\n\nBest regards") == [("Name", "x" * 60)]
    assert filled_in(f"{long}\nTotal: 5") == [("Name", "x" * 60), ("Total", "5")]
    assert filled_in(f"{long}\n> quoted") == [("Name", "x" * 60)]
    assert filled_in("Name: Bob\nBest regards") == [("Name", "Bob")]


def test_the_line_is_kept_as_evidence() -> None:
    [entry] = scan(fields_of(NAME_AND_TOTAL), "Hi\n  > Name:  Bob ", "m1").entries
    assert entry == Entry(entry.field, "Bob", "> Name:  Bob", "m1")


def test_mail_of_any_size_takes_bounded_time() -> None:
    assert filled_in(":" * 1_000_000) == []
    assert len(filled_in("Name: " + "x" * 100 + "\n" + "Name: b\n" * 50_000)) == 50_001


# --- What is a value ---

DATE = {"type": "string", "format": "date"}
OPTIONAL_TEXT = {"anyOf": [{"type": "string"}, {"type": "null"}]}


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({}, "any text", "any text"),
        ({"type": "string"}, "5", "5"),
        ({"type": "integer"}, "5", 5),
        ({"type": "integer"}, "-1'250", -1250),
        ({"type": "integer"}, "12 000", 12000),
        ({"type": "integer"}, "5.0", 5),
        ({"type": "number"}, "1250.50", 1250.5),
        ({"type": "number"}, "1.250,50", 1250.5),
        ({"type": "number"}, "1,250.50", 1250.5),
        ({"type": "number"}, "1,5", 1.5),
        ({"type": "number"}, "7", 7),
        ({"type": "boolean"}, "Yes.", True),
        ({"type": "boolean"}, "JA!", True),
        ({"type": "boolean"}, "oui", True),
        ({"type": "boolean"}, "sí", True),
        ({"type": "boolean"}, "nein", False),
        ({"type": "boolean"}, "Non", False),
        ({"type": "boolean"}, "não", False),
        ({"type": "boolean"}, "nee", False),
        (DATE, "2026-12-14", "2026-12-14"),
        (DATE, "14.12.2026", "2026-12-14"),
        (DATE, "14/12/2026", "2026-12-14"),
        (DATE, "Monday, 14 December 2026.", "2026-12-14"),
        (DATE, "on December 14th, 2026", "2026-12-14"),
        (DATE, "am Montag, den 14. Dezember 2026", "2026-12-14"),
        (DATE, "le 14 décembre 2026", "2026-12-14"),
        (DATE, "14 de diciembre de 2026", "2026-12-14"),
        ({"enum": ["red", "Dark Green", 5, True, None]}, "dark  green", "Dark Green"),
        ({"enum": ["red", "Dark Green", 5, True, None]}, "5", 5),
        ({"enum": ["red", "Dark Green", 5, True, None]}, "Ja", True),
        ({"enum": ["red", "Dark Green", 5, True, None]}, "n/a", None),
        ({"const": "agreed"}, "Agreed", "agreed"),
        ({"type": "array", "items": {"type": "integer"}}, "1, 2,3", [1, 2, 3]),
        ({"type": "array", "items": {"type": "number"}}, "1,5; 2,5", [1.5, 2.5]),
        ({"type": "array"}, "a, b c ,", ["a", "b c"]),
        ({"type": "array", "items": {"type": "object"}}, '[{"a": 1}]', [{"a": 1}]),
        ({"type": "object"}, '{"a": [1]}', {"a": [1]}),
        ({"type": ["string", "null"]}, "-", None),
        ({"type": ["string", "null"]}, "None", None),
        ({"type": ["string", "null"]}, "Bob", "Bob"),
        ({"type": ["null", "integer"]}, "5", 5),
        (OPTIONAL_TEXT, "n/a", None),
        (OPTIONAL_TEXT, "Bob", "Bob"),
        ({"oneOf": [{"type": "integer"}, {"enum": ["many"]}]}, "many", "many"),
        ({"type": "null"}, "-", None),
    ],
)
def test_values(schema: Any, text: str, value: Any) -> None:
    read = value_of(schema, text)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "string"}, "?"),
        ({"type": "string"}, "…"),
        ({"type": "integer"}, "five"),
        ({"type": "integer"}, "5 pieces"),
        ({"type": "integer"}, "5.5"),
        ({"type": "integer"}, "1,250"),  # 1250 or 1.25
        ({"type": "integer"}, "9" * 5000),
        ({"type": "number"}, "1,250"),
        ({"type": "number"}, "1.250"),
        ({"type": "number"}, "about 5"),
        ({"type": "number"}, "5 EUR"),
        ({"type": "number"}, "5 6"),
        ({"type": "number"}, "NaN"),
        ({"type": "number"}, "1e5"),
        ({"type": "boolean"}, "maybe"),
        ({"type": "boolean"}, "Yes, but not now"),
        ({"type": "boolean"}, "1"),
        (DATE, "03/04/2027"),  # two days
        (DATE, "not before 14 December 2026"),
        (DATE, "14 or 15 December 2026"),
        (DATE, "14 December 2026 or 15 December 2026"),
        (DATE, "14 December"),
        (DATE, "14.12.26"),
        (DATE, "30 February 2027"),
        (DATE, "tomorrow"),
        ({"enum": ["red", "green"]}, "redgreen"),
        ({"enum": [True, None, 1.5]}, "no"),
        ({"type": "array", "items": {"type": "integer"}}, "1, x"),
        ({"type": "object"}, "[1]"),
        ({"type": "object"}, "a: 1"),
        ({"type": "array", "items": {}}, "[" * 10_000),
        ({"type": "null"}, "Bob"),
        ({"oneOf": [{"type": "integer"}, {"type": "boolean"}]}, "x"),
    ],
)
def test_what_can_not_be_used(schema: Any, text: str) -> None:
    with pytest.raises(NotUsable):
        value_of(schema, text)


@pytest.mark.parametrize(
    ("about", "text", "value"),
    [
        ("Total", "1.250,50 €", 1250.5),
        ("Total", "EUR 1,250.50", 1250.5),
        ("Total", "€1250.50", 1250.5),
        ("Total", "1 250,50 euros", 1250.5),
        ("Total (EUR)", "1250.5 €", 1250.5),
        ("totalAmount", "$5", 5),
        ("Gesamtbetrag", "99,90 EUR", 99.9),
        ("Pieces", "12 pcs.", 12),
        ("Weight (kg)", "5 kg", 5),
        ("Days until delivery", "12 days", 12),
    ],
)
def test_a_unit_that_fits_what_is_asked_for(about: str, text: str, value: float) -> None:
    assert value_of({"type": "number"}, text, about) == value


@pytest.mark.parametrize(
    ("about", "text"),
    [
        ("Total", "1.250 €"),  # 1250 or 1.25
        ("Total (EUR)", "1250.50 USD"),
        ("Total in CHF", "5 €"),
        ("Total", "5 kg"),
        ("Total", "5 EUR net"),
        ("Total", "about 5 EUR"),
        ("Total", "5 or 6 EUR"),
        ("Score", "5 EUR"),
        ("Weight (kg)", "5 t"),
        ("Pieces at least", "least 5"),
        ("Price", "5 pieces"),
    ],
)
def test_a_unit_that_does_not_fit(about: str, text: str) -> None:
    with pytest.raises(NotUsable):
        value_of({"type": "number"}, text, about)


@pytest.mark.parametrize("text", ["in stock", "In-Stock", "IN_STOCK.", "in  stock"])
def test_options_in_other_letters_and_with_other_separators(text: str) -> None:
    assert value_of({"enum": ["IN_STOCK", "SOLD_OUT"]}, text) == "IN_STOCK"


def test_an_option_that_could_be_two_is_none() -> None:
    schema = {"enum": ["in_stock", "in-stock"]}
    assert value_of(schema, "in-stock") == "in-stock"
    for text in ("in stock", "-1"):
        with pytest.raises(NotUsable):
            value_of({"enum": ["in_stock", "in-stock", 1]}, text)


# --- In words ---


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({}, ""),
        ({"type": "string"}, ""),
        ({"type": "string", "minLength": 1}, ""),
        ({"type": "string", "minLength": 3}, "at least 3 characters"),
        ({"type": "string", "maxLength": 9}, "at most 9 characters"),
        ({"type": "string", "minLength": 3, "maxLength": 9}, "3 to 9 characters"),
        ({"type": "string", "pattern": "^A"}, ""),
        ({"type": "string", "pattern": "^A", "examples": ["AB\nC"]}, "something like AB C"),
        ({"type": "string", "format": "email"}, "an e-mail address"),
        ({"type": "string", "format": "date-time"}, "a date and time such as 2026-12-31T14:00:00Z"),
        (DATE, "a date such as 2026-12-31"),
        ({"type": "integer"}, "a whole number"),
        ({"type": "integer", "minimum": 1, "maximum": 5}, "a whole number (at least 1, at most 5)"),
        ({"type": ["integer", "null"]}, "a whole number"),
        ({"type": "number"}, "a number such as 1250.50"),
        ({"type": "number", "exclusiveMinimum": 0}, "a number (more than 0)"),
        ({"type": "boolean"}, "yes or no"),
        ({"enum": ["red", "green", None]}, "one of these: red, green, a dash if there is none"),
        ({"const": "ok"}, "exactly this: ok"),
        ({"type": "array"}, "one per line"),
        (OPTIONAL_TEXT, ""),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "a whole number"),
        ({"type": "null"}, ""),
        ({"type": "object"}, ""),
    ],
)
def test_descriptions(schema: Any, words: str) -> None:
    assert describe(schema, phrases_in("en")) == words
