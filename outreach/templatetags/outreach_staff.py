"""What the staff's pages of this room need in templates."""

from typing import Any

from django import template
from django.http import HttpRequest
from django.urls import reverse

from outreach.models import InboundPayload, NoticeState, PayloadState, StaffNotice

register = template.Library()

LISTS = (
    ("outreach.view_inboundpayload", InboundPayload, PayloadState.FAILED, "incoming mail that could not be taken in"),
    ("outreach.view_inboundpayload", InboundPayload, PayloadState.QUARANTINED, "incoming mail kept from its case"),
    ("outreach.view_inboundpayload", InboundPayload, PayloadState.UNMATCHED, "incoming mail that belongs to no case"),
    ("outreach.view_staffnotice", StaffNotice, NoticeState.FAILED, "notices to staff that could not be sent"),
)


@register.simple_tag
def waiting_mail(request: HttpRequest) -> list[dict[str, Any]]:
    """What waits in this room, in the shape of `waiting_for_staff`; what needs nobody is left out."""
    waiting = []
    for permission, model, state, words in LISTS:
        count = model._default_manager.filter(state=state).count() if request.user.has_perm(permission) else 0
        if count:
            listed = reverse(f"admin:outreach_{model._meta.model_name}_changelist")
            url = f"{listed}?state__exact={state}"
            waiting.append({"words": words, "count": count, "url": url, "is_urgent": state == "FAILED"})
    return waiting
