"""Everything that is known of one case, as a zip: case.json, the raw mails, the files.

For whoever asks what is stored of a case (a client, an auditor, a person under GDPR art. 15 and 20). No credential is
in it: no key, no signing secret, no header of a receiver's answer, and no query of a webhook URL, which may hold a
token. The shape of case.json is described in docs/operations.md; FORMAT changes with it.
"""

import json
import os
import re
import uuid
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.files.storage import default_storage
from django.db.models import Model, Q

from cases import work
from cases.models import Attachment, Case, Direction, Enclosure
from outreach.models import InboundPayload, ModelCall, SandboxMail, StaffNotice, Suppression
from webhooks.models import Delivery

FORMAT = 1
RAW_MAILS = {"sandbox", "smtp", "pipe", "imap", "anymail"}  # doors whose payload is the mail itself
CHUNK_BYTES = 1_000_000

# What is told of each row: its columns. A new column is not exported before somebody has named it here.
CASE = [
    "id",
    "client_reference_id",
    "is_test",
    "channel",
    "goal",
    "counterparty",
    "sender_persona",
    "constraints",
    "language",
    "input_timeout_hours",
    "input_timeout_action",
    "max_attempts",
    "follow_up_delay_hours",
    "result_schema",
    "metadata",
    "review_mode",
    "transport",
    "our_address",
    "thread_id",
    "status",
    "result_status",
    "result",
    "sources",
    "failure_reason",
    "attempt_count",
    "follow_up_count",
    "next_action_at",
    "deadline_at",
    "paused_at",
    "model_calls",
    "model_tokens",
    "model_cost",
    "version",
    "created_at",
    "updated_at",
    "reopened_from_id",
]
MESSAGE = [
    "id",
    "direction",
    "purpose",
    "status",
    "message_id",
    "in_reply_to",
    "references",
    "from_address",
    "from_name",
    "to_address",
    "cc",
    "subject",
    "text",
    "full_text",
    "html",
    "created_at",
    "written_by",
    "sent_at",
    "delivered_at",
    "provider_id",
    "drafted_at",
    "edited_by",
    "decided_by",
    "rejection",
    "assignment_note",
    "completion",
    "sent_by_them_at",
    "absent_until",
    "read_at",
    "is_after_end",
]
FILE = ["id", "name", "type", "declared_type", "size", "sha256", "text", "note"]
QUESTION = [
    "id",
    "question",
    "reason",
    "options",
    "answer_schema",
    "proposal",
    "assignment_note",
    "is_operational",
    "status",
    "requested_at",
    "resolved_at",
    "provided_context",
    "answered_by",
    "used_at",
]
DELIVERY = ["id", "event_id", "event_type", "sequence", "state", "attempt_count", "created_at", "delivered_at", "note"]
ATTEMPT = ["number", "started_at", "duration_ms", "status", "response_body", "error"]
PAYLOAD = ["id", "source", "received_at", "state", "note", "envelope", "summary", "decided_by"]
CALL = [
    "at",
    "purpose",
    "model",
    "prompt_version",
    "prompt_tokens",
    "completion_tokens",
    "duration_ms",
    "cost",
    "fault",
]


@contextmanager
def new_file(path: Path) -> Iterator[Any]:
    """A file that appears under its name once it is whole, for its owner only. Raises FileExistsError.

    What is there already is never overwritten, also where it came while this one was written.
    """
    if path.exists():
        raise FileExistsError(path)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
        os.link(part, path)
    finally:
        part.unlink()


def write(case: Case, file: Any, *, step: Callable[[], None] = lambda: None) -> list[str]:
    """Write the zip; `step` is called after each member. Returns the names of files that the storage does not have."""
    missing: list[str] = []
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        with work.transaction():
            told, mails, files = _told(case), list(_mails(case)), list(_files(case))
        archive.writestr("case.json", json.dumps(told, indent=2, ensure_ascii=False, default=_as_json))
        step()
        for name, content in mails:
            archive.writestr(name, content)
            step()
        for name, stored in files:
            if not _copy(archive, name, stored):
                missing.append(name)
            step()
    return missing


def count(case: Case) -> int:
    """How many members the zip will have."""
    return 1 + len(list(_payloads(case))) + case.sandbox_mails.count() + len(list(_files(case)))


def _told(case: Case) -> dict[str, Any]:
    """What case.json says."""
    return {
        "format": FORMAT,
        "exportedAt": work.now(),
        "case": {**_row(case, CASE), "clientWebhookUrl": _without_secrets(case.client_webhook_url)},
        "client": {"id": case.client_id, "name": case.client.name},
        "continuedBy": getattr(getattr(case, "reopened_as", None), "pk", None),
        "messages": [
            {**_row(message, MESSAGE), "files": [_file(one) for one in message.attachments.all()]}
            for message in case.messages.prefetch_related("attachments")
        ],
        "enclosures": [_file(one) for one in case.enclosures.all()],
        "correspondents": _rows(case.correspondents.all(), ["address", "name", "how", "since"]),
        "questions": _rows(case.input_requests.all(), QUESTION),
        "timeline": _rows(case.events.all(), ["type", "actor", "at", "data"]),
        "webhooks": [_delivery(one) for one in case.deliveries.order_by("sequence").prefetch_related("attempts")],
        "mailsAsTheyCame": [
            {**_row(payload, PAYLOAD), "messageId": payload.message_id, "raw": _raw_name(payload)}
            for payload in _payloads(case)
        ],
        "notices": _rows(
            StaffNotice.objects.filter(
                Q(case=case) | Q(question__case=case) | Q(draft__case=case) | Q(parking__case=case)
            ),
            ["address", "is_reminder", "state", "note", "created_at", "hold", "held_until", "sent_at"],
        ),
        "modelCalls": _rows(ModelCall.objects.filter(case=case), CALL),
        "suppressions": _rows(Suppression.objects.filter(case=case), ["address", "reason", "note", "since"]),
    }


def _delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        **_row(delivery, DELIVERY),
        "url": _without_secrets(delivery.url),
        "body": _as_read(bytes(delivery.body)),
        "attempts": _rows(delivery.attempts.all(), ATTEMPT),
    }


def _file(row: Attachment | Enclosure) -> dict[str, Any]:
    return {**_row(row, FILE), "path": _file_name(row)}


def _rows(rows: Iterable[Model], columns: list[str]) -> list[dict[str, Any]]:
    return [_row(row, columns) for row in rows]


def _row(row: Model, columns: list[str]) -> dict[str, Any]:
    """The row's columns under the names of the API: `sent_at` is `sentAt`."""
    return {_camel(column): getattr(row, column) for column in columns}


def _camel(column: str) -> str:
    first, *rest = column.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _without_secrets(url: str | None) -> str | None:
    """The URL without user, password, query and fragment."""
    if url is None:
        return None
    with suppress(ValueError):
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.netloc else ""
    return ""


def _as_read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, uuid.UUID | Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not for case.json")


# --- The other members ----------------------------------------------------------------------------


def _payloads(case: Case) -> Iterable[InboundPayload]:
    """Mail of the case as it came in; also what is kept from it until staff decide."""
    of_case = Q(message__case=case) | Q(case=case) | Q(decided_case=case)
    return InboundPayload.objects.filter(of_case).order_by("received_at", "pk").distinct()


def _raw_name(payload: InboundPayload) -> str:
    """A mail's bytes as they are, or what its provider told of it."""
    return f"mails/in-{payload.pk}.{'eml' if payload.source in RAW_MAILS else 'json'}"


def _mails(case: Case) -> Iterator[tuple[str, bytes]]:
    for payload in _payloads(case):
        yield _raw_name(payload), bytes(payload.body)
    for mail in SandboxMail.objects.filter(case=case):
        yield f"mails/out-{mail.pk}.eml", bytes(mail.raw)


def _files(case: Case) -> Iterator[tuple[str, str]]:
    for attachment in Attachment.objects.filter(message__case=case).select_related("message"):
        yield _file_name(attachment), str(attachment.file.name)
    for enclosure in case.enclosures.all():
        yield _file_name(enclosure), str(enclosure.file.name)


def _file_name(row: Attachment | Enclosure) -> str:
    """No part of the path is the sender's but what is harmless of the name."""
    harmless = re.sub(r"[^\w.-]+", "_", row.name).strip("._")[-80:] or "file"
    if isinstance(row, Enclosure):
        return f"enclosures/{row.pk}-{harmless}"
    side = "in" if row.message.direction == Direction.IN else "out"
    return f"files/{side}-{row.pk}-{harmless}"


def _copy(archive: zipfile.ZipFile, name: str, stored: str) -> bool:
    try:
        source = default_storage.open(stored)
    except FileNotFoundError:
        return False
    with source, archive.open(name, "w") as target:
        for chunk in iter(lambda: source.read(CHUNK_BYTES), b""):
            target.write(chunk)
    return True
