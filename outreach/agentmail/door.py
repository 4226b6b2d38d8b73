"""The door for AgentMail's events: each is stored once, however often it is told, and whoever tells it."""

import hashlib
import json

from outreach.agentmail.client import Fields
from outreach.agentmail.inboxes import is_ours
from outreach.agentmail.reader import FILED, RECEIVED, REPORTS, fields_in, word_in
from outreach.inbound import intake

SOURCE = "agentmail"
MAX_KEY_CHARS = 255


def take(event: Fields, raw: bytes, delivery_id: str = "") -> bool:
    """Store the event, whose bytes are `raw`; False where it is there already, or about an inbox that is not ours."""
    inbox_id = word_in(subject_of(event), "inbox_id")
    if inbox_id and not is_ours(inbox_id):
        return False
    return intake.accept(SOURCE, raw, dedupe_key(event, delivery_id))


def take_listed(message: Fields) -> bool:
    """Store a received mail that was found in a list, as the event that should have told of it."""
    label = next((label for label in FILED.values() if label in labels_of(message)), "")
    event = {"type": "event", "event_type": f"{RECEIVED}.{label}".rstrip("."), "message": message}
    return take(event, json.dumps(event).encode())


def labels_of(message: Fields) -> list[str]:
    labels = message.get("labels")
    return [label for label in labels if isinstance(label, str)] if isinstance(labels, list) else []


def subject_of(event: Fields) -> Fields:
    """The object that the event carries, empty where it has none."""
    kind = word_in(event, "event_type")
    return fields_in(event, REPORTS[kind][1] if kind in REPORTS else "message")


def dedupe_key(event: Fields, delivery_id: str = "") -> str:
    """A received mail is the same by inbox and Message-ID, whichever event tells of it (one mail to two of our inboxes
    is two); anything else by the event's id, or that of its delivery."""
    message = subject_of(event)
    if word_in(event, "event_type").startswith(RECEIVED) and word_in(message, "message_id"):
        key = f"{word_in(message, 'inbox_id').lower()} {word_in(message, 'message_id')}"
    else:
        key = word_in(event, "event_id") or delivery_id
    return key if len(key) <= MAX_KEY_CHARS else hashlib.sha256(key.encode()).hexdigest()
