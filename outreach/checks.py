"""What an operator may have configured that this service can't do."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured
from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

from cases import working_hours
from outreach.transports import TRANSPORTS


@register()
def transport_exists(**_: Any) -> list[CheckMessage]:
    """An error where OFFLOAD_TRANSPORT names a transport that does not exist: no case could ever send."""
    if settings.OFFLOAD_TRANSPORT in TRANSPORTS:
        return []
    known = ", ".join(sorted(TRANSPORTS))
    return [Error(f"OFFLOAD_TRANSPORT is {settings.OFFLOAD_TRANSPORT!r}; known here: {known}.", id="outreach.E001")]


@register()
def agentmail_is_configured(**_: Any) -> list[CheckMessage]:
    """Errors where AgentMail is half configured; a warning where its events could not be told from forged ones."""
    wanted = bool(settings.AGENTMAIL_API_KEY) or settings.OFFLOAD_TRANSPORT == "agentmail"
    secrets = settings.AGENTMAIL_WEBHOOK_SECRET
    found: list[CheckMessage] = []
    if wanted and not settings.AGENTMAIL_API_KEY:
        found.append(Error("The transport is agentmail, and AGENTMAIL_API_KEY is not set.", id="outreach.E010"))
    if wanted and not settings.AGENTMAIL_INBOX:
        hint = "`manage.py agentmail_setup` makes one, and says what to set."
        found.append(Error("AgentMail has a key and no AGENTMAIL_INBOX.", hint=hint, id="outreach.E011"))
    if not wanted and (settings.AGENTMAIL_INBOX or secrets):
        found.append(Error("AGENTMAIL_INBOX or _WEBHOOK_SECRET is set without AGENTMAIL_API_KEY.", id="outreach.E012"))
    if not all(map(_can_verify, secrets)):
        found.append(Error("AGENTMAIL_WEBHOOK_SECRET is not of the form whsec_<base64>.", id="outreach.E013"))
    if wanted and not secrets:
        hint = "`manage.py agentmail_setup` makes the webhook, and says what to set."
        said = "AGENTMAIL_WEBHOOK_SECRET is not set: replies are heard of only every OFFLOAD_RECONCILE_MINUTES."
        found.append(Warning(said, hint=hint, id="outreach.W010"))
    return found


def _can_verify(secret: str) -> bool:
    try:
        Webhook(secret)
    except (EmptyWebhookSecretError, ValueError):
        return False
    return True


@register()
def model_can_be_asked(**_: Any) -> list[CheckMessage]:
    """An error where only half of what a model needs is configured: cases would fail, or quietly use forms."""
    reachable = bool(settings.OPENAI_API_KEY or settings.OPENAI_BASE_URL)
    if bool(settings.OFFLOAD_MODEL) == reachable:
        return []
    missing = "OFFLOAD_MODEL" if reachable else "OPENAI_API_KEY (or OPENAI_BASE_URL)"
    return [Error(f"A model is half configured: {missing} is not set.", id="outreach.E003")]


@register()
def working_hours_can_be_read(**_: Any) -> list[CheckMessage]:
    """An error where OFFLOAD_WORKING_HOURS is not of the form `Mon-Fri 08-18`."""
    try:
        working_hours.parse(settings.OFFLOAD_WORKING_HOURS)
    except ImproperlyConfigured as error:
        return [Error(str(error), id="outreach.E002")]
    return []
