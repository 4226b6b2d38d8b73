"""Which case a mail belongs to. Never a guess: one case, or none, or too many."""

from dataclasses import dataclass

from django.db.models import Q

from cases.models import Case, Direction, Message, MessageStatus
from outreach.inbound.arrival import ProviderEvent
from outreach.inbound.mail import InboundMail


@dataclass(frozen=True)
class Match:
    """`case` where there is exactly one; else `why_not`, and whether one may still turn up."""

    case: Case | None
    why_not: str = ""
    may_come: bool = False


def find_case(mail: InboundMail) -> Match:
    """The case whose mail this one answers or reports on, else the one whose own address it was sent to."""
    for cases in (_by_message_id(mail), _by_our_address(mail)):
        if len(cases) == 1:
            return Match(cases[0])
        if cases:
            return Match(None, f"It belongs to {len(cases)} cases.")
    queued = Message.objects.filter(status=MessageStatus.QUEUED, to_address__iexact=mail.from_address).exists()
    return Match(None, "It belongs to no case.", may_come=queued)


def find_sent(event: ProviderEvent) -> Match:
    """The case of the mail that a provider reports on."""
    ids = [one for one in (event.message_id, event.message_id.strip("<>")) if one]
    about = Q(message_id__in=ids) | Q(provider_id__in=ids)
    sent = Message.objects.filter(about, direction=Direction.OUT)
    cases = list(Case.objects.filter(pk__in=sent.values("case_id")))
    if len(cases) == 1:
        return Match(cases[0])
    if cases:
        return Match(None, f"It reports on mail of {len(cases)} cases.")
    queued = Message.objects.filter(status=MessageStatus.QUEUED, to_address__in=event.recipients).exists()
    return Match(None, "It reports on no mail of ours.", may_come=queued)


def _by_message_id(mail: InboundMail) -> list[Case]:
    ids = {*mail.in_reply_to, *mail.references, *(mail.report.original_message_ids if mail.report else ())}
    answered = Message.objects.filter(direction=Direction.OUT, message_id__in=ids)
    return list(Case.objects.filter(pk__in=answered.values("case_id")))


def _by_our_address(mail: InboundMail) -> list[Case]:
    """Only a sandbox case has an address of its own; others share theirs."""
    return list(Case.objects.filter(transport="sandbox", our_address__in=[*mail.to, *mail.cc]))
