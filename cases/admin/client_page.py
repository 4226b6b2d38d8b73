"""What the page of a client says about it, in a bounded number of queries."""

import statistics
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Q, Sum
from django.db.models.functions import TruncDate
from django.http import HttpRequest
from django.utils import timezone
from django.utils.module_loading import import_string

from cases.admin import words
from cases.admin.client_forms import EVENTS
from cases.models import Client, Direction, InputRequest, Message, MessageStatus, RequestStatus, Status

DAYS = 30
MAX_ANSWERS = 500  # the newest, of which the median is taken
SENT = (MessageStatus.SENT, MessageStatus.UNKNOWN)


@dataclass(frozen=True)
class Bar:
    """One day of a chart: how many, and how high and where in a picture of 100 units in height."""

    day: date
    count: int
    height: int
    x: int

    @property
    def y(self) -> int:
        return 100 - self.height


@dataclass(frozen=True)
class MailsSent:
    """The mails of the last DAYS days, today included, day by day (UTC)."""

    bars: list[Bar]
    total: int
    most: int


def context(request: HttpRequest, client: Client) -> dict[str, Any]:
    """What templates/admin/cases/client/_*.html need, beside keys and forms."""
    now = timezone.now()
    return {
        "client": client,
        "usage": usage(client),
        "mails": mails_sent(client, now),
        "answers": answers(client, now),
        "senders": senders(client),
        "tells_of": [EVENTS.get(name, name) for name in client.event_types],
        "sections": [
            section for path in settings.OFFLOAD_CLIENT_SECTIONS if (section := _section(path, request, client))
        ],
    }


def _section(path: str, request: HttpRequest, client: Client) -> dict[str, Any] | None:
    """`template` and what it needs under the name `section`; None where there is nothing to show to this person."""
    section: dict[str, Any] | None = import_string(path)(request, client)
    return section


def usage(client: Client) -> dict[str, Any]:
    """How many cases it has posted, by status, and the model calls, tokens and cost of all; sums are null for none."""
    by_status = {status: Count("pk", filter=Q(status=status)) for status in Status.values}
    sums = {"calls": Sum("model_calls"), "tokens": Sum("model_tokens"), "cost": Sum("model_cost")}
    found = client.cases.aggregate(cases=Count("pk"), **sums, **by_status)
    found["by_status"] = [(status, count) for status in Status if (count := found.pop(status.value))]
    return found


def mails_sent(client: Client, now: datetime) -> MailsSent:
    """What has gone out for its cases, the sandbox's included."""
    today = now.date()
    first = today - timedelta(days=DAYS - 1)
    begun = Message.objects.filter(
        case__client=client,
        direction=Direction.OUT,
        status__in=SENT,
        send_started_at__gte=datetime(first.year, first.month, first.day, tzinfo=now.tzinfo),
    )
    days = begun.annotate(day=TruncDate("send_started_at")).order_by().values_list("day").annotate(count=Count("pk"))
    counts: dict[date, int] = dict(days)
    most = max(counts.values(), default=0)
    bars = []
    for number in range(DAYS):
        day = first + timedelta(days=number)
        count = counts.get(day, 0)
        bars.append(Bar(day, count, max(2, round(100 * count / most)) if count else 0, 10 * number))
    return MailsSent(bars, sum(counts.values()), most)


def answers(client: Client, now: datetime) -> dict[str, Any]:
    """Its questions: how many are open, how many were answered of late, and the median time until then in words."""
    asked = InputRequest.objects.filter(case__client=client)
    answered = asked.filter(status=RequestStatus.RESOLVED, resolved_at__gte=now - timedelta(days=DAYS))
    times = list(answered.order_by("-resolved_at").values_list("requested_at", "resolved_at")[:MAX_ANSWERS])
    seconds = [(until - since).total_seconds() for since, until in times if until]
    median = timedelta(seconds=statistics.median(seconds)) if seconds else None
    return {
        "open": asked.filter(status=RequestStatus.PENDING).count(),
        "answered": len(times),
        "median": words.span(now - median, now) if median is not None else "",
    }


def senders(client: Client) -> dict[str, str]:
    """From where its live cases write, as the service is set up now; a case keeps what it began with."""
    transport = settings.OFFLOAD_TRANSPORT
    shared = {"agentmail": settings.AGENTMAIL_INBOX, "email": settings.OFFLOAD_MAIL_FROM}.get(transport, "")
    own = client.agentmail_inbox if transport == "agentmail" else ""
    return {
        "transport": transport,
        "inbox": client.agentmail_inbox,
        "address": own or shared,
        "is_own": "yes" if own else "",
    }
