"""How many mails may go out: of one client within an hour and a day, and to one address within an hour, over all cases.

A mail beyond a limit waits, in the order in which the mails were queued; nothing fails for it. Repeats of a send that
has begun are no new mails. The sandbox knows no limits, since none of its mail leaves.

Steps that run side by side may each take the last place: a limit is exceeded by no more than the number of steps that
send at that moment. On SQLite, which has one writer at a time, never.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q

from cases.models import Case, Client, Message, MessageStatus, Waits

AN_HOUR, A_DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True)
class Wait:
    """Whose limit is reached, and when the message's turn comes."""

    whose: Waits
    until: datetime


def wait(case: Case, message: Message) -> Wait | None:
    """How long the queued message of a case that you hold locked has to wait; None where it may go now."""
    if case.transport == "sandbox" or message.send_started_at:
        return None
    to_them, of_client = Q(case__counterparty_address=case.counterparty_address), Q(case__client=case.client_id)
    limits = (
        (Waits.RECIPIENT, settings.OFFLOAD_MAX_MAILS_PER_RECIPIENT_HOUR, AN_HOUR, to_them),
        (Waits.CLIENT, settings.OFFLOAD_MAX_MAILS_PER_CLIENT_HOUR, AN_HOUR, of_client),
        (Waits.CLIENT_DAY, _daily(case.client), A_DAY, of_client),
    )
    found = (_wait(case, message, whose, most, window, scope) for whose, most, window, scope in limits)
    return next(filter(None, found), None)


def _daily(client: Client) -> int:
    """The client's own limit of mails a day, else the one of all; 0: none."""
    own = client.daily_send_limit
    return settings.OFFLOAD_MAX_MAILS_PER_CLIENT_DAY if own is None else own


def _wait(case: Case, message: Message, whose: Waits, limit: int, window: timedelta, scope: Q) -> Wait | None:
    if limit == 0:
        return None
    mails = Message.objects.filter(scope).exclude(case__transport="sandbox").order_by("send_started_at")
    recent = mails.filter(send_started_at__gt=case.now - window)
    begun = [begun_at for begun_at in recent.values_list("send_started_at", flat=True) if begun_at]
    waiting = mails.filter(status=MessageStatus.QUEUED, send_started_at__isnull=True, created_at__lt=message.created_at)
    if whose != Waits.RECIPIENT:  # those that wait for one address must not keep the client's others waiting
        waiting = waiting.exclude(waits_for=Waits.RECIPIENT)
    place = waiting.count() - (limit - len(begun))  # in the queue for what becomes free; below 0: it is free now
    if place < 0:
        return None
    windows, slot = divmod(place, limit)
    freed_by = begun[slot] if slot < len(begun) else case.now
    return Wait(whose, freed_by + (1 + windows) * window)
