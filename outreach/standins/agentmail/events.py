"""Events as AgentMail delivers them, through Svix."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

import requests
from standardwebhooks import Webhook

from outreach.standins.agentmail.messages import Fields

MAX_EVENT_BYTES = 1_000_000


@dataclass(frozen=True)
class Delivery:
    """One attempt to deliver an event to a webhook."""

    event_id: str
    event_type: str
    status: int | None  # None: no answer


def post(hook: Fields, event: Fields, delivery_id: str) -> int | None:
    """One attempt to deliver an event, signed as Svix signs; the status of the answer, None where there is none."""
    body = event_bytes(event)
    at = datetime.now(UTC)
    headers = {
        "Content-Type": "application/json",
        "svix-id": delivery_id,
        "svix-timestamp": str(int(at.timestamp())),
        "svix-signature": Webhook(hook["secret"]).sign(delivery_id, at, body.decode()),
        **hook.get("headers", {}),
    }
    try:
        with requests.Session() as session:
            session.trust_env = False
            return session.post(hook["url"], data=body, headers=headers, timeout=15, allow_redirects=False).status_code
    except requests.RequestException:
        return None


def event_bytes(event: Fields) -> bytes:
    """The event as it is posted; bodies are left out where it would be too large with them."""
    body = json.dumps(event).encode()
    if len(body) <= MAX_EVENT_BYTES or "message" not in event:
        return body
    bodies = {"text", "html", "extracted_text", "extracted_html"}
    kept = {name: value for name, value in event["message"].items() if name not in bodies}
    return json.dumps({**event, "message": kept}).encode()
