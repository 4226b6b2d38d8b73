"""How the service is, in one line: what `manage.py doctor` examines thoroughly, as far as the database tells."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, Q
from django.http import HttpRequest
from django.utils import timezone

from cases import leases
from cases.admin import counts, words
from cases.admin.lists import UNTAKEN_AFTER
from cases.models import Heartbeat

SIGN_OF_LIFE = timedelta(seconds=60)


@dataclass(frozen=True)
class Part:
    """One part of the service, and how it is."""

    name: str
    state: str
    level: str  # ok, warn, bad, or calm for what is merely so
    remedy: str = ""


def look(request: HttpRequest) -> list[Part]:
    """Worker, clock, mail and model, in one query."""
    now = leases.current_time()
    alive = Q(finished_at__gte=now - SIGN_OF_LIFE) | Q(busy_until__gte=now)
    questions: dict[str, Any] = {
        f"due_{kind}": counts.first(leases.due(kind).filter(due_at__isnull=False), "due_at") for kind in leases.kinds()
    }
    answers = counts.ask_at_once(request.user, {**questions, "alive": Exists(Heartbeat.objects.filter(alive))})
    oldest = min((answers[name] for name in questions if answers[name]), default=None)
    return [_worker(answers["alive"]), _clock(oldest, timezone.now()), _mail(), _model()]


def _worker(is_alive: bool) -> Part:
    if is_alive:
        return Part("Worker", "alive", "ok")
    return Part("Worker", "no sign of life for 60 s", "bad", "Start manage.py worker.")


def _clock(oldest: datetime | None, now: datetime) -> Part:
    """A clock leaves no mark of its own; but where it runs, and a worker too, nothing that is due waits for long."""
    if oldest is None or now - oldest < UNTAKEN_AFTER:
        return Part("Clock", "nothing due is left lying", "ok")
    remedy = "Start manage.py clock; if it runs, more workers."
    return Part("Clock", f"work has been due for {words.span(oldest, now)}, and nobody has taken it", "bad", remedy)


def _mail() -> Part:
    name = settings.OFFLOAD_TRANSPORT
    if not settings.OFFLOAD_LIVE_CASES:
        return Part("Mail", "none is configured: test keys only", "warn", "Set EMAIL_URL or AGENTMAIL_API_KEY.")
    return Part("Mail", "sandbox: no mail leaves" if name == "sandbox" else name, "warn" if name == "sandbox" else "ok")


def _model() -> Part:
    return Part("Model", settings.OFFLOAD_MODEL or "none: forms are sent", "ok" if settings.OFFLOAD_MODEL else "calm")
