"""What the page of a case needs in templates; see cases/admin/page.py for its context."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from cases import consequences, moments, schema_fields
from cases.permissions import person
from cases.schema_fields import Field

if TYPE_CHECKING:  # the admin's own modules load the templates, and these tags with them
    from cases.admin.forms import ActionForm
    from cases.admin.lines import Link

register = template.Library()
register.filter(person)

LABELS: Mapping[str, str] = {  # of what the API itself names
    "address": "Address",
    "company": "Company",
    "customData": "More",
    "knowledge": "What is known",
    "name": "Name",
    "objective": "Objective",
    "role": "Role",
    "timezone": "Time zone",
    "tone": "Tone",
}


@register.simple_tag
def when(moment: datetime | None, theirs: ZoneInfo | None = None) -> SafeString | str:
    """A time in the reader's zone, with the counterparty's beside where it is another; a dash for none."""
    if not isinstance(moment, datetime):
        return "–"
    shown = format_html('<time datetime="{}">{}</time>', moment.isoformat(), moments.shortly(moment))
    there = moments.beside(moment, theirs or None)
    return format_html('{} <span class="muted there">({})</span>', shown, there) if there else shown


@register.filter
def label(name: str) -> str:
    """The place of a value in words, where the API names it; a client's own names as they are."""
    first, separator, rest = name.partition(" › ")
    return f"{LABELS.get(first, first)}{separator}{rest}"


@register.filter
def reachable(links: "Iterable[Link]", perms: Any) -> "list[Link]":
    """Those of the links that the person may follow."""
    return [link for link in links if not link.permission or link.permission in perms]


@register.filter
def ends_case(form: "ActionForm") -> bool:
    """Whether the action can't be taken back, so that it is asked about once more."""
    return form.name in consequences.TOLD


@register.filter
def fields_of(schema: Any) -> list[Field]:
    """A resultSchema as rows of a table."""
    return schema_fields.fields(schema)
