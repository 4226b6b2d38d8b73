"""Inbox and webhook at AgentMail, made if they are not there. By its `client_id` each is made once."""

import hashlib
import re

from django.conf import settings

from cases.models import Client
from outreach.agentmail.client import AgentMail, AgentMailError, Fields, word
from outreach.agentmail.reader import FILED, RECEIVED, REPORTS

SECONDS = 60.0
EVENT_TYPES = [RECEIVED, *FILED, *(kind for kind in REPORTS if kind != "message.opened")]


def inbox_of(client: Client | None, *, chosen: str = "", **wanted: str) -> str:
    """The id of the client's inbox, or without a client of the shared one: the one that is chosen, else the one that is
    configured, else a new one with the `username`, `domain` and `display_name` that are wanted.

    Raises AgentMailError, also where the chosen or configured one does not exist.
    """
    api = AgentMail(seconds=SECONDS)
    known = chosen or (client.agentmail_inbox if client else settings.AGENTMAIL_INBOX)
    if known:
        inbox = api.inbox(known)
    else:
        given = {name: value for name, value in wanted.items() if value}
        inbox = api.create_inbox(client_id=_client_id("inbox", client), **given)
    inbox_id = word(inbox, "inbox_id", 320)
    if client and client.agentmail_inbox != inbox_id:
        client.agentmail_inbox = inbox_id
        client.save(update_fields=["agentmail_inbox"])
    return inbox_id


def webhook() -> Fields:
    """The webhook that tells this installation of what happens: there, enabled, and with all events it needs."""
    api = AgentMail(seconds=SECONDS)
    there = next((hook for hook in api.webhooks() if hook.get("url") == url()), None)
    hook = there or api.create_webhook(url=url(), event_types=EVENT_TYPES, client_id=_client_id("webhook"))
    if hook.get("url") != url():
        raise AgentMailError(f"webhook {hook.get('webhook_id')} leads to {hook.get('url')}, not to {url()}")
    if changes := _changes(hook):
        hook = {**hook, **api.change_webhook(word(hook, "webhook_id", 300), **changes)}
    return hook


def _changes(hook: Fields) -> Fields:
    """What has to be changed about it. AgentMail disables a webhook after repeated failures, and tells nobody."""
    changes: Fields = {}
    if hook.get("enabled") is not True:
        changes["enabled"] = True
    told = hook.get("event_types")
    told = told if isinstance(told, list) else []
    if missing := [kind for kind in EVENT_TYPES if kind not in told]:
        changes["event_types"] = [*told, *missing]  # the new list replaces the old one
    return changes


def url() -> str:
    return f"{settings.OFFLOAD_BASE_URL}/inbound/agentmail"


def _client_id(what: str, client: Client | None = None) -> str:
    """AgentMail's name of something that this installation makes: 1 to 256 of `A-Za-z0-9-._~`.

    The webhook's names its address, so that one for another address is another.
    """
    host = re.sub(r"[^A-Za-z0-9.-]", "-", settings.OFFLOAD_BASE_URL.partition("://")[2])[:100]
    if what == "webhook":
        return f"offload-{host}-{what}-{hashlib.sha256(url().encode()).hexdigest()[:8]}"
    return f"offload-{host}-{what}-{client.pk}" if client else f"offload-{host}-{what}"
