"""Which case a mail belongs to. Never a guess: one case, or none, or too many.

What only those know who have got a mail of ours counts first, and all of it together: the case's own address, the
provider's thread, our Message-IDs. Only where there is none of it do sender and subject count.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.functions import Lower

from cases.models import OPEN, Case, Direction, Message, MessageStatus
from cases.prepared import Prepared
from outreach.inbound import reply_address
from outreach.inbound.addresses import canonical
from outreach.inbound.arrival import Envelope, ProviderEvent
from outreach.inbound.mail import InboundMail
from outreach.inbound.subjects import possible_topics, topic

NO_CASE = "It belongs to no case."


class Evidence(StrEnum):
    """What speaks for a case."""

    ADDRESS = "it was sent to the case's own address"
    MESSAGE_ID = "it names a mail of the case"
    THREAD = "the provider has put it into the case's thread"
    SUBJECT = "sender and subject are those of one open case"


@dataclass(frozen=True)
class Match:
    """`case` where there is exactly one, with what speaks for it; else `why_not`, and whether one may still turn up.

    `sent` is the mail of ours that a provider's event is about.
    """

    case: Case | None
    why_not: str = ""
    may_come: bool = False
    evidence: frozenset[Evidence] = field(default=frozenset())
    sent: Message | None = None
    # Of several cases, what speaks for each; for people, and no part of the outcome.
    candidates: dict[UUID, list[Evidence]] = field(default_factory=dict, compare=False)


def find_case(mail: InboundMail, envelope: Envelope) -> Match:
    """The one case that all evidence speaks for. A token that we have not signed is no evidence."""
    return _looked_at_twice(lambda: _look_for_case(mail, envelope))


def _looked_at_twice(look: Callable[[], Match]) -> Match:
    """What the look finds. What a provider tells of a send is stored in the same commit by which that is no longer
    under way: one between the two questions of a look would hide both, so where nothing may come it looks once more."""
    match = look()
    return match if match.case or match.may_come else look()


def _look_for_case(mail: InboundMail, envelope: Envelope) -> Match:
    written_to = {*envelope.recipients, *mail.to, *mail.cc, *mail.delivered_to}
    found = {
        Evidence.ADDRESS: _by_own_address(written_to),
        Evidence.MESSAGE_ID: _by_message_id(mail),
        Evidence.THREAD: _by_thread(envelope),
    }
    if not any(found.values()):
        found = {Evidence.SUBJECT: _by_sender_and_subject(mail, written_to)}
    return _match(found, sender=mail.from_address)


def find_sent(event: ProviderEvent) -> Match:
    """The case of the mail that a provider reports on."""
    return _looked_at_twice(lambda: _look_for_sent(event))


def _look_for_sent(event: ProviderEvent) -> Match:
    ids = [one for one in (event.message_id, event.message_id.strip("<>")) if one]
    about = Q(message_id__in=ids) | Q(provider_id__in=ids)
    sent = list(Message.objects.filter(about, direction=Direction.OUT).select_related("case"))
    cases = {message.case_id for message in sent}
    if len(cases) == 1:
        return Match(sent[0].case, sent=sent[0])
    if cases:
        return Match(None, f"It reports on mail of {len(cases)} cases.")
    return Match(None, "It reports on no mail of ours.", may_come=_is_being_sent_to(event.recipients))


def _match(found: dict[Evidence, set[UUID]], *, sender: str) -> Match:
    """Exactly one case, or none. With mail to the sender under way, what speaks for its case may not be stored yet."""
    named = _continued(set().union(*found.values()))
    if not named:
        return Match(None, NO_CASE, may_come=_is_being_sent_to([sender]))
    if len(named) > 1:
        may_come = Evidence.SUBJECT in found and _is_being_sent_to([sender])
        why_not = f"It belongs to {len(named)} cases."
        return Match(None, why_not, may_come=may_come, candidates=_by_case(found))
    evidence = frozenset(kind for kind, cases in found.items() if cases)
    return Match(Case.objects.read(named.pop()), evidence=evidence)


def _by_case(found: dict[Evidence, set[UUID]]) -> dict[UUID, list[Evidence]]:
    by_case: dict[UUID, list[Evidence]] = {}
    for kind, cases in found.items():
        for case in sorted(_continued(cases)):
            by_case.setdefault(case, []).append(kind)
    return by_case


def _continued(cases: set[UUID]) -> set[UUID]:
    """The cases, and instead of those that were reopened the ones in which their threads go on."""
    next_one = dict(_continuing(sorted(cases)))
    return _continued({next_one.get(case, case) for case in cases}) if next_one else cases


@Prepared
def _continuing(cases: list[UUID]) -> QuerySet[Any, Any]:
    return Case.objects.filter(reopened_from__in=cases).order_by().values_list("reopened_from", "pk")


def _is_being_sent_to(addresses: Iterable[str]) -> bool:
    wanted = [address.lower() for address in addresses]
    queued = Message.objects.filter(status=MessageStatus.QUEUED).annotate(recipient=Lower("to_address"))
    return queued.filter(recipient__in=wanted).exists()


def _by_own_address(written_to: set[str]) -> set[UUID]:
    """Signed addresses name their case; of unsigned ones only the sandbox's are a case's own, others are shared."""
    signed = {case_id for address in written_to if (case_id := reply_address.case_id_in(address))}
    return set(_cases_at(sorted(signed), sorted(written_to)))


@Prepared
def _cases_at(signed: list[UUID], addresses: list[str]) -> QuerySet[Any, Any]:
    own = Q(pk__in=signed) | Q(transport="sandbox", our_address__in=addresses)
    return Case.objects.filter(own).order_by().values_list("pk", flat=True)


def _by_message_id(mail: InboundMail) -> set[UUID]:
    ids = {*mail.in_reply_to, *mail.references, *(mail.report.original_message_ids if mail.report else ())}
    return set(_cases_answered(sorted(ids)))


@Prepared
def _cases_answered(message_ids: list[str]) -> QuerySet[Any, Any]:
    answered = Message.objects.filter(direction=Direction.OUT, message_id__in=message_ids)
    return answered.order_by().values_list("case_id", flat=True)


def _by_thread(envelope: Envelope) -> set[UUID]:
    """A thread id is the provider's, within the inbox that the mail came to."""
    if not envelope.thread_id:
        return set()
    inbox = Case.objects.annotate(inbox=Lower("our_address")).filter(inbox__in=envelope.recipients)
    return set(inbox.filter(thread_id=envelope.thread_id).values_list("pk", flat=True))


def _by_sender_and_subject(mail: InboundMail, written_to: set[str]) -> set[UUID]:
    """Open cases of the inbox written to whose counterparty, or somebody admitted, writes about a subject of ours."""
    topics = possible_topics(mail.subject)
    cases = _cases_of_inboxes(written_to).filter(_with(mail.from_address), status__in=sorted(OPEN))
    sent = Message.objects.filter(direction=Direction.OUT, case__in=cases.order_by().values("pk"))
    unsent = (MessageStatus.DRAFT, MessageStatus.DROPPED)
    subjects = sent.exclude(status__in=unsent).order_by().values_list("case_id", "subject").distinct()
    return {case_id for case_id, subject in subjects if topic(subject) in topics}


def _cases_of_inboxes(written_to: set[str]) -> QuerySet[Case]:
    """Those whose mail comes from one of the addresses, whatever tag an address carries."""
    inboxes = {canonical(address) for address in written_to}
    here = Q(inbox__in=inboxes)
    if canonical(reply_address.inbox()) in inboxes:
        here |= Q(transport="email")
    cases: QuerySet[Case] = Case.objects.annotate(inbox=Lower("our_address"))
    return cases.filter(here)


def _with(sender: str) -> Q:
    """Whether the sender is a case's counterparty, or has been admitted to it."""
    address = canonical(sender)
    local, _, domain = address.rpartition("@")
    tagged = Q(counterparty_address__startswith=f"{local}+", counterparty_address__endswith=f"@{domain}")
    return Q(counterparty_address=address) | tagged | Q(correspondents__address=address)
