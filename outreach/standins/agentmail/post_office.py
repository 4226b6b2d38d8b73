"""The stand-in's post office: what it keeps, what becomes of it, and whom it tells."""

import base64
import hashlib
import json
import re
import secrets
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, default
from email.utils import formatdate, getaddresses, make_msgid
from typing import Any

from outreach.standins.agentmail.events import Delivery, post
from outreach.standins.agentmail.messages import (
    Fields,
    Stored,
    addresses_in,
    as_list,
    file_of,
    mailbox,
    now,
    reply_subject,
    stored_mail,
)
from outreach.standins.agentmail.refusals import Refused, invalid, not_found

KEYS_LAST = timedelta(hours=24)
MAX_RECIPIENTS = 50
RETRY_SECONDS = (0.0, 0.1, 0.5, 2.0, 5.0)  # of deliveries; the service's own schedule goes on for a day
DISABLED_AFTER = 10  # deliveries of one webhook that failed for good, in a row
_KEY = re.compile(r"[A-Za-z0-9._~-]{1,256}")


@dataclass
class KeyedSend:
    """A send that carried an idempotency key."""

    fingerprint: str  # of endpoint and request
    answer: Fields | None = None  # none yet: still in progress
    completed_at: float = 0.0


class PostOffice:
    """Inboxes, mail, webhooks and idempotency keys, in memory."""

    def __init__(self) -> None:
        self.url = ""  # what AGENTMAIL_BASE_URL has to be
        self.inboxes: dict[str, Fields] = {}
        self.messages: dict[tuple[str, str], Stored] = {}  # by inbox and Message-ID, in the order of their coming
        self.webhooks: dict[str, Fields] = {}
        self.suppressed: dict[str, str] = {}  # address to why
        self.keys: dict[str, KeyedSend] = {}
        self.deliveries: list[Delivery] = []
        self.slow_seconds = 0.0  # that a send takes, between its beginning and its effect
        self.on_sent: Callable[[Stored], None] = lambda stored: None
        self._failed_in_a_row: dict[str, int] = {}
        self._lock = threading.RLock()
        self._stopping = threading.Event()

    def sent(self, inbox_id: str | None = None) -> list[Stored]:
        """All mail that went out, oldest first."""
        with self._lock:
            found = [stored for stored in self.messages.values() if "sent" in stored.labels]
        return [stored for stored in found if inbox_id in (None, stored.fields["inbox_id"])]

    def deliver(self, inbox_id: str, raw: bytes, *, label: str = "", quietly: bool = False) -> Fields:
        """A mail arrives for the inbox; with a label it is filed under it. `quietly`: no event tells of it."""
        with self._lock:
            inbox = self.inbox(inbox_id)
            stored = self._received(inbox, raw, label)
            known = (inbox_id, stored.fields["message_id"])
            if known in self.messages:
                return self.messages[known].fields
            self.messages[known] = stored
            event = {"message": stored.fields, "thread": self.thread_item(inbox_id, stored.fields["thread_id"])}
        if not quietly:
            self.tell(f"message.received.{label}" if label else "message.received", event)
        return stored.fields

    def report(self, event_type: str, message_id: str, **more: Any) -> Fields:
        """Something happens to a mail of ours: `message.delivered`, `message.bounced`, `message.complained` …"""
        with self._lock:
            stored = next(one for one in self.messages.values() if one.fields["message_id"] == message_id)
            to = [address for _, address in getaddresses(stored.fields["to"])]
            key = {"message.delivered": "delivery", "message.bounced": "bounce", "message.complained": "complaint"}.get(
                event_type, {"message.rejected": "reject", "message.opened": "open"}.get(event_type, "send")
            )
            about = {name: stored.fields[name] for name in ("inbox_id", "thread_id", "message_id")}
            about |= {"timestamp": now(), "recipients": to, **more}
            if key == "bounce":
                about = {"type": "Permanent", "sub_type": "General", **about}
                about["recipients"] = [{"address": address, "status": "bounced"} for address in to]
            if key == "complaint":
                about = {"type": "abuse", "sub_type": "spam", **about}
            if key in ("reject", "complaint") or (key == "bounce" and about["type"] == "Permanent"):
                self.suppressed |= dict.fromkeys(to, event_type)
                stored.fields["labels"].append(event_type.partition(".")[2])
        return self.tell(event_type, {key: about})

    def tell(self, event_type: str, content: Fields) -> Fields:
        """Deliver an event to each webhook that asked for its type, on threads of their own; the event."""
        event = {"type": "event", "event_type": event_type, "event_id": f"evt_{uuid.uuid4().hex}", **content}
        with self._lock:
            hooks = [hook for hook in self.webhooks.values() if hook["enabled"] and event_type in hook["event_types"]]
        for hook in hooks:
            threading.Thread(target=self._deliver, args=(hook, event), daemon=True).start()
        return event

    def post_event(self, hook: Fields, event: Fields, *, delivery_id: str = "") -> int | None:
        """One attempt to deliver an event, written down; the status of the answer, None where there is none."""
        status = post(hook, event, delivery_id or f"msg_{event['event_id']}")
        with self._lock:
            self.deliveries.append(Delivery(event["event_id"], event["event_type"], status))
        return status

    def _deliver(self, hook: Fields, event: Fields) -> None:
        hook_id = hook["webhook_id"]
        for pause in RETRY_SECONDS:
            if self._stopping.wait(pause):
                return
            status = self.post_event(hook, event)
            if status is not None and 200 <= status < 300:
                self._failed_in_a_row[hook_id] = 0
                return
        with self._lock:
            self._failed_in_a_row[hook_id] = self._failed_in_a_row.get(hook_id, 0) + 1
            if self._failed_in_a_row[hook_id] >= DISABLED_AFTER:
                hook["enabled"] = False

    def create_inbox(self, username: str = "", domain: str = "", **fields: Any) -> Fields:
        """A new inbox, or the one of the same `client_id`."""
        with self._lock:
            client_id = fields.get("client_id")
            if client_id is not None and not _KEY.fullmatch(str(client_id)):
                raise invalid("client_id", "must be 1-256 of A-Za-z0-9-._~")
            for inbox in self.inboxes.values():
                if client_id and inbox.get("client_id") == client_id:
                    return inbox
            name = username or f"agent-{secrets.token_hex(4)}"
            inbox_id = f"{name}@{domain or 'agentmail.example'}"
            if inbox_id in self.inboxes:
                raise Refused(403, "resource_taken", "Inbox is taken")
            given = {name: value for name, value in fields.items() if value is not None}
            self.inboxes[inbox_id] = {
                "pod_id": "pod_1",
                "inbox_id": inbox_id,
                "email": inbox_id,
                **given,
                "updated_at": now(),
                "created_at": now(),
            }
            return self.inboxes[inbox_id]

    def inbox(self, inbox_id: str) -> Fields:
        """The inbox. Raises Refused where there is none."""
        if inbox_id not in self.inboxes:
            raise not_found("Inbox")
        return self.inboxes[inbox_id]

    def once(self, path: Fields, body: Fields, headers: Fields, effect: Callable[[], Fields]) -> Fields:
        """The effect, or with a key that is known its first answer (docs.agentmail.to, Idempotency)."""
        key = headers.get("idempotency-key")
        if key is None:
            return self._slowly(effect)
        if not _KEY.fullmatch(key):
            raise invalid("Idempotency-Key", "must be 1-256 of A-Za-z0-9-._~")
        fingerprint = hashlib.sha256(json.dumps([path, body], sort_keys=True).encode()).hexdigest()
        with self._lock:
            known = self.keys.get(key)
            if known and known.answer is not None and time.time() - known.completed_at >= KEYS_LAST.total_seconds():
                known = None
            if known and known.fingerprint != fingerprint:
                raise Refused(409, "conflict", "Idempotency key was used with different parameters")
            if known and known.answer is None:
                raise Refused(409, "conflict", "A request with this idempotency key is in progress; wait and retry")
            if known:
                return dict(known.answer or {})
            self.keys[key] = KeyedSend(fingerprint)
        try:
            answer = self._slowly(effect)
        except BaseException:
            with self._lock:
                del self.keys[key]
            raise
        with self._lock:
            self.keys[key] = KeyedSend(fingerprint, answer, time.time())
        return answer

    def _slowly(self, effect: Callable[[], Fields]) -> Fields:
        time.sleep(self.slow_seconds)
        with self._lock:
            return effect()

    def forget_keys(self) -> None:
        """A day passes for the idempotency keys."""
        with self._lock:
            for known in self.keys.values():
                known.completed_at -= KEYS_LAST.total_seconds()

    def new_mail(self, inbox_id: str, body: Fields, answered: Stored | None) -> Fields:
        """Send a mail, in answer to another one or not; what the API answers."""
        inbox = self.inbox(inbox_id)
        if inbox.get("status") == "paused":
            raise Refused(403, "forbidden", "Inbox is paused")
        recipients = {name: addresses_in(name, body.get(name)) for name in ("to", "cc", "bcc")}
        everyone = [address for listed in recipients.values() for _, address in getaddresses(listed)]
        if not everyone:
            raise Refused(422, "unprocessable", "At least one recipient is required")
        if len(everyone) > MAX_RECIPIENTS:
            raise invalid("to", f"at most {MAX_RECIPIENTS} recipients")
        if blocked := [address for address in everyone if address in self.suppressed]:
            raise Refused(403, "message_rejected", f"Recipient is suppressed: {', '.join(blocked)}")
        if not body.get("text") and not body.get("html"):
            raise invalid("text", "text or html is required")
        files = [file_of(given) for given in as_list(body.get("attachments") or [])]
        stored = self._sent(inbox, body, recipients, answered, files)
        self.messages[inbox_id, stored.fields["message_id"]] = stored
        about = {name: stored.fields[name] for name in ("inbox_id", "thread_id", "message_id", "timestamp")}
        self.tell("message.sent", {"send": {**about, "recipients": everyone}})
        self.on_sent(stored)
        return {"message_id": stored.fields["message_id"], "thread_id": stored.fields["thread_id"]}

    def _sent(
        self,
        inbox: Fields,
        body: Fields,
        recipients: dict[str, list[str]],
        answered: Stored | None,
        files: list[tuple[Fields, bytes]],
    ) -> Stored:
        mail = EmailMessage(policy=SMTP)
        mail["From"] = mailbox(inbox.get("display_name", ""), inbox["inbox_id"])
        for name in ("to", "cc"):
            if recipients[name]:
                mail[name.title()] = ", ".join(recipients[name])
        mail["Subject"] = reply_subject(answered) if answered else body.get("subject") or ""
        mail["Date"] = formatdate(usegmt=True)
        mail["Message-ID"] = message_id = make_msgid(idstring="sent", domain="email.ses.example")
        for name, value in (body.get("headers") or {}).items():
            mail[name] = value
        if answered:
            mail["In-Reply-To"] = answered.fields["message_id"]
            mail["References"] = " ".join([*answered.fields.get("references", []), answered.fields["message_id"]])
        if body.get("text") or not body.get("html"):
            mail.set_content(body.get("text") or "")
        if body.get("html") and body.get("text"):
            mail.add_alternative(body["html"], subtype="html")
        elif body.get("html"):
            mail.set_content(body["html"], subtype="html")
        for given, content in files:
            maintype, _, subtype = str(given.get("content_type") or "application/octet-stream").partition("/")
            mail.add_attachment(
                content, maintype=maintype, subtype=subtype, filename=given.get("filename") or "attachment"
            )
        thread_id = answered.fields["thread_id"] if answered else str(uuid.uuid4())
        stored = stored_mail(
            inbox["inbox_id"], thread_id, message_id, mail.as_bytes(), ["sent", *as_list(body.get("labels"))]
        )
        if recipients["bcc"]:
            stored.fields["bcc"] = recipients["bcc"]
        return stored

    def _received(self, inbox: Fields, raw: bytes, label: str) -> Stored:
        mail = message_from_bytes(raw, policy=default)
        message_id = str(mail["Message-ID"] or make_msgid(domain="inbound.example")).strip()
        named = f"{mail['In-Reply-To'] or ''} {mail['References'] or ''}".split()
        threads = [
            one.fields["thread_id"]
            for (inbox_id, known), one in self.messages.items()
            if inbox_id == inbox["inbox_id"] and known in named
        ]
        labels = [label] if label else ["received", "unread"]
        return stored_mail(inbox["inbox_id"], threads[-1] if threads else str(uuid.uuid4()), message_id, raw, labels)

    def message(self, inbox_id: str, message_id: str) -> Stored:
        """The mail of an inbox. Raises Refused where there is none."""
        self.inbox(inbox_id)
        if (inbox_id, message_id) not in self.messages:
            raise not_found("Message")
        return self.messages[inbox_id, message_id]

    def thread_item(self, inbox_id: str, thread_id: str) -> Fields:
        """A thread as lists show it."""
        mates = [one.fields for one in self.messages.values() if one.fields["thread_id"] == thread_id]
        mates = [one for one in mates if one["inbox_id"] == inbox_id]
        if not mates:
            raise not_found("Thread")
        return {
            "inbox_id": inbox_id,
            "thread_id": thread_id,
            "labels": sorted({label for one in mates for label in one["labels"]}),
            "timestamp": mates[-1]["timestamp"],
            "senders": sorted({one["from"] for one in mates}),
            "recipients": sorted({address for one in mates for address in one["to"]}),
            "subject": mates[0].get("subject", ""),
            "last_message_id": mates[-1]["message_id"],
            "message_count": len(mates),
            "size": sum(one["size"] for one in mates),
            "updated_at": mates[-1]["updated_at"],
            "created_at": mates[0]["created_at"],
        }

    def webhook(self, webhook_id: str) -> Fields:
        """The webhook. Raises Refused where there is none."""
        if webhook_id not in self.webhooks:
            raise not_found("Webhook")
        return self.webhooks[webhook_id]

    def enable(self, hook: Fields, is_enabled: bool) -> None:
        """Events are delivered to the webhook from now on, or no more; what failed before is forgotten."""
        hook["enabled"] = is_enabled
        self._failed_in_a_row[hook["webhook_id"]] = 0

    def link(self, *names: str) -> Fields:
        """A link to a file, for an hour."""
        token = base64.urlsafe_b64encode(json.dumps(names).encode()).decode()
        expires_at = datetime.now(UTC) + timedelta(hours=1)
        return {"download_url": f"{self.url}/files/{token}?signature=x", "expires_at": expires_at.isoformat()}
