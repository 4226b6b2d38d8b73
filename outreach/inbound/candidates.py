"""Which cases a mail that waits for a person may belong to, the nearest first, and why. The person chooses."""

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db.models import Q, QuerySet

from cases.models import OPEN, Case, Correspondent, Direction, Message
from outreach.inbound.addresses import canonical, organisation, spelled
from outreach.inbound.subjects import possible_topics, topic
from outreach.models import InboundPayload

MAX_CANDIDATES = 6
MAX_OF_A_KIND = 20
MAX_OPEN = 1000  # the newest open cases, among which colleagues, names, references and subjects are looked for
MAX_WORDS = 20
SHORTEST_TOPIC = 6  # characters; "Re: Hi" is the subject of everything

IS_ITS_CASE = "the mail belongs to it, and was kept from it"
IS_COUNTERPARTY = "its sender is the counterparty"
TAKES_PART = "its sender takes part in the case"
SAME_SUBJECT = "it has the subject of the case's mail"
SAME_NAME = "its sender has the counterparty's name"


@dataclass
class Candidate:
    """A case, and what speaks for it: reasons in words. The higher `nearness`, the likelier."""

    case: Case
    reasons: list[str] = field(default_factory=list)
    nearness: int = 0


def nearest(payload: InboundPayload) -> list[Candidate]:
    """The cases that the mail is likely to belong to, the likeliest first; at most MAX_CANDIDATES."""
    found: dict[uuid.UUID, list[tuple[int, str]]] = {}
    for weight, reason, cases in (*_stored(payload), *_known(payload), *_similar(payload)):
        for case in cases:
            found.setdefault(case, []).append((weight, reason))
    rows = Case.objects.select_related("client").filter(pk__in=found)
    candidates = [
        Candidate(case, [reason for _, reason in found[case.pk]], sum(weight for weight, _ in found[case.pk]))
        for case in rows
    ]
    candidates.sort(key=lambda one: (one.nearness, one.case.status in OPEN, one.case.created_at), reverse=True)
    return candidates[:MAX_CANDIDATES]


Finding = tuple[int, str, Iterable[uuid.UUID]]  # weight, reason, cases


def _stored(payload: InboundPayload) -> list[Finding]:
    """What was found when the mail came in: exact, and still not enough."""
    own: list[Finding] = [(100, IS_ITS_CASE, [payload.case_id])] if payload.case_id else []
    stored = payload.summary.get("candidates", ())
    return own + [(60, str(why), [uuid.UUID(one["case"])]) for one in stored for why in one["why"]]


def _known(payload: InboundPayload) -> list[Finding]:
    """The cases of the sender's own address."""
    sender = payload.summary.get("from", "")
    if "@" not in sender:
        return []
    theirs = Case.objects.filter(counterparty_address__in={spelled(sender), canonical(sender)})
    part = Correspondent.objects.filter(address=canonical(sender)).order_by("-since")
    return [
        (40, IS_COUNTERPARTY, _newest(theirs)),
        (35, TAKES_PART, part.values_list("case_id", flat=True)[:MAX_OF_A_KIND]),
    ]


def _newest(cases: QuerySet[Case]) -> list[uuid.UUID]:
    """Open ones before others."""
    rows = cases.order_by("-created_at").values_list("pk", "status")[: 5 * MAX_OF_A_KIND]
    return [pk for pk, _ in sorted(rows, key=lambda row: row[1] not in OPEN)][:MAX_OF_A_KIND]


def _similar(payload: InboundPayload) -> list[Finding]:
    """The open cases that have something in common with the mail: organisation, name, reference, subject."""
    sender, name = payload.summary.get("from", ""), payload.summary.get("name", "").strip()
    subject = payload.summary.get("subject", "")
    domain = organisation(sender) if "@" in sender else None
    words = _words(subject)
    near = Q(pk__in=[])
    if domain:
        near |= Q(counterparty_address__endswith=f"@{domain}") | Q(counterparty_address__endswith=f".{domain}")
    if " " in name:
        near |= Q(counterparty__name__iexact=name)
    if words:
        near |= Q(client_reference_id__in=words)
    findings: list[Finding] = []
    fields = ("pk", "counterparty_address", "counterparty__name", "client_reference_id")
    for pk, address, called, reference in _open().filter(near).values_list(*fields)[: 5 * MAX_OF_A_KIND]:
        if domain and organisation(address) == domain and canonical(address) != canonical(sender):
            findings.append((10, f"it comes from the counterparty's organisation, {domain}", [pk]))
        if name and str(called).casefold() == name.casefold():
            findings.append((15, SAME_NAME, [pk]))
        if reference in words:
            findings.append((30, f"its subject has the reference {reference}", [pk]))
    return [*findings, (30, SAME_SUBJECT, _with_subject(subject))]


def _open() -> QuerySet[Case]:
    """The newest open cases, in no order."""
    newest = Case.objects.filter(status__in=sorted(OPEN)).order_by("-created_at").values("pk")[:MAX_OPEN]
    cases: QuerySet[Case] = Case.objects.filter(pk__in=newest).order_by()
    return cases


def _words(subject: str) -> list[str]:
    """What in a subject may be a reference: words with a digit."""
    found = re.findall(r"[^\s,;:()\[\]<>\"']{3,100}", subject[:1000])
    return [word.rstrip(".!?") for word in found if any(character.isdigit() for character in word)][:MAX_WORDS]


def _with_subject(subject: str) -> set[uuid.UUID]:
    topics = possible_topics(subject)
    shortest = min(topics, key=len, default="")
    if len(shortest) < SHORTEST_TOPIC:
        return set()
    sent = Message.objects.filter(direction=Direction.OUT, case__in=_open().values("pk"), subject__icontains=shortest)
    rows = sent.order_by().values_list("case_id", "subject").distinct()[: 5 * MAX_OF_A_KIND]
    return {case_id for case_id, of_case in rows if topic(of_case) in topics}
