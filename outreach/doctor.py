"""What may be wrong with the ways to counterparties and to the model."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.core.mail import get_connection

from cases.examination import Examination, Finding, fail, ok, warn
from outreach.transports import TRANSPORTS

MODEL_SECONDS = 15


def mail_can_leave(examination: Examination) -> Iterator[Finding]:
    """The configured transport examines itself where it has `check`."""
    name = settings.OFFLOAD_TRANSPORT
    if name not in TRANSPORTS:
        yield fail("mail", f"OFFLOAD_TRANSPORT is {name!r}, which this version has not", "Choose one that it has.")
        return
    if not settings.OFFLOAD_LIVE_CASES:
        yield warn(
            "mail", "no transport is configured: only test keys can post cases", "Set EMAIL_URL or AGENTMAIL_API_KEY."
        )
    elif name == "sandbox":
        yield warn("mail", "live keys get the sandbox: no mail ever leaves", "Unset OFFLOAD_TRANSPORT for real mail.")
    check = getattr(TRANSPORTS[name], "check", None)
    if check is not None:
        yield from check(examination)


def staff_are_told(examination: Examination) -> Iterator[Finding]:
    """Notices of questions need addresses, and a server that takes them."""
    if not settings.OFFLOAD_STAFF_NOTICES:
        yield warn(
            "staff notices", "nobody is told of questions", "Set OFFLOAD_STAFF_NOTICES to addresses of your staff."
        )
        return
    connection = get_connection()
    try:
        connection.open()
    except OSError as error:  # SMTPException is one
        yield fail("staff notices", f"EMAIL_URL: {type(error).__name__}", "Check host, port, user and password.")
    else:
        yield ok("staff notices", f"{len(settings.OFFLOAD_STAFF_NOTICES)} addresses; the mail server lets us in")
    finally:
        connection.close()


def model_answers(examination: Examination) -> Iterator[Finding]:
    """The server names its models; with `deep` the model says one word."""
    if not settings.OFFLOAD_MODEL:
        yield ok("model", "none: the agent `form` writes and reads forms")
        return
    base = (settings.OPENAI_BASE_URL or "https://api.openai.com/v1").rstrip("/")
    headers = {"Authorization": f"Bearer {settings.OPENAI_API_KEY}"} if settings.OPENAI_API_KEY else {}
    if urlsplit(base).scheme == "http" and settings.OPENAI_API_KEY:
        yield warn("model", "its key is sent in clear", "Give OPENAI_BASE_URL with https://.")
    try:
        if examination.deep:
            body = {"model": settings.OFFLOAD_MODEL, "messages": [{"role": "user", "content": "Say ok."}]}
            response = requests.post(f"{base}/chat/completions", json=body, headers=headers, timeout=MODEL_SECONDS)
        else:
            response = requests.get(f"{base}/models", headers=headers, timeout=MODEL_SECONDS)
    except requests.RequestException as error:
        yield fail("model", f"the server can't be reached: {type(error).__name__}", "Check OPENAI_BASE_URL.")
        return
    if response.status_code in {401, 403}:
        yield fail("model", f"the server answers {response.status_code}", "Check OPENAI_API_KEY.")
    elif not response.ok:
        yield warn("model", f"the server answers {response.status_code}", "Check OPENAI_BASE_URL and OFFLOAD_MODEL.")
    else:
        yield ok("model", f"{settings.OFFLOAD_MODEL}: {'answers' if examination.deep else 'its server lets us in'}")
