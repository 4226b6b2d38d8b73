"""What the staff's pages of this room need in templates."""

import json
from decimal import Decimal
from typing import Any

from django import template
from django.http import HttpRequest

from cases import values
from cases.models import Status
from cases.values import Entry

register = template.Library()


@register.filter
def pretty_json(value: Any) -> str:
    """The value as indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False)


@register.filter
def status_words(status: str) -> str:
    """A case's status as people say it."""
    return str(Status(status).label).capitalize()


@register.filter
def plain(value: Any) -> str:
    """A string as it is, anything else as JSON on one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@register.filter
def table(value: Any) -> list[Entry]:
    """The single values of an object or list from outside, with their places."""
    return values.table(value)


@register.filter
def is_cut(shown: list[Any]) -> bool:
    """Whether a table may have been longer than is shown."""
    return len(shown) == values.MAX_VALUES


@register.filter
def in_table(value: Any) -> str:
    """A single value of JSON for a cell: yes and no as people say them, nothing as a dash, what lies too deep cut."""
    if value is None or value in ("", [], {}):
        return "–"
    if isinstance(value, dict | list):
        return "…"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else plain(value)


@register.filter
def amount(value: Any) -> str:
    """A sum of money without the zeros at its end: 0.0125."""
    return f"{Decimal(value or 0).normalize():f}"


@register.filter
def pairs(value: Any) -> list[tuple[str, Any]]:
    """Names and values of an object from outside, none of anything else.

    `value.items` in a template would find the value that a client has named "items".
    """
    return list(value.items()) if isinstance(value, dict) else []


@register.filter
def without(mapping: Any, names: str) -> dict[str, Any]:
    """The object without some names, separated by commas."""
    return {name: value for name, value in pairs(mapping) if name not in names.split(",")}


@register.simple_tag
def home_page(request: HttpRequest) -> dict[str, Any]:
    """What stands on the staff's first page, for the person of the request."""
    from cases.admin import home  # the theme loads tags before it has the classes that the admin's modules need

    return home.page(request)
