"""What the staff's pages of this room need in templates."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django import template
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import ngettext

from cases import values
from cases.models import Draft, InputRequest, Message, RequestStatus
from cases.permissions import may_see
from cases.values import Entry

register = template.Library()


@register.filter
def pretty_json(value: Any) -> str:
    """The value as indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False)


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
    """A single value of JSON for a cell: yes and no as people say them, nothing as a dash, the rest as `plain`."""
    if value is None or value == "":
        return "–"
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
def waiting_for_staff(request: HttpRequest) -> list[dict[str, Any]]:
    """What waits in this room, for those who may see it: its words and count, and where it is listed."""
    if not may_see(request):
        return []
    questions = InputRequest.objects.filter(status=RequestStatus.PENDING).count()
    drafts = Draft.objects.waiting().count()
    week_ago = timezone.now() - timedelta(days=7)
    late = Message.objects.filter(is_after_end=True, created_at__gte=week_ago).count()
    waiting = [
        {
            "words": ngettext("open question", "open questions", questions),
            "count": questions,
            "url": reverse("admin:cases_inputrequest_queue"),
            "is_urgent": questions > 0,
        },
        {
            "words": ngettext("draft to approve", "drafts to approve", drafts),
            "count": drafts,
            "url": reverse("admin:cases_draft_queue"),
            "is_urgent": True,
        },
        {
            "words": ngettext("mail", "mails", late) + " after the end of a case, within 7 days",
            "count": late,
            "url": reverse("admin:cases_message_changelist") + "?is_after_end__exact=1",
            "is_urgent": False,
        },
    ]
    return [waiting[0], *(entry for entry in waiting[1:] if entry["count"])]
