"""What waits for people in this room; see cases/admin/waiting.py."""

from django.http import HttpRequest
from django.urls import reverse

from cases.admin.waiting import Source, Urgency
from outreach.models import InboundPayload, NoticeState, PayloadState, Provider, StaffNotice

QUEUES = {PayloadState.QUARANTINED: "quarantine", PayloadState.UNMATCHED: "unmatched"}  # pages of their own
PAYLOADS = (
    (PayloadState.FAILED, "incoming mail that could not be taken in", Urgency.BROKEN),
    (PayloadState.QUARANTINED, "incoming mail kept from its case", Urgency.WAITS),
    (PayloadState.UNMATCHED, "incoming mail that belongs to no case", Urgency.WAITS),
)


def of_mail(request: HttpRequest) -> list[Source]:
    """Incoming mail that only a person can place, notices that reached nobody, providers that fail."""
    sources: list[Source] = []
    if request.user.has_perm("outreach.view_inboundpayload"):
        sources += [_payloads(*about) for about in PAYLOADS]
    if request.user.has_perm("outreach.view_staffnotice"):
        sources.append(_lost_notices())
    if request.user.has_perm("outreach.view_provider"):
        sources.append(_left_alone())
    return sources


def _left_alone() -> Source:
    return Source(
        name="providers-left-alone",
        one="provider that fails, so that cases wait for it",
        many="providers that fail, so that cases wait for them",
        rows=Provider.objects.filter(is_down=True),
        url=f"{reverse('admin:outreach_provider_changelist')}?is_down__exact=1",
        urgency=Urgency.BROKEN,
    )


def _payloads(state: PayloadState, words: str, urgency: Urgency) -> Source:
    listed = f"{reverse('admin:outreach_inboundpayload_changelist')}?state__exact={state}"
    return Source(
        name=f"{state.lower()}-mail",
        one=words,
        many=words,
        rows=InboundPayload.objects.filter(state=state),
        url=reverse(f"admin:outreach_inboundpayload_{QUEUES[state]}") if state in QUEUES else listed,
        urgency=urgency,
        since="received_at",
    )


def _lost_notices() -> Source:
    return Source(
        name="lost-notices",
        one="notice to staff that could not be sent",
        many="notices to staff that could not be sent",
        rows=StaffNotice.objects.filter(state=NoticeState.FAILED),
        url=f"{reverse('admin:outreach_staffnotice_changelist')}?state__exact={NoticeState.FAILED}",
        urgency=Urgency.BROKEN,
        since="created_at",
    )
