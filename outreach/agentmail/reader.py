"""What an event of AgentMail says: a mail, a report on a mail of ours, or nothing that concerns us."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from outreach.agentmail import letters
from outreach.agentmail.client import AgentMail, AgentMailError, Fields
from outreach.inbound import mime
from outreach.inbound.arrival import Arrival, DoorError, Envelope, EventKind, ProviderEvent, Standing
from outreach.inbound.content import MAX_ATTACHMENTS, InboundAttachment
from outreach.inbound.mail import InboundMail, parse
from outreach.models import InboundPayload
from outreach.providers import gate as gates

logger = logging.getLogger(__name__)

RECEIVED = "message.received"
# What AgentMail has filed elsewhere than in the inbox. It must be subscribed to by name.
FILED = {f"{RECEIVED}.{label}": label for label in ("spam", "blocked", "unauthenticated")}
# Event type to what it is in our words, and the key of the object that it carries.
REPORTS = {
    "message.sent": (EventKind.SENT, "send"),
    "message.delivered": (EventKind.DELIVERED, "delivery"),
    "message.bounced": (EventKind.BOUNCED, "bounce"),
    "message.complained": (EventKind.COMPLAINED, "complaint"),
    "message.rejected": (EventKind.REJECTED, "reject"),
    "message.opened": (EventKind.OPENED, "open"),
}
MAX_MAIL_BYTES = 26_000_000
TRIES_FOR_RAW = 3  # then the mail is taken as AgentMail's JSON describes it: late headers are worse than few


def read_event(payload: InboundPayload, seconds: float) -> Arrival:
    """The event in the payload; of a mail, its bytes are fetched within `seconds`. Raises DoorError."""
    event = json.loads(bytes(payload.body))
    kind = word_in(event, "event_type")
    if kind == RECEIVED or kind in FILED:
        return _mail(payload, fields_in(event, "message"), FILED.get(kind, ""), seconds)
    if kind in REPORTS:
        return _report(event, *REPORTS[kind])
    return Arrival(note=f"{kind or 'An event without a type'}: nothing to do for us")


def fields_in(event: Fields, key: str) -> Fields:
    """The object under that key; empty where there is none."""
    value = event.get(key)
    return value if isinstance(value, dict) else {}


def word_in(fields: Fields, key: str) -> str:
    """The text under that key, clean enough for any column; empty where there is none."""
    value = fields.get(key)
    return mime.clean(value) if isinstance(value, str) else ""


# --- Reports --------------------------------------------------------------------------------------


def _report(event: Fields, kind: EventKind, key: str) -> Arrival:
    about = fields_in(event, key)
    if kind == EventKind.BOUNCED and word_in(about, "type") != "Permanent":
        kind = EventKind.SOFT_BOUNCED  # AgentMail goes on trying; where it gives up it calls the bounce permanent
    words = [word_in(about, name) for name in ("reason", "type", "sub_type")]
    report = ProviderEvent(
        kind=kind,
        message_id=word_in(about, "message_id"),
        thread_id=word_in(about, "thread_id"),
        recipients=tuple(_recipients(about.get("recipients"))),
        reason=", ".join(word for word in words if word)[:500],
    )
    if not report.message_id:
        return Arrival(note=f"{kind}: it names no message")
    return Arrival(event=report, envelope=_envelope(about, ""))


def _recipients(value: Any) -> Iterator[str]:
    """Lower-case addresses; a bounce has objects where all others have strings."""
    for one in value if isinstance(value, list) else []:
        address = one.get("address") if isinstance(one, dict) else one
        if isinstance(address, str):
            yield address.lower()


# --- Mail -----------------------------------------------------------------------------------------


def _envelope(message: Fields, label: str) -> Envelope:
    """AgentMail files what fails authentication under a label; of what it lets into the inbox it says nothing."""
    inbox = word_in(message, "inbox_id").lower()
    return Envelope(
        recipients=(inbox,) if inbox else (),
        thread_id=word_in(message, "thread_id"),
        standing=Standing.FAILED if label == "unauthenticated" else Standing.UNKNOWN,
        label=label,
    )


def _mail(payload: InboundPayload, message: Fields, label: str, seconds: float) -> Arrival:
    inbox_id, message_id = word_in(message, "inbox_id"), word_in(message, "message_id")
    if not inbox_id or not message_id:
        return Arrival(note="A mail without the ids of its inbox and itself")
    entry = gates.of_transport("agentmail").enter(seconds)
    api = AgentMail(seconds=seconds)
    try:
        mail = _as_it_came(api, inbox_id, message_id, is_last_try=payload.failures + 1 >= TRIES_FOR_RAW)
        mail = mail or _as_described(api, inbox_id, message_id, message)
    except AgentMailError as error:
        entry.report(error.trouble if error.may_pass else None)
        raise DoorError(
            f"a mail could not be fetched from AgentMail: {error}",
            permanent=error.status in {404, 413},
            retry_after_seconds=error.retry_after_seconds,
        ) from error
    entry.report(None)
    # By this id it is answered; a mail may come without one, and then AgentMail has made it.
    return Arrival(mail=replace(mail, message_id=message_id), envelope=_envelope(message, label))


def _as_it_came(api: AgentMail, inbox_id: str, message_id: str, *, is_last_try: bool) -> InboundMail | None:
    """The mail with all its headers; None where it can't be had so."""
    try:
        mail = parse(api.raw(inbox_id, message_id, limit=MAX_MAIL_BYTES))
    except AgentMailError as error:
        if error.may_pass and not is_last_try:
            raise
        logger.warning("mail %s: taken without its raw text: %s", message_id, error)
        return None
    return mail if mail.from_address else None  # what is from nobody was something else than the mail


def _as_described(api: AgentMail, inbox_id: str, message_id: str, message: Fields) -> InboundMail:
    """The mail as AgentMail's JSON describes it. Its files are fetched one by one, all or none of the mail: one that
    lacks a file would be answered as if the file had not come."""
    if not letters.has_body(message):
        message = api.message(inbox_id, message_id)
    return parse(letters.write(message, list(_files(api, inbox_id, message_id, message))))


def _files(api: AgentMail, inbox_id: str, message_id: str, message: Fields) -> Iterator[InboundAttachment]:
    listed, left = message.get("attachments"), MAX_MAIL_BYTES
    for file in (listed if isinstance(listed, list) else [])[:MAX_ATTACHMENTS]:
        if isinstance(file, dict) and (attachment_id := word_in(file, "attachment_id")):
            content = api.attachment(inbox_id, message_id, attachment_id, limit=left)
            left -= len(content)
            yield InboundAttachment(
                name=word_in(file, "filename"),
                declared_type=word_in(file, "content_type"),
                content=content,
                content_id=word_in(file, "content_id").strip("<>"),
                inline=word_in(file, "content_disposition") == "inline",
            )
