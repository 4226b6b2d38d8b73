"""The form that is drawn from a resultSchema: what it shows, what is read back, where errors go."""

from typing import Any

import pytest
from django.http import QueryDict

from cases import result_schema
from cases.admin import schema_form, schema_parts
from cases.admin.forms import _json_of_a_field
from cases.admin.schema_parts import ABSENT, REQUIRED, Group, Part

ADDRESS = {
    "type": "object",
    "required": ["city"],
    "properties": {"city": {"type": "string"}, "zip": {"type": "string", "pattern": "^[0-9]{5}$"}},
}
ORDER = {
    "type": "object",
    "required": ["number", "total", "paid", "lines"],
    "properties": {
        "number": {"type": "string", "title": "Invoice no.", "description": "As printed on it.", "maxLength": 20},
        "total": {"type": "number", "minimum": 0},
        "count": {"type": "integer"},
        "paid": {"type": "boolean"},
        "state": {"enum": ["open", "closed", 7]},
        "dueOn": {"type": "string", "format": "date"},
        "remark": {"type": ["string", "null"]},
        "address": ADDRESS,
        "tags": {"type": "array", "items": {"type": "string"}},
        "sizes": {"type": "array", "items": {"type": "integer"}},
        "colors": {"type": "array", "items": {"enum": ["red", "blue"]}},
        "lines": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "price": {"type": "number"}},
            },
        },
        "extra": {"oneOf": [{"type": "string"}, {"type": "object"}]},
        "version": {"const": 2},
    },
}
NAMES = {name: f"result-{number}" for number, name in enumerate(ORDER["properties"])}


def drawn(schema: Any, said: dict[str, Any] | None = None) -> Any:
    form = schema_form.draw(schema, read_json=_json_of_a_field)
    if said is not None:
        posted = QueryDict(mutable=True)
        for name, value in said.items():
            posted.setlist(name, value if isinstance(value, list) else [value])
        form.read(posted)
    return form


def field(schema: Any, text: str | None = None, *, required: bool = True) -> Part:
    """The one field `x` of an object, with that text in it."""
    whole = {"type": "object", "properties": {"x": schema}, "required": ["x"] if required else []}
    form = drawn(whole, {"result-0": text} if text is not None else {})
    part: Part = form.parts["x"]
    return part


def test_every_value_is_a_field_of_its_own_kind() -> None:
    form = drawn(ORDER)
    kinds = {name: part.kind for name, part in form.parts.items()}
    assert kinds == {
        "number": "text",
        "total": "number",
        "count": "number",
        "paid": "choice",
        "state": "choice",
        "dueOn": "text",
        "remark": "text",
        "address": "group",
        "tags": "lines",
        "sizes": "lines",
        "colors": "several",
        "lines": "rows",
        "extra": "json",
        "version": "choice",
    }
    assert (form.parts["number"].label, form.parts["number"].help) == ("Invoice no.", "As printed on it.")
    assert (form.parts["dueOn"].label, form.parts["dueOn"].input_type) == ("Due on", "date")
    assert form.parts["total"].hint == "at least 0"
    assert [name for name, part in form.parts.items() if part.is_required] == ["number", "total", "paid", "lines"]


def test_what_is_typed_is_read_back_as_json() -> None:
    form = drawn(
        ORDER,
        {
            NAMES["number"]: " INV-7 ",
            NAMES["total"]: "12.50",
            NAMES["count"]: "3",
            NAMES["paid"]: "1",
            NAMES["state"]: "2",
            NAMES["dueOn"]: "2027-01-31",
            f"{NAMES['address']}-0": "Bonn",
            NAMES["tags"]: "a b\r\n\r\n c ",
            NAMES["sizes"]: "1\n2",
            NAMES["colors"]: ["1"],
            f"{NAMES['lines']}-rows": "0 2",
            f"{NAMES['lines']}-0-0": "Bolt",
            f"{NAMES['lines']}-2-0": "Nut",
            f"{NAMES['lines']}-2-1": "0.5",
            NAMES["extra"]: '{"a": [1]}',
            NAMES["version"]: "0",
        },
    )
    value = form.value()
    assert value == {
        "number": "INV-7",
        "total": 12.5,
        "count": 3,
        "paid": False,
        "state": 7,
        "dueOn": "2027-01-31",
        "address": {"city": "Bonn"},
        "tags": ["a b", "c"],
        "sizes": [1, 2],
        "colors": ["blue"],
        "lines": [{"name": "Bolt"}, {"name": "Nut", "price": 0.5}],
        "extra": {"a": [1]},
        "version": 2,
    }
    assert (not form.has_errors, result_schema.errors(ORDER, value)) == (True, [])


def test_what_is_left_empty_is_absent_and_never_an_empty_text() -> None:
    form = drawn(ORDER, {NAMES["number"]: "7", NAMES["total"]: "0", NAMES["paid"]: "0"})
    assert form.value() == {
        "number": "7",
        "total": 0,
        "paid": True,
        "lines": [],
    }  # an empty list says that there is none
    assert not form.has_errors


def test_what_is_required_must_be_filled_in_and_is_told_once() -> None:
    form = drawn(ORDER, {NAMES["total"]: "1"})
    value = form.value()
    schema_form.place_errors(form, result_schema.errors(ORDER, value))
    assert {name: part.errors for name, part in form.parts.items() if part.errors} == {
        "number": [REQUIRED],
        "paid": [REQUIRED],
    }
    assert form.errors == []


def test_inside_an_optional_object_things_are_required_once_it_is_begun() -> None:
    begun = drawn(ORDER, {f"{NAMES['address']}-1": "12345"})
    begun.value()
    assert begun.parts["address"].parts["city"].errors == [REQUIRED]
    untouched = drawn(ORDER, {})
    assert "address" not in untouched.value()
    assert untouched.parts["address"].parts["city"].errors == []


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"type": "string"}, "a\r\nb", "a\nb"),
        ({"type": "string", "format": "email"}, "a@b.example", "a@b.example"),
        ({"type": ["integer", "null"]}, "-7", -7),
        ({"type": "number"}, "1e3", 1000.0),
        ({"type": "number"}, "0", 0),
        ({"type": "boolean"}, "0", True),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, "1", False),
        ({"enum": ["a", None, False]}, "1", False),
        ({"type": ["string", "number"]}, '"7"', "7"),
        ({}, "null", None),
        ({"type": "array"}, "[1]", [1]),
        ({"type": "array", "items": {"type": "boolean"}}, "yes\nFalse", [True, False]),
    ],
)
def test_a_text_in_a_field_is_this_value(schema: Any, text: str, value: Any) -> None:
    part = field(schema, text)
    read = part.value()
    assert (read, type(read), part.errors) == (value, type(value), [])


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "number"}, "1,250"),
        ({"type": "number"}, "12 EUR"),
        ({"type": "number"}, "007"),
        ({"type": "number"}, "1e999"),
        ({"type": "number"}, "NaN"),
        ({"type": "integer"}, "9" * 400),
        ({"type": "boolean"}, "2"),
        ({"enum": ["a"]}, "-1"),
        ({"type": "string"}, "a\x00b"),
        ({}, "{"),
        ({}, "[" * 9000),
        ({"type": "array", "items": {"type": "integer"}}, "1\nx"),
    ],
)
def test_what_can_not_be_read_is_told_and_not_guessed(schema: Any, text: str) -> None:
    part = field(schema, text, required=False)
    part.value()
    assert len(part.errors) == 1
    assert part.text == text  # stays where it was typed


def test_a_value_that_may_be_null_is_null_where_it_has_to_be_there() -> None:
    assert field({"type": ["string", "null"]}, "").value() is None
    assert field({"type": ["string", "null"]}, "", required=False).value() is ABSENT


@pytest.mark.parametrize(
    "schema",
    [
        {"oneOf": [{"type": "string"}, {"type": "number"}]},
        {"$ref": "https://elsewhere.example/schema"},
        {"$ref": "#/nowhere"},
        {"type": "object"},
        {"type": "object", "properties": {"a": {}}, "patternProperties": {"^x": {}}},
        {"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "string"}},
        {"type": "object", "properties": {}, "required": ["a"]},
        {"type": "array", "items": [{"type": "string"}]},
        {"type": "array", "items": {"type": "array", "items": {"type": "string"}}},
        {"type": "array", "items": {"type": ["string", "null"]}},
        True,
    ],
)
def test_what_can_not_be_drawn_is_json_for_that_part_alone(schema: Any) -> None:
    whole = {"type": "object", "properties": {"name": {"type": "string"}, "x": schema}}
    form = drawn(whole)
    assert {name: part.kind for name, part in form.parts.items()} == {"name": "text", "x": "json"}


def test_references_within_the_schema_are_followed() -> None:
    schema = {
        "$defs": {"address": ADDRESS},
        "type": "object",
        "properties": {
            "home": {"$ref": "#/$defs/address"},
            "work": {"anyOf": [{"$ref": "#/$defs/address"}, {"type": "null"}]},
        },
    }
    form = drawn(schema)
    assert [part.kind for part in form.parts.values()] == ["group", "group"]
    assert form.parts["work"].is_nullable


def test_a_schema_that_contains_itself_ends_in_json() -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}, "inner": {"$ref": "#/$defs/n"}}}
    schema["$defs"] = {"n": {"type": "object", "properties": {"inner": {"$ref": "#/$defs/n"}}}}
    deepest = list(drawn(schema).parts_within())[-1]
    assert deepest.kind == "json"


def test_a_large_schema_is_bounded() -> None:
    wide = {"type": "object", "properties": {f"f{number}": ADDRESS for number in range(2000)}}
    parts = list(drawn(wide).parts_within())
    assert sum(part.kind == "text" for part in parts) <= schema_form.MAX_PARTS


def test_values_that_were_found_are_filled_in_with_where_they_come_from() -> None:
    form = drawn(ORDER)
    found = {
        "number": "INV-7",
        "total": 12.5,
        "paid": False,
        "state": 7,
        "address": {"city": "Bonn"},
        "tags": ["a", "b"],
        "colors": ["blue"],
        "lines": [{"name": "Bolt", "price": 1}],
        "extra": {"a": 1},
    }
    form.fill(found, {"/total": ["their mail"], "/address/city": ["a file"], "/lines/0/name": ["the goal"]})
    assert form.parts["total"].quotes == ["their mail"]
    assert form.parts["address"].parts["city"].quotes == ["a file"]
    assert form.parts["lines"].rows[0].parts["name"].quotes == ["the goal"]
    assert form.value() == found
    assert not form.has_errors


def test_a_value_that_was_found_and_does_not_fit_is_not_filled_in() -> None:
    form = drawn(ORDER)
    form.fill({"total": {"a": 1}, "tags": "x", "lines": ["y"], "address": [1], "number": None}, {})
    assert form.is_blank


def test_errors_go_to_their_fields() -> None:
    form = drawn(
        ORDER,
        {
            NAMES["number"]: "7" * 30,
            NAMES["total"]: "-1",
            NAMES["paid"]: "0",
            f"{NAMES['address']}-0": "Bonn",
            f"{NAMES['address']}-1": "x",
            f"{NAMES['lines']}-rows": "0 1 2",
            f"{NAMES['lines']}-0-0": "Bolt",
            f"{NAMES['lines']}-2-1": "1",
        },
    )
    schema_form.place_errors(form, result_schema.errors(ORDER, form.value()))
    assert "maxLength" in str(form.parts["number"].errors) or "longer" in form.parts["number"].errors[0]
    assert form.parts["total"].errors == ["-1 is less than the minimum of 0"]
    assert len(form.parts["address"].parts["zip"].errors) == 1
    lines = form.parts["lines"]
    assert list(lines.rows) == [0, 2]  # the one that was left empty is no row
    assert lines.rows[2].parts["name"].errors == [REQUIRED]


def test_an_error_of_an_item_names_it_and_one_without_a_field_stands_on_top() -> None:
    form = drawn(ORDER, {NAMES["tags"]: "a"})
    schema_form.place_errors(
        form,
        [{"path": "/tags/1", "message": "is too long"}, {"path": "", "message": "is not allowed"}],
    )
    assert form.parts["tags"].errors == ["no. 2: is too long"]
    assert form.errors == ["is not allowed"]


def test_rows_are_added_and_taken_out_by_buttons() -> None:
    lines = NAMES["lines"]
    said = {f"{lines}-rows": "0 1", f"{lines}-0-0": "Bolt", f"{lines}-1-0": "Nut"}
    more = drawn(ORDER, {**said, "add": lines}).parts["lines"]
    assert (list(more.rows), more.newest, more.numbers) == ([0, 1, 2], 2, "0 1 2")
    fewer = drawn(ORDER, {**said, "take_out": f"{lines}-0"}).parts["lines"]
    assert [row.parts["name"].text for row in fewer.rows.values()] == ["Nut"]
    assert fewer.rows[1].parts["name"].name == f"{lines}-1-0"


def test_rows_are_bounded() -> None:
    lines = NAMES["lines"]
    form = drawn(ORDER, {f"{lines}-rows": " ".join(map(str, range(5000))), "add": lines})
    assert len(form.parts["lines"].rows) == schema_parts.MAX_ROWS
    assert isinstance(form.parts["lines"].rows[99].parts["price"], schema_parts.Number)


def test_a_result_that_is_no_object_is_one_field() -> None:
    form = drawn({"type": "integer", "title": "How many"}, {"result": "4"})
    assert (form.kind, form.label, form.value()) == ("number", "How many", 4)


def test_names_of_a_schema_never_become_names_of_fields() -> None:
    form = drawn({"type": "object", "properties": {'"><script>': {"type": "string"}, "csrfmiddlewaretoken": {}}})
    assert isinstance(form, Group)
    assert [part.name for part in form.parts.values()] == ["result-0", "result-1"]
