"""What a notice is about, in words that mail and chat are made of; and whether it still waits for anybody."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import QuerySet
from django.urls import reverse
from django.utils.module_loading import import_string

from cases.admin import words
from cases.models import Case, Draft, Event, InputRequest
from cases.time_travel import Skipped
from outreach.models import InboundPayload, PayloadState, StaffNotice

ORDER = ("question", "draft", "mail", "endpoint")
FOR_STAFF = frozenset({PayloadState.QUARANTINED, PayloadState.UNMATCHED, PayloadState.FAILED})


@dataclass(frozen=True)
class Item:
    """One thing that waits for somebody, as staff are told of it. Its texts are other people's words."""

    kind: str  # what a digest counts: question, draft, mail, endpoint
    key: str  # the same for two notices of one thing
    headline: str  # begins the subject: "A case needs an answer"
    who: str  # ends it: "Ann (Acme)"
    lead: str  # a sentence that says what is wanted
    text: str  # the question, the mail, the reason
    act: str  # "Answer it here"
    link: str
    since: datetime
    age: timedelta
    client: str = ""
    why: str = ""
    options: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = field(default=())  # label and value
    is_overdue: bool = False
    is_test: bool = False

    @property
    def subject(self) -> str:
        """Who and what in one line."""
        return f"{self.headline} {self.who}" if self.who.startswith("(") else f"{self.headline}: {self.who}"

    @property
    def title(self) -> str:
        """What kind of thing it is, and whose, in a list of several."""
        return self.subject if self.kind in ("mail", "endpoint") else f"{self.kind.capitalize()}: {self.who}"

    @property
    def waits(self) -> str:
        """How long it has waited: `3 hours`."""
        return span(self.age)


def span(length: timedelta) -> str:
    """The length as the staff's pages say it."""
    start = datetime(2001, 1, 1)
    return words.span(start, start + length)


def with_subjects(notices: QuerySet[StaffNotice]) -> QuerySet[StaffNotice]:
    """The notices with all that `item_of` reads of them."""
    cases = ("question__case__client", "draft__case__client", "parking__case__client", "payload__case__client")
    return notices.select_related(*cases).defer("payload__body", "draft__html", "draft__full_text")


def arranged(items: Iterable[Item]) -> list[Item]:
    """The most urgent first; of a question and its reminder only the reminder."""
    unique: dict[str, Item] = {}
    for item in sorted(items, key=lambda item: (not item.is_overdue, ORDER.index(item.kind), item.since)):
        unique.setdefault(item.key, item)
    return list(unique.values())


def item_of(notice: StaffNotice, now: datetime) -> Item | None:
    """What the notice is about; None if nobody needs to do anything about it any more."""
    if notice.question:
        return _question(notice.question, notice.is_reminder, now)
    if notice.draft:
        return _draft(notice.draft, now)
    if notice.payload:
        return _payload(notice.payload, now)
    return _parking(notice.parking, now) if notice.parking else None


def _question(question: InputRequest, is_reminder: bool, now: datetime) -> Item | None:
    if not question.is_pending:
        return None
    case = question.case
    age = Skipped.of(case).age(question.requested_at, now)
    return Item(
        kind="question",
        key=f"question {question.pk}",
        headline=f"Still unanswered after {span(age)}" if is_reminder else "A case needs an answer",
        who=_who(case),
        lead=f"A case still waits for an answer, since {span(age)}." if is_reminder else "A case waits for an answer.",
        text=question.question,
        why=question.reason,
        options=tuple(str(option) for option in question.options or ()),
        act="Answer it here",
        link=_page("cases_inputrequest", question.pk),
        since=question.requested_at,
        age=age,
        client=case.client.name,
        facts=_facts_of(case),
        is_overdue=is_reminder,
        is_test=case.is_test,
    )


def _draft(draft: Draft, now: datetime) -> Item | None:
    if not draft.waits_on(draft.case):
        return None
    case, since = draft.case, draft.drafted_at or draft.created_at
    return Item(
        kind="draft",
        key=f"draft {draft.pk}",
        headline="A draft waits for approval",
        who=_who(case),
        lead=f"A mail to {case.counterparty['name']} waits for your approval. It is not sent before.",
        text=f"Subject: {draft.subject}\n\n{draft.text}",
        act="Approve, change or reject it here",
        link=_page("cases_draft", draft.pk),
        since=since,
        age=Skipped.of(case).age(since, now),
        client=case.client.name,
        facts=_facts_of(case),
        is_test=case.is_test,
    )


def _payload(payload: InboundPayload, now: datetime) -> Item | None:
    if payload.state not in FOR_STAFF:
        return None
    summary, case = payload.summary, payload.case
    text = f"From: {summary.get('from')}\nSubject: {summary.get('subject') or '(none)'}\n\n{summary.get('text', '')}"
    sender = summary.get("from") or f"(by {payload.source})"
    headlines = {
        PayloadState.QUARANTINED: "A mail was kept from its case",
        PayloadState.UNMATCHED: "A mail belongs to no case",
        PayloadState.FAILED: "A mail could not be taken in",
    }
    headline = headlines[PayloadState(payload.state)]
    return Item(
        kind="mail",
        key=f"mail {payload.pk}",
        headline=headline,
        who=f"{sender} ({case.client.name})" if case else sender,
        lead=f"{headline}. It does nothing until you have decided.",
        text=text.strip() if summary else f"It came in by {payload.source}, and is kept as it came.",
        why=payload.note,
        act="Decide here",
        link=_page("outreach_inboundpayload", payload.pk),
        since=payload.received_at,
        age=now - payload.received_at,
        client=case.client.name if case else "",
        facts=_facts_of(case) if case else (),
        is_test=case.is_test if case else False,
    )


def _parking(event: Event, now: datetime) -> Item | None:
    is_still_parked: Callable[[Event], bool] = import_string(settings.OFFLOAD_PARKING_CHECK)
    if not is_still_parked(event):
        return None
    client = event.case.client.name
    return Item(
        kind="endpoint",
        key=f"endpoint {event.pk}",
        headline=f"No webhooks to {event.data['origin']} any more",
        who=f"({client})",
        lead="A client's endpoint gets no webhooks any more. Its events are kept, to be sent once it is well again.",
        text=event.data["origin"],
        why=event.data["reason"],
        act="Look at it here",
        link=settings.OFFLOAD_BASE_URL + event.data["page"],
        since=event.at,
        age=now - event.at,
        client=client,
        facts=(("Client", client),),
        is_test=event.case.is_test,
    )


def _who(case: Case) -> str:
    return f"{case.counterparty['name']} ({case.client.name})"


def _facts_of(case: Case) -> tuple[tuple[str, str], ...]:
    return (
        ("With", f"{case.counterparty['name']} <{case.counterparty['address']}>"),
        ("Client", case.client.name),
        ("Case", f"{case.client_reference_id or case.pk}{' (test)' if case.is_test else ''}"),
        ("Goal", str(case.goal.get("objective", ""))),
    )


def _page(model: str, pk: object) -> str:
    return f"{settings.OFFLOAD_BASE_URL}{reverse(f'admin:{model}_change', args=[pk])}"
