"""The stand-in itself: AgentMail's API, what it keeps, and whom it tells."""

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
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from outreach.standins.agentmail.events import Delivery, post
from outreach.standins.agentmail.http import Fault, Handler, Server
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
from outreach.standins.agentmail.pages import HIDDEN, is_listed, page
from outreach.standins.agentmail.refusals import Refused, invalid, not_found

KEYS_LAST = timedelta(hours=24)
MAX_REQUEST_BYTES = 6_000_000
MAX_RECIPIENTS = 50
RETRY_SECONDS = (0.0, 0.1, 0.5, 2.0, 5.0)  # of deliveries; the service's own schedule goes on for a day
DISABLED_AFTER = 10  # deliveries of one webhook that failed for good, in a row


# --- What it keeps ---


@dataclass
class KeyedSend:
    """A send that carried an idempotency key."""

    fingerprint: str  # of endpoint and request
    answer: Fields | None = None  # none yet: still in progress
    completed_at: float = 0.0


class AgentMailServer:
    """Serves on a port of this machine while the block lasts."""

    def __init__(self, *, key: str = "am_stand_in", port: int = 0) -> None:
        self.key = key
        self.inboxes: dict[str, Fields] = {}
        self.messages: dict[tuple[str, str], Stored] = {}  # by inbox and Message-ID, in the order of their coming
        self.webhooks: dict[str, Fields] = {}
        self.suppressed: dict[str, str] = {}  # address to why
        self.keys: dict[str, KeyedSend] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, bytes]] = []  # method, path with query, body
        self.deliveries: list[Delivery] = []
        self.slow_seconds = 0.0  # that a send takes, between its beginning and its effect
        self.on_sent: Callable[[Stored], None] = lambda stored: None
        self._failed_in_a_row: dict[str, int] = {}
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._server = Server(("127.0.0.1", port), Handler)
        self._server.stand_in = self

    @property
    def url(self) -> str:
        """What AGENTMAIL_BASE_URL has to be."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # --- What happens outside: mail comes, and what becomes of ours ---

    def sent(self, inbox_id: str | None = None) -> list[Stored]:
        """All mail that went out, oldest first."""
        with self._lock:
            found = [stored for stored in self.messages.values() if "sent" in stored.labels]
        return [stored for stored in found if inbox_id in (None, stored.fields["inbox_id"])]

    def deliver(self, inbox_id: str, raw: bytes, *, label: str = "", quietly: bool = False) -> Fields:
        """A mail arrives for the inbox; with a label it is filed under it. `quietly`: no event tells of it."""
        with self._lock:
            inbox = self._inbox(inbox_id)
            stored = self._received(inbox, raw, label)
            known = (inbox_id, stored.fields["message_id"])
            if known in self.messages:
                return self.messages[known].fields
            self.messages[known] = stored
            event = {"message": stored.fields, "thread": self._thread_item(inbox_id, stored.fields["thread_id"])}
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

    # --- Requests ---

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        """Status and body (JSON, or bytes for a download) of one request. Raises Refused."""
        with self._lock:
            self.requests.append((method, target, body))
        url = urlsplit(target)
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        if method == "GET" and parts[0] == "files":
            return 200, self._download(parts[1:], url.query)
        self._authorize(headers)
        query = {name: values[-1] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        for route_method, pattern, act in ROUTES:
            found = _match(pattern, parts)
            if route_method == method and found is not None:
                if len(body) > MAX_REQUEST_BYTES:
                    raise Refused(413, "payload_too_large", "Request body is larger than 6 MB")
                return 200, act(self, found, query, object_in(body), headers)
        raise not_found(f"Route {method} {url.path}")

    def take_fault(self, method: str, target: str) -> Fault | None:
        """The next fault that is meant for such a request, which it uses up."""
        with self._lock:
            for fault in self.faults:
                if fault.method == method and fault.matches in target:
                    self.faults.remove(fault)
                    return fault
        return None

    def _authorize(self, headers: dict[str, str]) -> None:
        given = headers.get("authorization", "")
        if not given:
            raise Refused(401, "missing_authorization", "Missing Authorization header")
        if not given.startswith("Bearer "):
            raise Refused(401, "invalid_token_type", "Use the Bearer scheme")
        if given != f"Bearer {self.key}":
            refused = Refused(403, "forbidden", "Forbidden")
            refused.body = {"message": "Forbidden"}  # from the gateway: no code
            raise refused

    # --- Inboxes ---

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

    def _create_inbox(self, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
        return self.create_inbox(**body)

    def _list_inboxes(self, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
        return page("inboxes", list(self.inboxes.values()), query)

    def _get_inbox(self, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
        return self._inbox(path["inbox_id"])

    def _delete_inbox(self, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
        del self.inboxes[self._inbox(path["inbox_id"])["inbox_id"]]
        return {}

    def _inbox(self, inbox_id: str) -> Fields:
        if inbox_id not in self.inboxes:
            raise not_found("Inbox")
        return self.inboxes[inbox_id]

    # --- Sending ---

    def _send(self, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
        return self._once(path, body, headers, lambda: self._new_mail(path["inbox_id"], body, None))

    def _reply(self, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
        def effect() -> Fields:
            answered = self._message(path["inbox_id"], path["message_id"])
            if body.get("reply_all") and any(body.get(name) for name in ("to", "cc", "bcc")):
                raise invalid("reply_all", "excludes to, cc and bcc")
            to = body.get("to") or answered.fields.get("reply_to") or [answered.fields["from"]]
            if body.get("reply_all"):
                to = [*as_list(to), *answered.fields["to"], *answered.fields.get("cc", [])]
            return self._new_mail(path["inbox_id"], {**body, "to": to}, answered)

        return self._once(path, body, headers, effect)

    def _reply_all(self, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
        return self._reply(path, query, {**body, "reply_all": True}, headers)

    def _once(self, path: Fields, body: Fields, headers: Fields, effect: Callable[[], Fields]) -> Fields:
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

    def _new_mail(self, inbox_id: str, body: Fields, answered: Stored | None) -> Fields:
        inbox = self._inbox(inbox_id)
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

    # --- Messages ---

    def _message(self, inbox_id: str, message_id: str) -> Stored:
        self._inbox(inbox_id)
        if (inbox_id, message_id) not in self.messages:
            raise not_found("Message")
        return self.messages[inbox_id, message_id]

    def _list_messages(self, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
        self._inbox(path["inbox_id"])
        found = [one.item() for (inbox_id, _), one in self.messages.items() if inbox_id == path["inbox_id"]]
        return page("messages", [item for item in found if is_listed(item, query)], query, newest_first=True)

    def _get_message(self, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
        return self._message(path["inbox_id"], path["message_id"]).fields

    def _change_message(self, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
        fields = self._message(path["inbox_id"], path["message_id"]).fields
        kept = [label for label in fields["labels"] if label not in as_list(body.get("remove_labels"))]
        fields["labels"] = list(dict.fromkeys([*kept, *as_list(body.get("add_labels"))]))
        return {"message_id": fields["message_id"], "labels": fields["labels"]}

    def _delete_message(self, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
        self._message(path["inbox_id"], path["message_id"])
        del self.messages[path["inbox_id"], path["message_id"]]
        return {}

    def _get_raw(self, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
        stored = self._message(path["inbox_id"], path["message_id"])
        link = self._link(path["inbox_id"], path["message_id"], "raw")
        return {"message_id": path["message_id"], "size": len(stored.raw), **link}

    def _get_attachment(self, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
        stored = self._message(path["inbox_id"], path["message_id"])
        listed = stored.fields.get("attachments", [])
        found = next((file for file in listed if file["attachment_id"] == path["attachment_id"]), None)
        if found is None:
            raise not_found("Attachment")
        return {**found, **self._link(path["inbox_id"], path["message_id"], path["attachment_id"])}

    def _link(self, *names: str) -> Fields:
        token = base64.urlsafe_b64encode(json.dumps(names).encode()).decode()
        expires_at = datetime.now(UTC) + timedelta(hours=1)
        return {"download_url": f"{self.url}/files/{token}?signature=x", "expires_at": expires_at.isoformat()}

    def _download(self, parts: list[str], query: str) -> bytes:
        if query != "signature=x":
            raise Refused(403, "forbidden", "Forbidden")
        inbox_id, message_id, name = json.loads(base64.urlsafe_b64decode(parts[0]))
        stored = self._message(inbox_id, message_id)
        return stored.raw if name == "raw" else stored.files[name]

    # --- Threads ---

    def _thread_item(self, inbox_id: str, thread_id: str) -> Fields:
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

    def _list_threads(self, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
        inbox_id = self._inbox(path["inbox_id"])["inbox_id"]
        ids = dict.fromkeys(one.fields["thread_id"] for (inbox, _), one in self.messages.items() if inbox == inbox_id)
        return page("threads", [self._thread_item(inbox_id, one) for one in ids], query, newest_first=True)

    def _get_thread(self, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
        item = self._thread_item(path["inbox_id"], path["thread_id"])
        mates = [one.fields for one in self.messages.values() if one.fields["thread_id"] == path["thread_id"]]
        newest = page(
            "messages", [one for one in mates if not set(HIDDEN) & set(one["labels"])], query, newest_first=True
        )
        newest["messages"].reverse()  # ascending inside a page, the first of which holds the newest
        return {**item, **newest}

    # --- Webhooks ---

    def _create_webhook(self, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
        if not str(body.get("url", "")).startswith(("http://", "https://")):
            raise invalid("url", "must be a URL")
        if not body.get("event_types"):
            raise invalid("event_types", "at least one is required")
        for hook in self.webhooks.values():
            if body.get("client_id") and hook.get("client_id") == body["client_id"]:
                return without_headers(hook)
        hook = {
            "webhook_id": f"ep_{secrets.token_hex(8)}",
            **{name: value for name, value in body.items() if value is not None},
            "secret": f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}",
            "enabled": True,
            "updated_at": now(),
            "created_at": now(),
        }
        self.webhooks[hook["webhook_id"]] = hook
        return without_headers(hook)

    def _list_webhooks(self, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
        return page("webhooks", [without_headers(hook) for hook in self.webhooks.values()], query)

    def _get_webhook(self, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
        return without_headers(self._webhook(path["webhook_id"]))

    def _change_webhook(self, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
        hook = self._webhook(path["webhook_id"])
        if body.get("event_types"):
            hook["event_types"] = body["event_types"]
        if body.get("enabled") is not None:
            hook["enabled"] = body["enabled"]
            self._failed_in_a_row[hook["webhook_id"]] = 0
        return without_headers(hook)

    def _delete_webhook(self, path: Fields, query: Fields, body: Fields, headers: Fields) -> Fields:
        del self.webhooks[self._webhook(path["webhook_id"])["webhook_id"]]
        return {}

    def _webhook(self, webhook_id: str) -> Fields:
        if webhook_id not in self.webhooks:
            raise not_found("Webhook")
        return self.webhooks[webhook_id]


Act = Callable[[AgentMailServer, Fields, Fields, Fields, Fields], Fields]
MESSAGES = "v0/inboxes/{inbox_id}/messages"
THREADS = "v0/inboxes/{inbox_id}/threads"
ROUTES: tuple[tuple[str, str, Act], ...] = (
    ("POST", "v0/inboxes", AgentMailServer._create_inbox),
    ("GET", "v0/inboxes", AgentMailServer._list_inboxes),
    ("GET", "v0/inboxes/{inbox_id}", AgentMailServer._get_inbox),
    ("DELETE", "v0/inboxes/{inbox_id}", AgentMailServer._delete_inbox),
    ("POST", f"{MESSAGES}/send", AgentMailServer._send),
    ("POST", f"{MESSAGES}/{{message_id}}/reply", AgentMailServer._reply),
    ("POST", f"{MESSAGES}/{{message_id}}/reply-all", AgentMailServer._reply_all),
    ("GET", MESSAGES, AgentMailServer._list_messages),
    ("GET", f"{MESSAGES}/{{message_id}}", AgentMailServer._get_message),
    ("PATCH", f"{MESSAGES}/{{message_id}}", AgentMailServer._change_message),
    ("DELETE", f"{MESSAGES}/{{message_id}}", AgentMailServer._delete_message),
    ("GET", f"{MESSAGES}/{{message_id}}/raw", AgentMailServer._get_raw),
    ("GET", f"{MESSAGES}/{{message_id}}/attachments/{{attachment_id}}", AgentMailServer._get_attachment),
    ("GET", THREADS, AgentMailServer._list_threads),
    ("GET", f"{THREADS}/{{thread_id}}", AgentMailServer._get_thread),
    ("POST", "v0/webhooks", AgentMailServer._create_webhook),
    ("GET", "v0/webhooks", AgentMailServer._list_webhooks),
    ("GET", "v0/webhooks/{webhook_id}", AgentMailServer._get_webhook),
    ("PATCH", "v0/webhooks/{webhook_id}", AgentMailServer._change_webhook),
    ("DELETE", "v0/webhooks/{webhook_id}", AgentMailServer._delete_webhook),
)


def _match(pattern: str, parts: list[str]) -> Fields | None:
    """The values of the pattern's `{names}`; None where the path is another."""
    wanted = pattern.split("/")
    if len(wanted) != len(parts):
        return None
    pairs = list(zip(wanted, parts, strict=True))
    if any(not name.startswith("{") and name != part for name, part in pairs):
        return None
    return {name.strip("{}"): part for name, part in pairs if name.startswith("{")}


# --- Values ---

_KEY = re.compile(r"[A-Za-z0-9._~-]{1,256}")


def object_in(body: bytes) -> Fields:
    if not body:
        return {}
    try:
        value = json.loads(body)
    except ValueError as error:
        raise invalid("", "The body is not JSON") from error
    if not isinstance(value, dict):
        raise invalid("", "The body must be an object")
    return value


def without_headers(hook: Fields) -> Fields:
    return {name: value for name, value in hook.items() if name != "headers"}  # write-only
