"""All that staff see of one case, in a bounded number of queries and of rows.

The partials templates/admin/cases/case/_*.html are included by other pages, too. Each reads keys of `context`:

_state      case, status, next_step, trouble, end, questions
_result     result_values
_thread     thread (list of Mail), thread_is_cut, theirs (the counterparty's zone, or None); above, the id of a mail
            whose text stands elsewhere on the page
_questions  questions, theirs
_timeline   timeline (Story)
_task       case, enclosures
_facts      case, correspondents, theirs, plan, cost, usage, now_there
_related    related (Related), timeline
_actions    actions (list of ActionForm), case; confirmation (Confirmation) where one is asked for
"""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet, Subquery, prefetch_related_objects
from django.http import QueryDict
from django.utils import timezone
from django.utils.safestring import SafeString

from cases import consequences, moments
from cases.admin import lines, standing, words
from cases.admin.forms import ACTIONS, ActionForm
from cases.admin.lines import Line, Link, Part
from cases.admin.marks import marked
from cases.admin.originals import originals
from cases.models import (
    Attachment,
    Case,
    Direction,
    Draft,
    Enclosure,
    Event,
    InputRequest,
    Message,
    MessageStatus,
    Purpose,
    RequestStatus,
)
from cases.values import Entry, table
from cases.working_hours import next_working_time

MAX_MAILS = 200  # the newest; a mail loop must not make the page unusable
MAX_EVENTS = 500
MAX_CORRESPONDENTS = 50
MAX_OTHERS = 5  # other cases with the same counterparty
TOKEN = "csrfmiddlewaretoken"  # noqa: S105 (a field's name)


def for_staff() -> QuerySet[Case]:
    """Cases with their clients and with what `words.next_step` reads: `asked_at`, `drafted_at` …

    `draft_pk` is the draft that can be decided on, or None.
    """
    messages = Message.objects.filter(case=OuterRef("pk"))
    pending = InputRequest.objects.filter(case=OuterRef("pk"), status=RequestStatus.PENDING).order_by()
    drafts = Draft.objects.waiting().filter(case=OuterRef("pk")).order_by()
    cases: QuerySet[Case] = Case.objects.select_related("client")
    return cases.annotate(
        asked_at=Subquery(pending.values("requested_at")[:1]),
        drafted_at=Subquery(drafts.values("drafted_at")[:1]),
        draft_pk=Subquery(drafts.values("pk")[:1]),
        has_queued=Exists(messages.filter(status=MessageStatus.QUEUED).order_by()),
        has_unread=Exists(messages.unread().order_by()),
        has_enclosures=Exists(Enclosure.objects.filter(case=OuterRef("pk")).order_by()),
    )


def context(
    case: Case,
    *,
    tried: ActionForm | None = None,
    can_act: bool = False,
    chosen: str = "",
    also: Sequence[Message] = (),
) -> dict[str, Any]:
    """What the partials need; see above.

    `case` is one of `for_staff()`; `tried` is a form that failed; `chosen` is one of `lines.FILTERS`; `also` are mails
    that get their attachments along with the thread.
    """
    now = timezone.now()
    thread = list(case.messages.order_by("-created_at", "-id")[:MAX_MAILS])
    prefetch_related_objects([*thread, *also], "attachments")
    thread = sorted(thread, key=lambda message: (message.at, message.created_at))
    questions = list(case.input_requests.order_by("requested_at", "id"))
    events = list(case.events.order_by("-at", "-id")[:MAX_EVENTS])[::-1]
    theirs = moments.of_counterparty(case)
    return {
        "case": case,
        "status": words.STATUSES[case.status],
        "next_step": standing.next_step(case, now),
        "trouble": standing.trouble(case, now),
        "end": words.ENDS.get(case.result_status or ""),
        "thread": mails(case, thread, events),
        "thread_is_cut": len(thread) == MAX_MAILS,
        "theirs": theirs,
        "questions": questions,
        "timeline": Story(case, events, chosen if chosen in lines.FILTERS else ""),
        "enclosures": list(case.enclosures.all()) if _is_unsent(case) else [],
        "correspondents": list(case.correspondents.all()[:MAX_CORRESPONDENTS]),
        "now_there": Clock.of(case, now),
        "plan": standing.plan(case, thread),
        "cost": words.cost(case),
        "usage": usage(events) if len(events) < MAX_EVENTS else [],
        "related": Related(case),
        "result_values": result_values(case, thread, questions),
        "actions": offered(case, tried) if can_act else [],
    }


def _is_unsent(case: Any) -> bool:
    """Whether it has files for a first mail that is still to be sent."""
    return case.attempt_count == 0 and bool(case.has_enclosures)


def offered(case: Case, tried: ActionForm | None) -> list[ActionForm]:
    """The forms for what can be done, and always the one that has just failed: it holds what was typed."""
    forms = []
    for name, form in ACTIONS.items():
        if tried is not None and tried.name == name:
            forms.append(tried)
        elif form.applies_to(case):
            forms.append(form(case))
    return forms


@dataclass(frozen=True)
class Confirmation:
    """An action that can't be taken back: what follows from it, and all that was posted, to be posted again."""

    name: str
    sentences: list[str]
    posted: list[tuple[str, str]]

    @classmethod
    def of(cls, form: ActionForm, posted: QueryDict) -> "Confirmation":
        values = [(name, value) for name, given in posted.lists() if name != TOKEN for value in given]
        return cls(form.name, consequences.of(form.name, form.case), [(name, str(value)) for name, value in values])


# --- The conversation -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Mail:
    """One mail of the thread as the page shows it."""

    message: Message
    writing: Event | None = None  # what the timeline says of how the agent wrote it
    failure: str = ""  # a report says so of it
    quotes: tuple[str, ...] = ()  # what the result rests on
    has_original: bool = False

    @property
    def kind(self) -> str:
        return words.kind_of_mail(self.message)

    @property
    def is_ours(self) -> bool:
        return self.message.direction == Direction.OUT

    @property
    def state(self) -> str:
        """What sets it apart from a mail that has simply been sent or received; may be empty."""
        return words.MAIL_STATES.get(self.message.status, "")

    @property
    def delivery(self) -> tuple[str, str]:
        """What has become of it, and the badge's tone; empty for a mail that has simply been received."""
        if self.failure:
            return self.failure, "bad"
        if self.message.is_after_end:
            return "came after the end", "bad"
        if self.message.status == MessageStatus.SENT:
            return ("delivered", "ok") if self.message.delivered_at else ("sent", "calm")
        return self.state, words.MAIL_TONES.get(self.message.status, "")

    @property
    def writer(self) -> str:
        """Who or what wrote a mail of ours, and who has looked at it; empty where nothing tells."""
        return "; ".join(words.writing(self.message, self.writing.data if self.writing else None))

    @property
    def text(self) -> SafeString:
        """The new words, with what the result rests on marked."""
        return marked(self.message.text or "(no text)", self.quotes)

    @property
    def quoted(self) -> str:
        """The whole text where it says more than the new words."""
        whole = self.message.full_text.strip()
        return whole if whole != self.message.text.strip() else ""

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Names and values of what stands above a mail, and the provider's name for it."""
        message = self.message
        sender = f"{message.from_name} <{message.from_address}>" if message.from_name else message.from_address
        named = (
            ("From", sender),
            ("To", message.to_address),
            ("Cc", ", ".join(map(str, message.cc))),
            ("Date, as they say", moments.shortly(message.sent_by_them_at) if message.sent_by_them_at else ""),
            ("Subject", message.subject),
            ("Message-ID", message.message_id),
            ("In-Reply-To", message.in_reply_to),
            ("References", message.references),
            ("Provider's id", message.provider_id),
        )
        return [(name, value) for name, value in named if value]

    @property
    def files(self) -> list[Attachment]:
        return list(self.message.attachments.all())


def mails(case: Case, thread: Sequence[Message], events: Iterable[Event]) -> list[Mail]:
    """The thread with what else is known of each mail."""
    writings, failed = _writings(events), _failed(case, thread)
    kept = originals().kept(thread)
    quotes: dict[str, list[str]] = {}
    for source in _sources(case):
        quotes.setdefault(str(source.get("source_id")), []).append(str(source.get("quote", "")))
    return [
        Mail(
            message,
            writing=writings.get(str(message.pk)),
            failure=words.REPORTED[case.result_status or ""] if message is failed else "",
            quotes=tuple(quotes.get(str(message.pk), ())),
            has_original=message.pk in kept,
        )
        for message in thread
    ]


def _writings(events: Iterable[Event]) -> dict[str, Event]:
    """Id of a mail to the event that tells how the agent wrote it: the last before its queueing, at the same moment."""
    found: dict[str, Event] = {}
    last: Event | None = None
    for event in events:
        if event.type in ("draft.written", "draft.judged"):
            last = event
        elif event.type in ("message.queued", "case.draft_ready"):
            if last and last.at == event.at:
                found[str(event.data.get("messageId"))] = last
            last = None
    return found


def _failed(case: Case, thread: Sequence[Message]) -> Message | None:
    """The mail of ours that the report is about with which the case ended; the last one where the report names none."""
    if case.result_status not in words.REPORTED:
        return None
    ours = [message for message in thread if message.status == MessageStatus.SENT and message.at <= case.updated_at]
    reports = [message for message in thread if message.purpose == Purpose.REPORT]
    named = {name for report in reports for name in f"{report.in_reply_to} {report.references}".split()}
    return next((message for message in ours if message.message_id in named), ours[-1] if ours else None)


# --- The timeline ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chip:
    """A filter of the timeline."""

    name: str
    words: str
    is_chosen: bool


class Story:
    """The timeline; what other rooms add to it is looked up when it is shown."""

    def __init__(self, case: Case, events: Sequence[Event], chosen: str) -> None:
        self.case, self.chosen, self.events = case, chosen, events

    def __iter__(self) -> Iterator[tuple[Event, str, str]]:
        """All events with their words, for those who look for one."""
        return ((event, *words.told(event)) for event in self.events)

    @property
    def is_cut(self) -> bool:
        return len(self.events) == MAX_EVENTS

    @property
    def chips(self) -> list[Chip]:
        return [Chip(name, said, name == self.chosen) for name, said in lines.FILTERS.items()]

    @cached_property
    def lines(self) -> list[Line]:
        """What is shown under the chosen filter, oldest first."""
        found = [*lines.of_events(self.events, self.case), *self._parts.lines]
        return [line for line in sorted(found, key=lambda line: line.at) if line.is_under(self.chosen)]

    @property
    def links(self) -> list[Link]:
        """To what belongs to the case in other rooms."""
        return self._parts.links

    @cached_property
    def _parts(self) -> Part:
        return lines.parts(self.case, MAX_EVENTS)


# --- Facts ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Clock:
    """What time it is where the counterparty is, and whether people work there now."""

    zone: str
    time: str
    difference: str
    is_working: bool

    @classmethod
    def of(cls, case: Case, now: datetime) -> "Clock | None":
        zone = moments.of_counterparty(case)
        if zone is None:
            return None
        is_working = next_working_time(now, zone.key) == now
        return cls(zone.key, f"{now.astimezone(zone):%A %H:%M}", moments.difference(zone, now), is_working)


@dataclass
class Usage:
    """What one model was asked for a case."""

    model: str
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0
    cost: Decimal = Decimal(0)

    @property
    def money(self) -> str:
        return words.money(self.cost)


def usage(events: Iterable[Event]) -> list[Usage]:
    """By model, in the order in which they were first asked."""
    found: dict[str, Usage] = {}
    for facts in (event.data for event in events if event.type == "model.called"):
        row = found.setdefault(str(facts.get("model", "")), Usage(str(facts.get("model", ""))))
        row.calls += 1
        row.tokens_in += facts.get("promptTokens", 0)
        row.tokens_out += facts.get("completionTokens", 0)
        row.seconds += facts.get("durationMs", 0) / 1000
        row.cost += _amount(facts.get("cost"))
    return list(found.values())


def _amount(text: Any) -> Decimal:
    try:
        return Decimal(text or 0)
    except InvalidOperation:
        return Decimal(0)


class Related:
    """Other cases with the same counterparty, looked up when they are shown: the newest, and whether there are more."""

    def __init__(self, case: Case) -> None:
        self._case = case

    @cached_property
    def _found(self) -> list[Case]:
        same = Case.objects.filter(counterparty_address=self._case.counterparty_address).exclude(pk=self._case.pk)
        return list(same.order_by("-created_at", "-id")[: MAX_OTHERS + 1])

    @property
    def others(self) -> list[tuple[Case, str, str]]:
        """Each with its status in words and the badge's tone."""
        return [(case, *words.STATUSES[case.status]) for case in self._found[:MAX_OTHERS]]

    @property
    def are_more(self) -> bool:
        return len(self._found) > MAX_OTHERS


# --- The result -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Origin:
    """Where a value of the result comes from: in words, the literal text there, and the page's anchor of the place."""

    words: str
    quote: str
    anchor: str = ""


@dataclass(frozen=True)
class Value:
    """One value of the result, and where it comes from."""

    entry: Entry
    origins: list[Origin]


def result_values(case: Case, thread: list[Message], questions: list[InputRequest]) -> list[Value]:
    """The single values of the result with their sources; at most MAX_VALUES."""
    if case.result is None:
        return []
    places = _places(thread, questions)
    sources = _sources(case)

    def origins(path: str) -> list[Origin]:
        about = (source for source in sources if f"{path}/".startswith(f"{source.get('path', '')}/"))
        return [_origin(source, places, case) for source in about]

    return [Value(entry, origins(entry.path)) for entry in table(case.result)]


def _sources(case: Case) -> list[dict[str, Any]]:
    return [source for source in case.sources or [] if isinstance(source, dict)]


def _places(thread: list[Message], questions: list[InputRequest]) -> dict[str, tuple[str, str]]:
    """Id of everything that can be a source, with its words and its anchor."""
    places = {"goal": ("the goal", "goal")}
    for message in thread:
        whose = "our" if message.direction == Direction.OUT else "their"
        anchor = f"message-{message.pk}"
        places[str(message.pk)] = (f"{whose} mail of {moments.shortly(message.at)}", anchor)
        places |= {str(file.pk): (f"the file “{file.name}”", f"file-{file.pk}") for file in message.attachments.all()}
    for question in questions:
        places[str(question.pk)] = ("the answer to a question", f"question-{question.pk}")
    return places


def _origin(source: dict[str, Any], places: dict[str, tuple[str, str]], case: Case) -> Origin:
    known = places.get(str(source.get("source_id")))
    if known:
        return Origin(known[0], str(source.get("quote", "")), known[1])
    return Origin(lines.who(str(source.get("source_id", "")), case), str(source.get("quote", "")))


def original_of(case_pk: uuid.UUID, message_pk: uuid.UUID) -> tuple[bytes, str] | None:
    """The bytes of a mail of the case as it came or went, and a name for the file; None where they are not kept."""
    message = Message.objects.filter(case=case_pk, pk=message_pk).select_related("case").first()
    found = originals().read(message) if message else None
    return (found.content, f"{message_pk}.{found.ending}") if found else None
