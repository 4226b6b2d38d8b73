"""What of a case's timeline its client may see.

Only what is named here: a new type of event is for staff until somebody decides otherwise. What agents were asked and
said, what models cost, notes and names of staff, and mail that changes nothing for the client are not.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from cases.models import Case, Event, Purpose
from cases.payload_parts import milliseconds

# Type to the data shown with it: the API's name to the event's.
SHOWN: Mapping[str, Mapping[str, str]] = {
    "case.created": {},
    "case.input_needed": {"inputRequestId": "inputRequestId", "question": "question"},
    "case.waiting": {"until": "until"},
    "case.completed": {},
    "case.failed": {"resultStatus": "resultStatus"},
    "input.provided": {"inputRequestId": "inputRequestId"},
    "message.sent": {"id": "messageId", "purpose": "purpose"},
    "message.received": {"id": "messageId", "purpose": "purpose"},
    "message.refused": {"id": "messageId"},
    "time.skipped": {"seconds": "seconds"},
}
ACTORS = ("system", "client", "staff", "counterparty")


def events_of(case: Case) -> QuerySet[Event]:
    """The events that the case's client may see; of a case that has ended, those up to its end."""
    delay = Q(type="message.received", data__purpose=Purpose.DELAY)
    events = case.events.filter(type__in=SHOWN).exclude(delay)
    return events.filter(at__lte=case.updated_at) if case.is_terminal else events


def data_of(event: Event) -> dict[str, Any]:
    """What is shown besides type, time and actor. Times are in milliseconds, as everywhere in the API."""
    shown = {name: event.data[ours] for name, ours in SHOWN[event.type].items() if ours in event.data}
    if "until" in shown:
        shown["until"] = milliseconds(datetime.fromisoformat(shown["until"]))
    return shown


def actor_of(event: Event) -> str:
    """What kind of party did it; which person or key is nobody else's business."""
    kind = event.actor.partition(" ")[0]
    return kind if kind in ACTORS else "system"
