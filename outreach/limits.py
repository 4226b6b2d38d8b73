"""How many mails may go out within an hour: of one client, and to one address, over all cases.

A mail beyond a limit waits, in the order in which the mails were queued; nothing fails for it. Repeats of a send that
has begun are no new mails. The sandbox knows no limits, since none of its mail leaves.

Steps that run side by side may each take the last place: a limit is exceeded by no more than the number of steps that
send at that moment. On SQLite, which has one writer at a time, never.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q

from cases.models import Case, Message, MessageStatus, Waits

AN_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Wait:
    """Whose limit is reached, and when the message's turn comes."""

    whose: Waits
    until: datetime


def wait(case: Case, message: Message) -> Wait | None:
    """How long the queued message of a case that you hold locked has to wait; None where it may go now."""
    if case.transport == "sandbox" or message.send_started_at:
        return None
    return _wait(
        Waits.RECIPIENT,
        settings.OFFLOAD_MAX_MAILS_PER_RECIPIENT_HOUR,
        Q(case__counterparty_address=case.counterparty_address),
        case,
        message,
    ) or _wait(Waits.CLIENT, settings.OFFLOAD_MAX_MAILS_PER_CLIENT_HOUR, Q(case__client=case.client_id), case, message)


def _wait(whose: Waits, limit: int, scope: Q, case: Case, message: Message) -> Wait | None:
    if limit == 0:
        return None
    mails = Message.objects.filter(scope).exclude(case__transport="sandbox").order_by("send_started_at")
    recent = mails.filter(send_started_at__gt=case.now - AN_HOUR)
    begun = [begun_at for begun_at in recent.values_list("send_started_at", flat=True) if begun_at]
    waiting = mails.filter(status=MessageStatus.QUEUED, send_started_at__isnull=True, created_at__lt=message.created_at)
    if whose == Waits.CLIENT:  # those that wait for one address must not keep the client's others waiting
        waiting = waiting.exclude(waits_for=Waits.RECIPIENT)
    place = waiting.count() - (limit - len(begun))  # in the queue for what becomes free; below 0: it is free now
    if place < 0:
        return None
    hours, slot = divmod(place, limit)
    freed_by = begun[slot] if slot < len(begun) else case.now
    return Wait(whose, freed_by + (1 + hours) * AN_HOUR)
