"""What a provider's stored report, in django-anymail's words, says of a mail of ours."""

import json
import re

from outreach.inbound import mime
from outreach.inbound.arrival import Arrival, EventKind, ProviderEvent
from outreach.models import InboundPayload

_KINDS = {
    "queued": EventKind.SENT,
    "sent": EventKind.SENT,
    "delivered": EventKind.DELIVERED,
    "deferred": EventKind.DEFERRED,
    "bounced": EventKind.BOUNCED,
    "rejected": EventKind.REJECTED,
    "failed": EventKind.REJECTED,
    "complained": EventKind.COMPLAINED,
    "unsubscribed": EventKind.COMPLAINED,  # by the provider's link or header: they want no more, in the mildest form
    "opened": EventKind.OPENED,
    "clicked": EventKind.OPENED,
}
# A bounce for one of these reasons says nothing of the address, in django-anymail's words.
_PASSING_REASONS = {"timed_out", "blocked", "spam", "other"}
# Some providers' soft bounces come as mere bounces; then their own words are left to tell them by.
_SOFT = re.compile(r"soft|transient|temporar|undetermined|mailbox.{0,10}full|over.?quota|\b4\.\d{1,3}\.\d{1,3}\b", re.I)


def read_event(payload: InboundPayload, seconds: float) -> Arrival:
    """What a stored report means."""
    stored = json.loads(bytes(payload.body))
    kind = _KINDS.get(stored["type"])
    if kind is None or not stored["message_id"]:
        return Arrival(note=f"{stored['type']}: nothing to do")
    words = " ".join(filter(None, (stored["mta_response"], stored["description"], stored["reject_reason"])))
    if kind == EventKind.BOUNCED and _is_soft(stored):
        kind = EventKind.SOFT_BOUNCED
    recipients = (stored["recipient"].lower(),) if stored["recipient"] else ()
    return Arrival(
        event=ProviderEvent(kind, stored["message_id"], recipients=recipients, reason=mime.one_line(words, 500))
    )


def _is_soft(stored: dict[str, str]) -> bool:
    if stored["reject_reason"] in _PASSING_REASONS:
        return True
    return bool(_SOFT.search(" ".join((stored["mta_response"], stored["description"], stored["own_words"]))))
