"""A signed event without a case, sent while its client waits: does the endpoint get it, and answer well?"""

import json
import uuid
from dataclasses import dataclass
from datetime import timedelta

from cases import work
from cases.models import Case, Client
from cases.payload_parts import milliseconds
from webhooks import endpoints, replay, sender, signing
from webhooks.errors import NoUrlToTest, TestedTooSoon
from webhooks.listeners import origin
from webhooks.models import Endpoint, EndpointTest

PAUSE = timedelta(seconds=10)  # between two tests of a client
LIMIT_SECONDS = 10.0  # not more than PAUSE: so a client occupies one thread of the web process at most


@dataclass(frozen=True)
class Trial:
    """What came of a test."""

    event_id: str
    url: str
    outcome: sender.Outcome
    replayed: int = 0  # kept events that are being sent by now


def usual_url(client: Client) -> str:
    """The URL of the client's newest case that has one. Raises NoUrlToTest."""
    cases = Case.objects.filter(client=client, client_webhook_url__isnull=False).order_by("-created_at")
    url: str | None = cases.values_list("client_webhook_url", flat=True).first()
    if url is None:
        raise NoUrlToTest(details=[{"path": "url", "message": NoUrlToTest.message}])
    return url


def try_out(client: Client, url: str, *, and_replay: bool = False) -> Trial:
    """Send a `webhook.test` to the URL; a success takes its endpoint back if it is parked.

    A failure is held against nobody. With `and_replay`, a success has what was kept for the endpoint sent. Raises
    TestedTooSoon, SecretUnreadable.
    """
    _wait_your_turn(client)
    event_id, at = f"evt_test_{uuid.uuid4()}", work.now()
    event = {"event_id": event_id, "event_type": "webhook.test", "timestamp": milliseconds(at), "data": {}}
    body = json.dumps(event, separators=(",", ":")).encode()
    headers = signing.headers(signing.secrets_for(client), event_id, at, body)
    work.let_go_of_connection()
    outcome = sender.post(url, body, headers=headers, limit_seconds=LIMIT_SECONDS)
    endpoint = Endpoint.objects.filter(client=client, origin=origin(url)).first()
    if endpoint is None or not outcome.is_success:
        return Trial(event_id, url, outcome)
    with work.transaction():
        endpoints.succeed(Endpoint.objects.locked(endpoint.pk), work.now())
    replayed = replay.replay_all(replay.kept_for(endpoint)) if and_replay else 0
    return Trial(event_id, url, outcome, replayed)


def _wait_your_turn(client: Client) -> None:
    now = work.now()
    with work.transaction():
        last, is_first = EndpointTest.objects.get_or_create(client=client, defaults={"at": now})
        may = EndpointTest.objects.filter(client=client, at__lte=now - PAUSE)
        if not is_first and not may.update(at=now):
            raise TestedTooSoon(max(1.0, (last.at + PAUSE - now).total_seconds()))
