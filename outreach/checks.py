"""What an operator may have configured that this service can't do."""

import re
from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import get_connection
from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

from cases import working_hours
from outreach.inbound import reply_address
from outreach.staff_notices import quiet_hours, recipients
from outreach.transports import TRANSPORTS

MAX_NOTICE_PAUSE = 1000  # minutes or hours


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
    """An error where OFFLOAD_WORKING_HOURS is neither of the form `Mon-Fri 08-18` nor `off`."""
    try:
        working_hours.parse(settings.OFFLOAD_WORKING_HOURS)
    except ImproperlyConfigured as error:
        return [Error(str(error), id="outreach.E002")]
    return []


@register()
def answers_have_an_address(**_: Any) -> list[CheckMessage]:
    """An error where our addresses are none, or too long to carry a case's token."""
    errors: list[CheckMessage] = []
    for setting in ("OFFLOAD_MAIL_FROM", "OFFLOAD_REPLY_ADDRESS"):
        value = getattr(settings, setting)
        if value and value != "off" and not re.fullmatch(r"[^\s@+<>]+@[^\s@<>]+", parseaddr(value)[1]):
            message = f"{setting} is {value!r}; give an address such as offload@example.com, without a plus sign."
            errors.append(Error(message, id="outreach.E020"))
    inbox, most = reply_address.inbox().rpartition("@")[0], reply_address.MAX_INBOX_CHARS
    if len(inbox) > most:
        message = (
            f"Of the reply address {inbox}@… the part before the @ may have {most} characters, for a token joins it."
        )
        errors.append(Error(message, hint="Set OFFLOAD_REPLY_ADDRESS to a shorter one.", id="outreach.E021"))
    return errors


@register()
def notices_can_be_sent(**_: Any) -> list[CheckMessage]:
    """Errors for recipients that are none, and for times that can't be read. The URLs are secrets, and not shown."""
    errors: list[CheckMessage] = []
    for text in settings.OFFLOAD_STAFF_NOTICES:
        try:
            recipients.read(text)
        except ValueError as error:
            errors.append(Error(f"OFFLOAD_STAFF_NOTICES: {error}", id="outreach.E030"))
    try:
        quiet_hours.parse(settings.OFFLOAD_NOTICE_QUIET_HOURS)
    except ImproperlyConfigured as error:
        errors.append(Error(str(error), id="outreach.E031"))
    for setting in ("OFFLOAD_NOTICE_DIGEST_MINUTES", "OFFLOAD_NOTICE_MAIL_HOURS"):
        if not 0 <= getattr(settings, setting) <= MAX_NOTICE_PAUSE:
            message = f"{setting} is {getattr(settings, setting)!r}; give a number from 0 to {MAX_NOTICE_PAUSE}."
            errors.append(Error(message, id="outreach.E032"))
    return errors


@register()
def provider_exists(**_: Any) -> list[CheckMessage]:
    """An error where ANYMAIL_ESP names no provider that django-anymail knows, or its settings lack something."""
    if not settings.ANYMAIL_ESP:
        return []
    try:
        get_connection()
    except (ImportError, ImproperlyConfigured) as error:
        return [Error(f"ANYMAIL_ESP is {settings.ANYMAIL_ESP!r}: {error}", id="outreach.E022")]
    return []
