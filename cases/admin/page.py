"""All that staff see of one case, in a bounded number of queries and of rows."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet, Subquery
from django.utils import timezone

from cases import drafts
from cases.admin import words
from cases.admin.forms import ACTIONS, ActionForm
from cases.models import Attachment, Case, Draft, InputRequest, Message, MessageStatus, RequestStatus
from cases.values import Entry, table

MAX_MAILS = 200  # the newest; a mail loop must not make the page unusable
MAX_EVENTS = 500
MAX_CORRESPONDENTS = 50


def for_staff() -> QuerySet[Case]:
    """Cases with their clients and with what `words.next_step` reads: `asked_at`, `drafted_at` …"""
    messages = Message.objects.filter(case=OuterRef("pk"))
    pending = InputRequest.objects.filter(case=OuterRef("pk"), status=RequestStatus.PENDING).order_by()
    cases: QuerySet[Case] = Case.objects.select_related("client")
    return cases.annotate(
        asked_at=Subquery(pending.values("requested_at")[:1]),
        drafted_at=Subquery(Draft.objects.waiting().filter(case=OuterRef("pk")).order_by().values("drafted_at")[:1]),
        has_queued=Exists(messages.filter(status=MessageStatus.QUEUED).order_by()),
        has_unread=Exists(messages.unread().order_by()),
    )


def context(case: Case, *, tried: ActionForm | None = None, can_act: bool = False) -> dict[str, Any]:
    """What templates/admin/cases/case/_*.html need. `case` is one of `for_staff()`; `tried` is a form that failed."""
    thread = list(case.messages.prefetch_related("attachments").order_by("-created_at", "-id")[:MAX_MAILS])
    thread = sorted(thread, key=lambda message: (message.at, message.created_at))
    questions = list(case.input_requests.order_by("requested_at", "id"))
    events = list(case.events.order_by("-at", "-id")[:MAX_EVENTS])[::-1]
    return {
        "case": case,
        "next_step": words.next_step(case, timezone.now()),
        "draft_that_waits": drafts.waiting(case),
        "end": words.ENDS.get(case.result_status or ""),
        "thread": [Mail(message) for message in thread],
        "thread_is_cut": len(thread) == MAX_MAILS,
        "questions": questions,
        "correspondents": list(case.correspondents.all()[:MAX_CORRESPONDENTS]),
        "timeline": [(event, *words.told(event)) for event in events],
        "timeline_is_cut": len(events) == MAX_EVENTS,
        "result_values": result_values(case, thread, questions),
        "actions": offered(case, tried) if can_act else [],
    }


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
class Mail:
    """One mail of the thread as the page shows it."""

    message: Message

    @property
    def kind(self) -> str:
        return words.kind_of_mail(self.message)

    @property
    def is_ours(self) -> bool:
        return self.message.direction == "OUT"

    @property
    def state(self) -> str:
        """What sets it apart from a mail that has simply been sent or received; may be empty."""
        return words.MAIL_STATES.get(self.message.status, "")

    @property
    def quoted(self) -> str:
        """The whole text where it says more than the new words."""
        whole = self.message.full_text.strip()
        return whole if whole != self.message.text.strip() else ""

    @property
    def files(self) -> list[Attachment]:
        return list(self.message.attachments.all())


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
    sources = [source for source in case.sources or [] if isinstance(source, dict)]

    def origins(path: str) -> list[Origin]:
        about = (source for source in sources if f"{path}/".startswith(f"{source.get('path', '')}/"))
        return [_origin(source, places) for source in about]

    return [Value(entry, origins(entry.path)) for entry in table(case.result)]


def _places(thread: list[Message], questions: list[InputRequest]) -> dict[str, tuple[str, str]]:
    """Id of everything that can be a source, with its words and its anchor."""
    places = {"goal": ("the goal", "goal")}
    for message in thread:
        whose = "our" if message.direction == "OUT" else "their"
        anchor = f"message-{message.pk}"
        places[str(message.pk)] = (f"{whose} mail of {message.at:%Y-%m-%d %H:%M}", anchor)
        places |= {str(file.pk): (f"the file “{file.name}”", f"file-{file.pk}") for file in message.attachments.all()}
    for question in questions:
        places[str(question.pk)] = ("the answer to a question", f"question-{question.pk}")
    return places


def _origin(source: dict[str, Any], places: dict[str, tuple[str, str]]) -> Origin:
    known = places.get(str(source.get("source_id")))
    if known:
        return Origin(known[0], str(source.get("quote", "")), known[1])
    return Origin(str(source.get("source_id", "")), str(source.get("quote", "")))
