"""The promises of the service, and whether what was seen keeps them. Pure: facts in, verdicts out."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scripts.chaos.plans import CANCELLED, Plan
from scripts.chaos.post import Mail
from scripts.chaos.receiver import Told

IN_FLIGHT_SECONDS = 5.0  # from the commit that a send has begun to the provider's yes: a transport's time, and some


@dataclass(frozen=True)
class Verdict:
    """Whether a promise held: it did where nothing is found. `figure` is for people."""

    promise: str
    figure: str
    found: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        return not self.found


@dataclass(frozen=True)
class CaseRow:
    """A case as the database has it at the end; times in Unix seconds."""

    id: str
    reference: str
    status: str
    result_status: str | None
    files: int
    ended_at: float | None


@dataclass(frozen=True)
class Event:
    """What a client was to hear of, by its place among the events of its case."""

    id: str
    case_id: str
    type: str
    sequence: int


@dataclass
class Facts:
    """What is known when all is quiet again."""

    plans: Sequence[Plan]
    acknowledged: Mapping[str, str]  # reference to case id
    rows: Sequence[CaseRow]
    mails: Sequence[Mail]
    began: Mapping[str, float] = field(default_factory=dict)  # a mail's key to when its send began
    events: Sequence[Event] = ()
    told: Sequence[Told] = ()
    kills: int = 0
    stuck: Collection[str] = ()
    cancelled: Mapping[str, int] = field(default_factory=dict)  # case id to the status of the request to cancel
    at_their_end: Mapping[str, dict[str, Any]] = field(default_factory=dict)  # case id to what the client saw then
    in_the_end: Mapping[str, dict[str, Any]] = field(default_factory=dict)  # and what it sees now


def nothing_lost(facts: Facts) -> Verdict:
    """R1: each acknowledged case is there, once, and has come to its end; nothing is stuck."""
    by_reference = defaultdict(list)
    for row in facts.rows:
        by_reference[row.reference].append(row)
    found = [
        f"{plan.reference} was never acknowledged" for plan in facts.plans if plan.reference not in facts.acknowledged
    ]
    lost = 0
    for plan in facts.plans:
        rows = by_reference[plan.reference]
        wanted = facts.acknowledged.get(plan.reference)
        if wanted and [row.id for row in rows] != [wanted]:
            lost += not any(row.id == wanted for row in rows)
            found.append(f"{plan.reference}: acknowledged as {wanted}, there are {[row.id for row in rows]}")
        found += [f"{plan.reference} {row.id}: {fault}" for row in rows for fault in _wrong_end(plan, row, facts)]
    found += [f"stuck: {row}" for row in facts.stuck]
    figure = f"{facts.kills} kills, {len(facts.acknowledged)} cases: {lost} lost, {len(facts.stuck)} stuck"
    return Verdict("R1 nothing is lost", figure, tuple(found))


def _wrong_end(plan: Plan, row: CaseRow, facts: Facts) -> Iterable[str]:
    end = row.status, row.result_status
    if end not in plan.kind.ends:
        yield f"ended {end}"
    elif facts.cancelled.get(row.id) == 200 and end != CANCELLED:
        yield f"was cancelled, and ended {end}"
    elif row.files < plan.kind.files:
        yield f"has {row.files} files"


def one_mail_per_decision(facts: Facts, transport: str) -> Verdict:
    """R2, counted at the provider: none twice by AgentMail; by SMTP no more than kills, each with its Message-ID."""
    mails = [mail for mail in facts.mails if mail.transport == transport]
    repeats = len(mails) - len({mail.key for mail in mails})
    found = []
    if transport == "agentmail" and repeats:
        found += [f"{mail.address} {key}: {n} times" for (mail, key, n) in _repeated(mails)]
    if repeats > facts.kills:
        found.append(f"{repeats} repeats in {facts.kills} kills")
    words = {(mail.address, mail.words): set[str]() for mail in mails}
    for mail in mails:
        words[mail.address, mail.words].add(mail.key)
    found += [
        f"{address}: the same words as {len(keys)} mails" for (address, _), keys in words.items() if len(keys) > 1
    ]
    sent = Counter(address for address, _ in {(mail.address, mail.key) for mail in mails})
    for plan in facts.plans:
        least, most = plan.kind.mails
        if plan.transport == transport and not least <= sent[plan.address] <= most:
            found.append(f"{plan.reference}: {sent[plan.address]} mails, not {least} to {most}")
    figure = f"{len(mails)} accepted, {repeats} of them repeats with the same key, {facts.kills} kills"
    return Verdict(f"R2 one mail per decision ({transport})", figure, tuple(found))


def _repeated(mails: Iterable[Mail]) -> Iterable[tuple[Mail, str, int]]:
    by_key = defaultdict(list)
    for mail in mails:
        by_key[mail.key].append(mail)
    return [(same[0], key, len(same)) for key, same in by_key.items() if len(same) > 1]


def terminal_is_terminal(facts: Facts) -> Verdict:
    """R11: after its end a case sends nothing whose send had not begun, and clients see the same of it for ever."""
    ended = {row.reference: row.ended_at for row in facts.rows if row.ended_at}
    by_address = {plan.address: ended[plan.reference] for plan in facts.plans if plan.reference in ended}
    late = []
    for mail in facts.mails:
        end = by_address.get(mail.address)
        if end and mail.at > end:
            began = facts.began.get(mail.key)
            if began is None or began > end or mail.at > end + IN_FLIGHT_SECONDS:
                late.append(f"{mail.address}: a mail {mail.at - end:.1f} s after its end")
    changed = [
        f"{case_id}: {_difference(seen, facts.in_the_end.get(case_id, {}))}"
        for case_id, seen in facts.at_their_end.items()
        if seen and seen != facts.in_the_end.get(case_id)
    ]
    figure = f"{len(facts.at_their_end)} ended cases: {len(late)} mails after, {len(changed)} changed"
    return Verdict("R11 terminal is terminal", figure, tuple(late + changed))


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return f"{', '.join(names)} changed"


def one_winner(answers: Mapping[str, Counter[int]], *, calm: bool) -> Verdict:
    """R10: of the answers to one question exactly one is accepted, and the others are told so.

    In calm: under fire the 202 itself may be lost on its way, and no more than one is promised to be seen.
    """
    found = [
        f"{question}: {dict(statuses)}"
        for question, statuses in answers.items()
        if statuses[202] > 1 or (calm and (statuses[202] != 1 or set(statuses) != {202, 409}))
    ]
    total = Counter[int]()
    for statuses in answers.values():
        total.update(statuses)
    figure = f"{len(answers)} questions: {total[202]} x 202, {total[409]} x 409"
    return Verdict(f"R10 one winner ({'in calm' if calm else 'under fire'})", figure, tuple(found))


def events_arrive(facts: Facts) -> Verdict:
    """Each event is delivered, those of a case in their order, with a valid signature and always the same bytes."""
    first: dict[str, int] = {}
    digests = defaultdict(set)
    for place, told in enumerate(facts.told):
        first.setdefault(told.event_id, place)
        digests[told.event_id].add(told.digest)
    found = [f"{event.id} was never delivered" for event in facts.events if event.id not in first]
    by_case = defaultdict(list)
    for event in facts.events:
        by_case[event.case_id].append(event)
    for events in by_case.values():
        places = [first[event.id] for event in sorted(events, key=lambda one: one.sequence) if event.id in first]
        if places != sorted(places):
            found.append(f"case {events[0].case_id}: its events came out of order")
    found += [f"{told.event_id}: a wrong signature" for told in facts.told if not told.is_signed]
    found += [f"{event_id}: {len(seen)} different bodies" for event_id, seen in digests.items() if len(seen) > 1]
    known = {event.id for event in facts.events}
    found += [f"{event_id}: nobody knows of it" for event_id in first if event_id not in known]
    found += _ends_told(facts)
    figure = f"{len(facts.events)} events, {len(facts.told)} deliveries, {len(found)} faults"
    return Verdict("events arrive, in order, signed", figure, tuple(found))


def _ends_told(facts: Facts) -> list[str]:
    told = Counter(event.case_id for event in facts.events if event.type in {"case.completed", "case.failed"})
    return [
        f"{row.reference}: {told[row.id]} events tell of its end"
        for row in facts.rows
        if told[row.id] != (row.status in {"COMPLETED", "FAILED"})
    ]


def table(verdicts: Sequence[Verdict], shown: int = 12) -> str:
    """The promises with their figures, and what speaks against those that did not hold."""
    width = max(len(verdict.promise) for verdict in verdicts)
    lines = []
    for verdict in verdicts:
        lines.append(f"{'held  ' if verdict.holds else 'BROKEN'}  {verdict.promise:<{width}}  {verdict.figure}")
        lines += [f"          - {one}" for one in verdict.found[:shown]]
        if len(verdict.found) > shown:
            lines.append(f"          - and {len(verdict.found) - shown} more")
    return "\n".join(lines)
