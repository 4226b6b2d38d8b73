"""The door for providers' webhooks, by django-anymail: it checks and parses them, we store what it hands over.

Stored inside the request: where that fails its answer is 500, and the provider tries again.
"""

import hashlib
import json
from email.policy import default
from typing import Any

from anymail.inbound import AnymailInboundMessage
from anymail.signals import AnymailInboundEvent, AnymailTrackingEvent, inbound, tracking
from django.dispatch import receiver

from outreach.inbound import intake

MAIL, EVENT = "anymail", "anymail_event"  # two sources, for their payloads are read differently

# Where a provider's own fields say more of a bounce than django-anymail does.
_OWN_WORDS = ("Type", "type", "event", "bounceType", "bounce_class", "severity", "Description")
# As it came: the library would fold and encode headers anew, and stumble over odd ones.
_AS_IT_CAME = default.clone(refold_source="none")


@receiver(inbound)
def store_mail(sender: Any, event: AnymailInboundEvent, esp_name: str, **_: Any) -> None:
    """A mail that the provider has taken for us."""
    message: AnymailInboundMessage = event.message
    recipients = [message.envelope_recipient] if message.envelope_recipient else []
    envelope = {"sender": message.envelope_sender or "", "recipients": recipients}
    key = event.event_id or _fingerprint(message, recipients)
    intake.accept(MAIL, message.as_bytes(policy=_AS_IT_CAME), f"{esp_name} {key}"[:255], envelope=envelope)


def _fingerprint(message: AnymailInboundMessage, recipients: list[str]) -> str:
    """A digest of what the mail says, for providers that number none; its boundaries are new each time it is built."""
    digest = hashlib.sha256(repr(recipients).encode())
    for part in message.walk():
        headers = [(name, str(value)) for name, value in part.raw_items() if name.lower() != "content-type"]
        digest.update(repr((part.get_content_type(), headers)).encode("utf-8", "replace"))
        if not part.is_multipart():
            digest.update(part.get_payload(decode=True) or b"")
    return digest.hexdigest()


@receiver(tracking)
def store_event(sender: Any, event: AnymailTrackingEvent, esp_name: str, **_: Any) -> None:
    """What became of a mail of ours."""
    own = event.esp_event if isinstance(event.esp_event, dict) else {}
    stored = {
        "type": event.event_type,
        "message_id": event.message_id or "",
        "recipient": event.recipient or "",
        "reject_reason": event.reject_reason or "",
        "description": event.description or "",
        "mta_response": event.mta_response or "",
        "own_words": " ".join(str(own[name]) for name in _OWN_WORDS if isinstance(own.get(name), str)),
        "at": event.timestamp.isoformat() if event.timestamp else "",
    }
    raw = json.dumps(stored, sort_keys=True).encode()
    # An id of its own is not enough: some providers give one to a mail, and all its events bear it.
    key = f"{esp_name} {event.event_type} {event.event_id or ''} {hashlib.sha256(raw).hexdigest()}"
    intake.accept(EVENT, raw, key[-255:])
