"""AgentMail's stand-in beside a case, for tests: what is due is carried out in the calling thread."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from django.test import Client as Browser
from standardwebhooks import Webhook

from cases import services
from cases.factories import ApiKeyFactory
from cases.models import Case
from cases.testing import run_due
from outreach.standins.agentmail import AgentMailServer

INBOX = "us@agentmail.example"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ANN = "ann@supplier.example"


@contextmanager
def agentmail(settings: Any) -> Iterator[AgentMailServer]:
    """A server with our inbox, and settings that lead to it."""
    with AgentMailServer() as server:
        server.create_inbox("us", "agentmail.example", display_name="Acme")
        settings.AGENTMAIL_BASE_URL, settings.AGENTMAIL_API_KEY = server.url, server.key
        settings.AGENTMAIL_INBOX, settings.AGENTMAIL_WEBHOOK_SECRET = INBOX, [SECRET]
        settings.OFFLOAD_TRANSPORT, settings.OFFLOAD_SETTLE_SECONDS = "agentmail", 0
        settings.OFFLOAD_TRANSPORT_SECONDS = 2.0
        yield server


def post_case(**fields: Any) -> Case:
    """A live case, not advanced yet."""
    return services.create_case(
        ApiKeyFactory(),
        **{
            "channel": "EMAIL",
            "goal": {"objective": "Ask for the invoice of March."},
            "counterparty": {"address": ANN, "name": "Ann Miller"},
            "sender_persona": {"name": "Bob Buyer"},
            **fields,
        },
    )


def begin(**fields: Any) -> Case:
    """A live case whose first mail has been sent."""
    case = post_case(**fields)
    run_due()
    case.refresh_from_db()
    return case


def post_signed(
    browser: Browser, body: bytes, *, secret: str = SECRET, late: timedelta = timedelta(0), **changed: str
) -> Any:
    """POST the body to the door as Svix does; `changed` headers replace the right ones."""
    at = datetime.now(UTC) - late
    signature = Webhook(secret).sign("msg_1", at, body.decode(errors="replace"))
    headers = {"svix_id": "msg_1", "svix_timestamp": str(int(at.timestamp())), "svix_signature": signature, **changed}
    return browser.post(
        "/inbound/agentmail",
        data=body,
        content_type="application/json",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )
