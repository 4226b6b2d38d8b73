"""The doors by which mail comes in. Each stores what it was handed, as it came; its reader understands it later."""

from collections.abc import Callable
from dataclasses import replace

from django.conf import settings

from outreach.agentmail.reader import read_event as read_agentmail_event
from outreach.inbound.arrival import Arrival, DoorError, Envelope, Standing
from outreach.inbound.authentication import standing_of
from outreach.inbound.mail import parse
from outreach.inbound.provider_events import read_event
from outreach.models import InboundPayload

Reader = Callable[[InboundPayload, float], Arrival]


def open_payload(payload: InboundPayload, *, seconds: float) -> Arrival:
    """What the payload holds. A reader may fetch more from the provider, within `seconds`: hold no transaction.

    Raises DoorError and nothing else.
    """
    reader = READERS.get(payload.source)
    if reader is None:
        raise DoorError(f"there is no door named {payload.source!r} here", permanent=True)
    return reader(payload, seconds)


def read_mail(payload: InboundPayload, seconds: float) -> Arrival:
    """A payload that is the mail itself, as RFC 5322 bytes."""
    return Arrival(mail=parse(bytes(payload.body)), envelope=_envelope(payload))


def read_served_mail(payload: InboundPayload, seconds: float) -> Arrival:
    """A mail that our own mail server has taken, with what that server says of its sender."""
    arrival = read_mail(payload, seconds)
    author = arrival.mail.from_address if arrival.mail else ""
    standing = standing_of(bytes(payload.body), author, settings.OFFLOAD_AUTHSERV_ID)
    return replace(arrival, envelope=replace(arrival.envelope, standing=standing))


def _envelope(payload: InboundPayload) -> Envelope:
    """The envelope as the door has stored it: `recipients`, `sender` and `standing`, each where it is known."""
    stored = payload.envelope
    return Envelope(
        recipients=tuple(address.lower() for address in stored.get("recipients", ())),
        sender=stored.get("sender", "").lower(),
        standing=Standing(stored.get("standing", Standing.UNKNOWN)),
    )


READERS: dict[str, Reader] = {
    "agentmail": read_agentmail_event,
    "sandbox": read_mail,
    "smtp": read_served_mail,
    "pipe": read_served_mail,
    "imap": read_served_mail,
    "anymail": read_served_mail,
    "anymail_event": read_event,
}
