"""What may be wrong with the ways to counterparties and to the model."""

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.core.mail import get_connection

from cases import encryption, work
from cases.examination import Examination, Finding, fail, ok, warn
from outreach import fingerprints
from outreach.models import InboundPayload, NoticeState, Provider, StaffNotice
from outreach.providers import gate
from outreach.staff_notices.recipients import Recipient, configured
from outreach.transports import TRANSPORTS

MODEL_SECONDS = 15
MAIL_DOORS = ("smtp", "pipe", "imap", "anymail")
LATELY = timedelta(days=30)


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


def mail_can_come(examination: Examination) -> Iterator[Finding]:
    """Live cases need a way in for answers. Some can't be told from here (receive_mail, ingest_mail): of those, mail
    that has come in by them lately tells."""
    if (
        settings.AGENTMAIL_API_KEY
        and not settings.AGENTMAIL_WEBHOOK_SECRET
        and settings.OFFLOAD_TRANSPORT != "agentmail"
    ):
        remedy = "Set AGENTMAIL_WEBHOOK_SECRET to what `manage.py agentmail_setup` printed."
        yield fail("incoming mail", "AgentMail's events are not taken: there is no secret", remedy)
    if settings.OFFLOAD_TRANSPORT != "email":
        return
    configured = [
        name
        for name, is_set in (("IMAP_URL", settings.IMAP_URL), ("ANYMAIL_WEBHOOK_SECRET", _anymail_door()))
        if is_set
    ]
    came = InboundPayload.objects.filter(source__in=MAIL_DOORS, received_at__gte=work.now() - LATELY)
    newest = came.order_by("-received_at").first()
    if newest:
        yield ok("incoming mail", f"the last one came by {newest.source} at {newest.received_at:%Y-%m-%d %H:%M} UTC")
    elif configured:
        yield ok("incoming mail", f"by {' and '.join(configured)}; none has come in the last 30 days")
    else:
        remedy = "Set IMAP_URL and run `manage.py poll_imap`, or another way in of docs/mail.md."
        yield fail("incoming mail", "nothing is configured that takes answers, and none has come for 30 days", remedy)


def _anymail_door() -> bool:
    return "WEBHOOK_SECRET" in settings.ANYMAIL


def erased_people_are_told_again(examination: Examination) -> Iterator[Finding]:
    """Whoever was erased and must get no mail is recognised by a key that must be readable."""
    try:
        fingerprints.check()
    except encryption.Unreadable:
        remedy = "Put the earlier key behind the first of OFFLOAD_ENCRYPTION_KEYS, or into SECRET_KEY_FALLBACKS."
        yield fail("suppressed addresses", "those of erased people can't be read: no mail is sent to anybody", remedy)


def staff_are_told(examination: Examination) -> Iterator[Finding]:
    """Notices need recipients: a mail server that takes them, and webhooks whose servers answer.

    Nothing is posted: people would read it. So whether a webhook's secret is right only its notices tell.
    """
    told = configured().values()
    if not told:
        remedy = "Set OFFLOAD_STAFF_NOTICES to addresses or chat webhooks of your staff."
        yield warn("staff notices", "nobody is told of questions", remedy)
    if addresses := [recipient for recipient in told if not recipient.is_webhook]:
        yield _mail_server_takes(len(addresses))
    for recipient in told:
        if recipient.is_webhook:
            yield _answers(recipient)
    failed = StaffNotice.objects.filter(state=NoticeState.FAILED).count()
    if failed:
        yield warn(
            "staff notices", f"{failed} could not be sent", "See *Notices to staff* in the admin for the reasons."
        )


def _mail_server_takes(count: int) -> Finding:
    connection = get_connection()
    try:
        connection.open()
    except OSError as error:  # SMTPException is one
        return fail("staff notices", f"EMAIL_URL: {type(error).__name__}", "Check host, port, user and password.")
    finally:
        connection.close()
    return ok("staff notices", f"{count} address{'es' if count > 1 else ''}; the mail server lets us in")


def _answers(recipient: Recipient) -> Finding:
    """Whether there is a server, asked for its front page: the webhook's own path is a secret, and takes posts only."""
    parts = urlsplit(recipient.url)
    try:
        requests.head(f"{parts.scheme}://{parts.netloc}/", timeout=MODEL_SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        what = f"{recipient.host} can't be reached: {type(error).__name__}"
        return fail("staff notices", what, "Check the URL in OFFLOAD_STAFF_NOTICES, and what is between.")
    return ok("staff notices", f"{recipient.name}: its server answers")


def providers_are_called(examination: Examination) -> Iterator[Finding]:
    """Models and mail providers that have failed or are busy are left alone by all workers, and cases wait."""
    left_alone = Provider.objects.left_alone()
    for row in left_alone:
        remedy = "See what it says. It is called again by itself; at once by *Providers* in the admin."
        yield warn("providers", gate.why(row), remedy)
    if not left_alone:
        yield ok("providers", "none is left alone")


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
