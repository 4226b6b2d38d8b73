"""What questions and drafts have in common: a queue, and being taken by one person at a time."""

import hashlib
import uuid
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST, require_safe

from cases import claims, work
from cases.admin import words
from cases.admin.access import ACT, CasePartAdmin, actor, may_act, may_see
from cases.admin.forms import Prose
from cases.claims import Item
from cases.errors import CaseError
from cases.models import Client, Draft, Event, InputRequest
from cases.models.claims import held
from cases.models.due import with_now
from cases.permissions import person

MAX_ROWS = 100  # of a queue that are shown; the rest comes up as these are done
MAX_NOTE = 2000


def user_of(request: HttpRequest) -> User:
    """The person of the request. Every page of the site is for people who have logged in."""
    assert isinstance(request.user, User)  # noqa: S101
    return request.user


class HandOverForm(forms.Form):
    """To whom it is handed, and what is said along with it."""

    name, title, button = "hand_over", "Hand to a colleague", "Hand over"
    is_drastic = False

    colleague = forms.ModelChoiceField(queryset=User.objects.none(), label="Colleague", empty_label="Choose…")
    note = Prose(label="Note", rows=3, max_length=MAX_NOTE, required=False, help_text="For your colleague alone.")

    def __init__(self, user: User, data: Any = None) -> None:
        super().__init__(data, auto_id=f"{self.name}-%s", label_suffix="")
        self.fields["colleague"].queryset = claims.colleagues(user, ACT)  # type: ignore[attr-defined]


class DeskAdmin(CasePartAdmin):
    """Of items that wait for a decision and are claimed for it."""

    item_model: ClassVar[type[Item]]
    one: ClassVar[str]  # what one of them is called

    def get_urls(self) -> list[URLPattern]:
        shown = {"queue": self.queue, "done": self.done}
        of_one = {"bar": require_safe(self.bar)} | {
            name: require_POST(view)
            for name, view in {
                "claim": self.claim,
                "take_over": self.take_over,
                "release": self.release,
                "keep": self.keep,
                "hand_over": self.hand_over,
            }.items()
        }
        protect = self.admin_site.admin_view
        return [
            *(path(f"{name}/", protect(require_safe(view)), name=self.url_name(name)) for name, view in shown.items()),
            path("next/", protect(require_POST(self.next)), name=self.url_name("next")),
            *(path(f"<uuid:pk>/{name}/", protect(view), name=self.url_name(name)) for name, view in of_one.items()),
            *super().get_urls(),
        ]

    def url_name(self, name: str) -> str:
        """The name of one of the addresses, without its namespace."""
        return f"cases_{self.opts.model_name}_{name}"

    def url(self, name: str, *args: Any) -> str:
        return reverse(f"admin:{self.url_name(name)}", args=args)

    # --- The queue ---

    def queue(self, request: HttpRequest) -> HttpResponse:
        """What waits, the longest waiting on top. With `part` only the rows, and nothing where they are as `seen`."""
        if not may_see(request):
            raise PermissionDenied
        chosen = Filters.of(request)
        rows = self._rows(request, chosen)
        digest = _digest(rows)
        context = {
            "rows": rows[:MAX_ROWS],
            "is_cut": len(rows) > MAX_ROWS,
            "chosen": chosen,
            "one": self.one,
            "may_act": may_act(request),
            "digest": digest,
            "poll": f"{self.url('queue')}?{chosen.query(part='rows', seen=digest)}",
        }
        if request.GET.get("part"):
            if request.GET.get("seen") == digest:
                return HttpResponse(status=204)  # htmx leaves everything as it is
            return TemplateResponse(request, "admin/cases/inputrequest/_queue_rows.html", context)
        clients = Client.objects.filter(pk__in=claims.open_rows(self.item_model).values("case__client"))
        return self.page(
            request,
            "admin/cases/inputrequest/queue.html",
            title="Questions that wait" if self.item_model is InputRequest else "Drafts that wait",
            clients=clients.order_by("name")[:MAX_ROWS],
            queues=self._queues(),
            next_url=self.url("next"),
            queue_url=self.url("queue"),
            list_url=self.url("changelist"),
            has_overdue=self.item_model is InputRequest,
            **context,
        )

    def _queues(self) -> list[dict[str, Any]]:
        """Both queues with the number of their items, counted up to MAX_ROWS."""
        found = []
        for model, title, name in ((InputRequest, "Questions", "inputrequest"), (Draft, "Drafts", "draft")):
            count = claims.open_rows(model)[: MAX_ROWS + 1].count()
            found.append(
                {
                    "title": title,
                    "count": count if count <= MAX_ROWS else f"{MAX_ROWS}+",
                    "url": reverse(f"admin:cases_{name}_queue"),
                    "is_this": model is self.item_model,
                }
            )
        return found

    def _rows(self, request: HttpRequest, chosen: "Filters") -> list[Any]:
        now = work.now()
        waiting = with_overdue(claims.open_rows(self.item_model), now)
        waiting = waiting.filter(chosen.condition(user_of(request), now))
        waiting = waiting.select_related("case__client", "claimed_by", "assigned_to").defer("case__result_schema")
        rows = list(waiting.order_by(claims.WAITS_SINCE[self.item_model], "id")[: MAX_ROWS + 1])
        for row in rows:
            row.waits_for = words.span(getattr(row, claims.WAITS_SINCE[self.item_model]), now)
            row.holder_now = row.holder(now)
            row.is_mine = row.holder_now == request.user
            row.line = words.in_one_line(row.question if isinstance(row, InputRequest) else row.subject)
            row.page_url = self.url("change", row.pk)
            row.claim_url = self.url("claim", row.pk)
        return rows

    def done(self, request: HttpRequest) -> HttpResponse:
        """Nothing of this kind waits for the person any more."""
        if not may_see(request):
            raise PermissionDenied
        context = {"queues": self._queues(), "one": self.one, "queue_url": self.url("queue")}
        return self.page(request, "admin/cases/inputrequest/done.html", title="Nothing waits for you", **context)

    def next(self, request: HttpRequest) -> HttpResponse:
        """Claim the next one and go there; `after` is the one that is left."""
        self._must_act(request)
        after = _item(self.item_model, request.POST.get("after", ""))
        now, waiting = work.now(), claims.open_rows(self.item_model)
        chosen = Filters.of(request).condition(user_of(request), now)
        return self.go_on(request, after, rows=with_overdue(waiting, now).filter(chosen))

    def go_on(self, request: HttpRequest, after: Item | None, *, rows: QuerySet[Any] | None = None) -> HttpResponse:
        """To the next one, which is claimed; or to the page that says that there is none."""
        following = claims.claim_next(self.item_model, user_of(request), after=after, rows=rows)
        return redirect(self.url("change", following.pk) if following else self.url("done"))

    # --- Claims ---

    def claim(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """Take it, if nobody else has."""
        item = self._item_to_act_on(request, pk)
        try:
            claims.claim(item, user_of(request))
        except CaseError as error:
            return self._answered(request, item, f"It was not taken. {error.message}")
        return self._answered(request, item)

    def take_over(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """Take it from whoever has it."""
        item = self._item_to_act_on(request, pk)
        try:
            with work.transaction():
                claims.take_over(item, user_of(request), actor=actor(request))
                self.log_change(request, item, "Taken over")
        except CaseError as error:
            return self._answered(request, item, error.message)
        return self._answered(request, item)

    def release(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """Let go of it."""
        item = self._item_to_act_on(request, pk)
        claims.release(item, user_of(request))
        return self._answered(request, item)

    def keep(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """A sign of life of the page that shows it: the claim goes on."""
        item = self._item_to_act_on(request, pk)
        claims.keep(item, user_of(request))
        return self._bar(request, item)

    def bar(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """Who has it now, for the page that shows it."""
        if not may_see(request):
            raise PermissionDenied
        return self._bar(request, get_object_or_404(self.item_model, pk=pk))

    def hand_over(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """Leave it to a colleague, and go on with the next one."""
        item = self._item_to_act_on(request, pk)
        form = HandOverForm(user_of(request), request.POST)
        if not form.is_valid():
            return self.show(request, item, tried=form)
        colleague = form.cleaned_data["colleague"]
        try:
            with work.transaction():
                note = form.cleaned_data["note"]
                claims.hand_over(item, colleague, by=user_of(request), note=note, actor=actor(request))
                self.log_change(request, item, f"Handed to {colleague.get_username()}")
        except CaseError as error:
            messages.warning(request, f"Nothing was done. {error.message}")
            return self.show(request, item, tried=form)
        messages.success(request, f"The {self.one} is handed to {colleague.get_username()}.")
        return self.go_on(request, item)

    def show(self, request: HttpRequest, item: Any, *, tried: Any = None) -> HttpResponse:
        """The page of the item, with the form that could not be carried out."""
        raise NotImplementedError

    def _answered(self, request: HttpRequest, item: Any, warning: str = "") -> HttpResponse:
        if request.headers.get("HX-Request"):
            return self._bar(request, item, warning)
        if warning:
            messages.warning(request, warning)
        return redirect(self.url("change", item.pk))

    def find(self, pk: Any) -> Any:
        """The item with its case and with who has it, and `now` read along. Raises Http404."""
        rows: QuerySet[Any] = self.item_model.objects.select_related("claimed_by", "assigned_to", "case")
        try:
            return with_now(rows.annotate(looked_at=Now()).get(pk=pk))
        except (self.item_model.DoesNotExist, ValidationError) as error:  # the latter: no UUID
            raise Http404(f"There is no {self.one} {pk}.") from error

    def _bar(self, request: HttpRequest, item: Any, warning: str = "") -> HttpResponse:
        item = self.find(item.pk)
        context = {**self.claim_context(request, item), "warning": warning, "may_act": may_act(request)}
        context["settled"] = settled_words(item, user_of(request))  # under the eyes of somebody who has waited
        return TemplateResponse(request, "admin/cases/inputrequest/_claim.html", context)

    def claim_context(self, request: HttpRequest, item: Any) -> dict[str, Any]:
        """What the bar that tells who has it needs, of an item as `find` gives it."""
        now = item.now
        holder = item.holder(now)
        return {
            "item": item,
            "one": self.one,
            "holder": holder,
            "is_mine": holder == request.user,
            "is_open": item.is_pending if isinstance(item, InputRequest) else item.waits_on(item.case),
            "since": words.span(item.claimed_at, now) if holder and item.claimed_at else "",
            "urls": {name: self.url(name, item.pk) for name in ("claim", "take_over", "release", "keep", "bar")},
            "settled": settled_words(item, user_of(request)).removeprefix(FASTER),
        }

    def _must_act(self, request: HttpRequest) -> None:
        if not may_act(request):
            raise PermissionDenied

    def _item_to_act_on(self, request: HttpRequest, pk: uuid.UUID) -> Any:
        self._must_act(request)
        return get_object_or_404(self.item_model, pk=pk)


# --- Filters --------------------------------------------------------------------------------------

WHO = {"": "All", "mine": "Mine", "free": "Nobody has it"}
KINDS = {"": "Live and test", "live": "Live", "test": "Test"}


@dataclass(frozen=True)
class Filters:
    """What of a queue is shown; empty: everything."""

    who: str = ""  # of WHO
    kind: str = ""  # of KINDS
    client: str = ""  # its id
    overdue: str = ""  # "1" or empty

    @classmethod
    def of(cls, request: HttpRequest) -> "Filters":
        """As the address says, or for a POST its body; what makes no sense counts as empty."""
        said = request.POST if request.method == "POST" else request.GET
        who, kind, client = (str(said.get(name, "")) for name in ("who", "kind", "client"))
        return cls(
            who=who if who in WHO else "",
            kind=kind if kind in KINDS else "",
            client=client if _is_uuid(client) else "",
            overdue="1" if said.get("overdue") == "1" else "",
        )

    @property
    def is_empty(self) -> bool:
        return self == Filters()

    @property
    def fields(self) -> dict[str, str]:
        """What is chosen, by the name in the address."""
        return {name: value for name, value in asdict(self).items() if value}

    def query(self, **more: str) -> str:
        """As the query of an address, with other values for some."""
        return urlencode({name: value for name, value in {**asdict(self), **more}.items() if value})

    @property
    def chips(self) -> list[dict[str, Any]]:
        """The choices that are links: words, address and whether it is chosen."""
        rows = [("who", value, title) for value, title in WHO.items()]
        rows += [("kind", value, title) for value, title in KINDS.items()]
        return [
            {"title": title, "query": self.query(**{name: value}), "is_chosen": getattr(self, name) == value}
            for name, value, title in rows
        ]

    @property
    def overdue_chip(self) -> dict[str, Any]:
        """The one that is on or off."""
        return {"query": self.query(overdue="" if self.overdue else "1"), "is_chosen": bool(self.overdue)}

    def condition(self, user: User, now: datetime) -> Q:
        """For rows of `with_overdue`, or where `overdue` is empty of any claimable row."""
        chosen = Q()
        if self.who == "mine":
            chosen &= claims.of_person(user, now)
        if self.who == "free":
            chosen &= ~held(now) & (Q(assigned_to__isnull=True) | Q(assigned_to=user))
        if self.kind:
            chosen &= Q(case__is_test=self.kind == "test")
        if self.client:
            chosen &= Q(case__client=self.client)
        if self.overdue:
            chosen &= Q(is_overdue=True)
        return chosen


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def with_overdue(waiting: QuerySet[Any], now: datetime) -> QuerySet[Any]:
    """With `is_overdue`: of a question that has waited longer than its case allows. Nothing says so of a draft."""
    if waiting.model is not InputRequest:
        found: QuerySet[Any] = waiting.annotate(is_overdue=Q(pk__isnull=True))
        return found
    reminded = Event.objects.filter(
        case=OuterRef("case"), type="case.input_overdue", at__gte=OuterRef("requested_at")
    ).order_by()
    found = waiting.annotate(is_overdue=Q(case__input_overdue_at__lte=now) | Q(Exists(reminded)))
    return found


def _item(model: type[Item], pk: str) -> Any:
    return model.objects.filter(pk=pk).first() if _is_uuid(pk) else None


def _digest(rows: list[Any]) -> str:
    """Of all that the rows show."""
    shown = [(str(row.pk), row.waits_for, str(row.holder_now), str(row.assigned_to), row.is_overdue) for row in rows]
    return hashlib.sha256(repr(shown).encode()).hexdigest()[:16]


def title_of(item: Any) -> str:
    """What the page of one is headed with: whom it is about, and the client's reference."""
    case = item.case
    reference = f" ({case.client_reference_id})" if case.client_reference_id else ""
    kind = "Question" if isinstance(item, InputRequest) else "Draft"
    return f"{kind}: {case.counterparty['name']}{reference}"


FASTER = "Someone was faster: "


def who_has(settled_by: str, reader: User) -> str:
    """The beginning of a sentence about who settled something: another one of the staff was faster than the reader."""
    return "You have already" if settled_by == f"staff {reader.get_username()}" else f"{FASTER}{person(settled_by)} has"


def settled_words(item: Any, reader: User) -> str:
    """What has become of it, for somebody who looks at a page on which it was open."""
    if isinstance(item, InputRequest):
        return why_settled(item, reader)
    if item.decided_by:
        return f"{who_has(item.decided_by, reader)} {'rejected' if item.rejection else 'approved'} this draft."
    return "The case has moved on without this draft."


ENDINGS = ("case.completed", "case.failed", "message.queued", "case.waiting")


def why_settled(question: InputRequest, reader: User) -> str:
    """Who has settled a question, and how; empty while it is open."""
    if question.status == "RESOLVED":
        return f"{who_has(question.answered_by, reader)} answered this question."
    if question.status == "SUPERSEDED":
        return "A later question has taken this one's place."
    if question.status != "CLOSED":
        return ""
    since = Event.objects.filter(case=question.case_id, type__in=ENDINGS, at__gte=question.resolved_at)
    event = since.exclude(actor="system").order_by("at", "id").first()
    if event is not None:
        return f"{who_has(event.actor, reader)} decided for this case. {words.told(event)[0]}."
    return "The case has gone on without an answer, or has ended."
