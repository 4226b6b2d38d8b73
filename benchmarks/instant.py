"""Mail that takes no time, and a counterparty who answers each one as soon as its send is recorded.

The answer comes in by the sandbox's door, as raw bytes, like any mail. It fills in the form of the `form` agent, so the
case is completed by it.
"""

import hashlib
import uuid
from functools import partial
from typing import Any

from django.db import transaction

from cases.models import Case, Event
from outreach import transports
from outreach.inbound import intake
from outreach.tasks import CASES
from outreach.transports import OutgoingMail, Receipt

__all__ = ["CASE", "CASES"]

CASE: dict[str, Any] = {
    "channel": "EMAIL",
    "goal": {
        "objective": "Please send us the invoice of order 4711, with its number and its total.",
        "knowledge": "The order was placed on 2 November.",
    },
    "counterparty": {"address": "ann.miller@supplier.example", "name": "Ann Miller", "timezone": "Europe/Berlin"},
    "sender_persona": {"name": "Robin Ward", "role": "Purchasing", "company": "Acme"},
    "constraints": ["Do not name a price."],
    "result_schema": {
        "type": "object",
        "required": ["invoiceNumber", "total"],
        "properties": {"invoiceNumber": {"type": "string"}, "total": {"type": "number"}},
        "additionalProperties": False,
    },
    "metadata": {"orderRow": "purchase-4711-b"},
}
ANSWER = "Hello Robin,\n\nInvoice number: 2026-0042\nTotal: 1250.50\n\nBest regards\nAnn"

_under_way: dict[str, OutgoingMail] = {}  # by case


class InstantTransport:
    """A provider that takes each mail at once."""

    def send(self, mail: OutgoingMail) -> Receipt:
        _under_way[mail.case_id] = mail
        return Receipt(provider_id=mail.idempotency_key)


transports.TRANSPORTS["sandbox"] = InstantTransport


def answer(case: Case, event: Event) -> None:
    """The listener of message.sent: the counterparty answers once that is committed."""
    raw = _answer_to(_under_way.pop(str(case.pk)))
    transaction.on_commit(partial(intake.accept, "sandbox", raw, hashlib.sha256(raw).hexdigest()))


def _answer_to(mail: OutgoingMail) -> bytes:
    quoted = "\n".join(f"> {line}" for line in mail.text.splitlines())
    headers = {
        "From": f"{mail.to_name} <{mail.to_address}>",
        "To": f"{mail.from_name} <{mail.from_address}>",
        "Subject": f"Re: {mail.subject}",
        "Message-ID": f"<{uuid.uuid4().hex}@supplier.example>",
        "In-Reply-To": mail.message_id,
        "References": mail.message_id,
        "Date": "Mon, 07 Dec 2026 09:00:00 +0000",
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=utf-8",
    }
    head = "".join(f"{name}: {value}\n" for name, value in headers.items())
    return f"{head}\n{ANSWER}\n\nOn 2 November {mail.from_name} wrote:\n{quoted}\n".replace("\n", "\r\n").encode()
