"""What came in, above all what waits for a person: three queues, the page of one mail, and what is decided for it."""

import io
import unicodedata
import uuid
from dataclasses import dataclass
from functools import partial, reduce
from operator import or_
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Case as Choose
from django.db.models import Q, QuerySet, When
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.views.decorators.http import require_POST, require_safe

from cases import search, work
from cases.admin.access import actor, may_act
from cases.admin.attention import AttentionFirst
from cases.admin.files import as_file, link_to, link_to_case
from cases.admin.filters import all_words, one_of
from cases.errors import CaseError
from cases.models import Message
from outreach.forms import HANDLING_FORMS, BulkDiscardForm, HandlingForm, offered
from outreach.inbound import handling, mime
from outreach.inbound.arrival import DoorError
from outreach.inbound.doors import READERS, open_payload
from outreach.models import InboundPayload, PayloadState, kept_apart

MAX_ON_A_PAGE = 50
MAX_COUNTED = 1000
MAX_SOURCE_BYTES = 200_000  # shown of what came in; the rest is in the file
FETCH_SECONDS = 20.0  # for a file that the door has to fetch from a provider


@dataclass(frozen=True)
class Queue:
    """Mail that waits for a person, and why such mail does, in words."""

    name: str  # in the address
    state: PayloadState
    title: str
    words: str

    @property
    def url(self) -> str:
        return reverse(f"admin:outreach_inboundpayload_{self.name}")

    @property
    def rows(self) -> QuerySet[InboundPayload]:
        """The mails that wait, the newest first."""
        return InboundPayload.objects.filter(state=self.state).order_by("-received_at", "-id")

    @property
    def count(self) -> str:
        """How many wait; beyond MAX_COUNTED nobody needs to know."""
        count = self.rows.order_by()[: MAX_COUNTED + 1].count()
        return str(count) if count <= MAX_COUNTED else f"more than {MAX_COUNTED}"

    def next_after(self, payload: InboundPayload) -> InboundPayload | None:
        """The one below it in the list; after the last, the first one."""
        others = self.rows.exclude(pk=payload.pk).defer("body")
        older = Q(received_at__lt=payload.received_at) | Q(received_at=payload.received_at, pk__lt=payload.pk)
        return others.filter(older).first() or others.first()


QUEUES = (
    Queue(
        "quarantine",
        PayloadState.QUARANTINED,
        "Quarantine",
        "Mail that belongs to a case, and was kept from it: who wrote it is not known there, or a check has failed. "
        "Nothing of it has been acted on.",
    ),
    Queue(
        "unmatched",
        PayloadState.UNMATCHED,
        "Unmatched",
        "Mail for which neither the address it was sent to, nor the mails it answers, nor sender and subject name "
        "exactly one case.",
    ),
    Queue(
        "failed",
        PayloadState.FAILED,
        "Not taken in",
        "What could not be read or fetched, although it was tried again and again. It is kept as it came.",
    ),
)
QUEUE_OF = {queue.state: queue for queue in QUEUES}


_FIRST = (PayloadState.FAILED, PayloadState.QUARANTINED, PayloadState.UNMATCHED, PayloadState.WAITING)
FIRST_STATES = Choose(*(When(state=state, then=place) for place, state in enumerate(_FIRST)), default=4)


@admin.register(InboundPayload)
class InboundPayloadAdmin(AttentionFirst):
    """What waits for a person comes first. What was received is shown as plain text, or offered as a file."""

    first, first_order = Q(state__in=_FIRST), (FIRST_STATES, "-received_at", "-id")
    rest_order = ("-received_at", "-id")

    list_display = (
        "received_at",
        "state",
        "sender",
        "subject",
        "beginning",
        "note",
        "in_case",
        "last_error",
    )
    list_filter = ("state", one_of("source", "door", [(name, name) for name in READERS]), "received_at")
    list_select_related = ("message__case", "case")
    search_fields = ("note",)
    search_help_text = "Sender, subject, words, case or event id"

    def get_queryset(self, request: HttpRequest) -> QuerySet[InboundPayload]:
        return super().get_queryset(request).defer("body", "message__text", "message__full_text", "message__html")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[InboundPayload], search_term: str
    ) -> tuple[QuerySet[InboundPayload], bool]:
        """What was taken in is found by its mail: only of what was not, the rows themselves are read."""
        term = search_term.strip()
        if not term:
            return queryset, False
        fields = ("note", "last_error", "summary__from", "summary__subject")
        in_row = reduce(or_, (all_words(field, term) for field in fields))
        cases, said = search.cases_and_mails(term)
        mails = Message.objects.filter(case__in=cases).order_by().values("pk")
        rows = InboundPayload.objects.order_by().values("pk")
        found = rows.filter(in_row, kept_apart()).union(  # each along an index of its own
            rows.filter(in_row, state=PayloadState.WAITING, due_at__isnull=False),
            rows.filter(message__in=said),
            rows.filter(message__in=mails),
            rows.filter(source__in=list(READERS), dedupe_key=term),
        )
        return queryset.filter(pk__in=found), False

    def get_ordering(self, request: HttpRequest) -> Any:
        return (FIRST_STATES, "-received_at")

    @admin.display(description="From")
    def sender(self, payload: InboundPayload) -> str:
        return payload.summary.get("from") or "–"

    @admin.display(description="Subject")
    def subject(self, payload: InboundPayload) -> str:
        return Truncator(payload.summary.get("subject") or "–").chars(80)

    @admin.display(description="Begins")
    def beginning(self, payload: InboundPayload) -> str:
        return Truncator(" ".join(payload.summary.get("text", "").split())).chars(100) or "–"

    @admin.display(description="Case")
    def in_case(self, payload: InboundPayload) -> SafeString | str:
        if payload.message:
            return link_to(payload.message)
        return link_to_case(payload.case) if payload.case else "–"

    def get_urls(self) -> list[URLPattern]:
        site, name = self.admin_site, "outreach_inboundpayload"
        own: list[URLPattern] = []
        for queue in QUEUES:
            show = site.admin_view(require_safe(partial(self.queue, queue=queue)))
            put_aside = site.admin_view(require_POST(partial(self.discard_several, queue=queue)))
            own.append(path(f"{queue.name}/", show, name=f"{name}_{queue.name}"))
            own.append(path(f"{queue.name}/discard/", put_aside, name=f"{name}_{queue.name}_discard"))
        for form in HANDLING_FORMS.values():
            act = site.admin_view(require_POST(partial(self.act, form_class=form)))
            own.append(path(f"<uuid:pk>/{form.name}/", act, name=f"{name}_{form.name}"))
        for address, view in (
            ("download", self.download),
            ("source", self.source_text),
            ("files/<int:number>", self.file),
        ):
            ending = address.partition("/")[0]
            own.append(path(f"<uuid:pk>/{address}/", site.admin_view(require_safe(view)), name=f"{name}_{ending}"))
        return [*own, *super().get_urls()]

    # --- The queues ---

    def queue(self, request: HttpRequest, queue: Queue) -> HttpResponse:
        """The mails that wait for one reason, to be read in a row."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        sought = request.GET.get("q", "").strip()[:320]
        rows = queue.rows.defer("body").select_related("case")
        if sought:
            rows = rows.filter(
                Q(summary__from__icontains=sought) | Q(summary__subject__icontains=sought) | Q(note__icontains=sought)
            )
        number = _page_number(request.GET.get("page", ""))
        start = (number - 1) * MAX_ON_A_PAGE
        shown = list(rows[start : start + MAX_ON_A_PAGE + 1])
        return self.page(
            request,
            "admin/outreach/inboundpayload/queue.html",
            title=queue.title,
            queue=queue,
            queues=[(one, one.count) for one in QUEUES],
            rows=shown[:MAX_ON_A_PAGE],
            sought=sought,
            earlier=number - 1,
            later=number + 1 if len(shown) > MAX_ON_A_PAGE else None,
            may_handle=self._may_handle(request),
        )

    def discard_several(self, request: HttpRequest, queue: Queue) -> HttpResponse:
        """Put the chosen mails aside; first show once more which they are."""
        if not self._may_handle(request):
            raise PermissionDenied
        rows = self._chosen(request, queue)
        if not rows:
            messages.warning(request, "No mail was chosen, or none of them waits any more.")
            return redirect(queue.url)
        form = BulkDiscardForm(request.POST if "confirming" in request.POST else None)
        if not form.is_valid():
            title = f"Put {len(rows)} mails aside" if len(rows) > 1 else "Put one mail aside"
            context = {"title": title, "queue": queue, "rows": rows, "form": form}
            return self.page(request, "admin/outreach/inboundpayload/discard.html", **context)
        done = sum(self._put_aside(request, row, form.cleaned_data["note"]) for row in rows)
        messages.success(request, f"Put aside: {done}. They are kept, and wait for nobody any more.")
        if done < len(rows):
            messages.warning(request, f"Somebody was faster with {len(rows) - done}.")
        return redirect(queue.url)

    def _chosen(self, request: HttpRequest, queue: Queue) -> list[InboundPayload]:
        try:
            chosen = {uuid.UUID(pk) for pk in request.POST.getlist("pk")[:MAX_ON_A_PAGE]}
        except ValueError as error:
            raise Http404("That is no mail's id.") from error
        return list(queue.rows.defer("body").select_related("case").filter(pk__in=chosen))

    def _put_aside(self, request: HttpRequest, payload: InboundPayload, note: str) -> bool:
        """Whether it was still there to be put aside; each in a transaction of its own, as they have cases to lock."""
        try:
            with work.transaction():
                handling.discard(payload.pk, actor=actor(request), note=note)
                self.log_change(request, payload, HANDLING_FORMS["discard"].title)
        except handling.NotWaiting:
            return False
        return True

    # --- One mail ---

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The page of what came in. It shows; what is done goes to `act`."""
        if not self.has_view_permission(request) or request.method == "POST":
            raise PermissionDenied
        rows = self.get_queryset(request).select_related("case", "decided_case", "message__case")
        try:
            payload = rows.get(pk=object_id)
        except (InboundPayload.DoesNotExist, ValidationError) as error:  # the latter: no UUID
            raise Http404(f"There is no payload {object_id}.") from error
        return self._show(request, payload)

    def _show(self, request: HttpRequest, payload: InboundPayload, tried: HandlingForm | None = None) -> HttpResponse:
        given = request.POST if request.method == "POST" else request.GET
        may_handle = self._may_handle(request)
        queue = QUEUE_OF.get(PayloadState(payload.state))
        return self.page(
            request,
            "admin/outreach/inboundpayload/page.html",
            title=payload.summary.get("subject") or f"Incoming mail by {payload.source}",
            payload=payload,
            forms=offered(payload, given.get("q", "")[:320], tried) if may_handle else [],
            queue=queue,
            following=queue.next_after(payload) if queue else None,
        )

    def _may_handle(self, request: HttpRequest) -> bool:
        """To let a mail act is to act on a case; so it takes the permission for that as well."""
        return may_act(request) and request.user.has_perm("outreach.change_inboundpayload")

    def act(self, request: HttpRequest, pk: uuid.UUID, form_class: type[HandlingForm]) -> HttpResponse:
        """Carry out what the form says and go on to the next mail that waits, or show what is wrong with the form."""
        if not self._may_handle(request):
            raise PermissionDenied
        payload = get_object_or_404(InboundPayload, pk=pk)
        form = form_class(payload, request.POST)
        if not form.is_valid():
            return self._show(request, payload, form)
        queue = QUEUE_OF.get(PayloadState(payload.state))
        try:
            with work.transaction():
                form.carry_out(actor(request))
                self.log_change(request, payload, form.title)
        except CaseError as error:
            messages.warning(request, error.message)
            return redirect("admin:outreach_inboundpayload_change", pk)
        return self._go_on(request, payload, form, queue)

    def _go_on(
        self, request: HttpRequest, payload: InboundPayload, form: HandlingForm, queue: Queue | None
    ) -> HttpResponse:
        here = reverse("admin:outreach_inboundpayload_change", args=[payload.pk])
        following = queue.next_after(payload) if queue else None
        then = "This is the next one." if following else "No other mail waits here."
        said = format_html('{} <a href="{}">Look at it again.</a> {}', form.done, here, then)
        messages.success(request, said)
        if following:
            return redirect("admin:outreach_inboundpayload_change", following.pk)
        return redirect(queue.url if queue else here)

    # --- What came in, as it came in ---

    def download(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponseBase:
        """The bytes as they came in."""
        payload = self._seen(request, pk)
        return as_file(io.BytesIO(payload.body), f"{payload.pk}.eml")

    def source_text(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """The beginning of these bytes as text, without what could deceive an eye."""
        payload = self._seen(request, pk)
        text = _visible_characters(bytes(payload.body[:MAX_SOURCE_BYTES]).decode(errors="replace"))
        return self.page(
            request,
            "admin/outreach/inboundpayload/source.html",
            title="As it came in",
            payload=payload,
            text=text,
            is_cut=len(payload.body) > MAX_SOURCE_BYTES,
        )

    def file(self, request: HttpRequest, pk: uuid.UUID, number: int) -> HttpResponseBase:
        """One of the mail's files, in the order of its summary. A door may have to fetch the mail anew."""
        payload = self._seen(request, pk)
        try:
            arrival = open_payload(payload, seconds=FETCH_SECONDS)
        except DoorError as error:
            messages.error(request, f"The file can't be had now: {error}")
            return redirect("admin:outreach_inboundpayload_change", pk)
        files = arrival.mail.attachments if arrival.mail else ()
        if number >= len(files):
            raise Http404("The mail has no such file.")
        return as_file(io.BytesIO(files[number].content), files[number].name)

    def _seen(self, request: HttpRequest, pk: uuid.UUID) -> InboundPayload:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return get_object_or_404(InboundPayload, pk=pk)


def _page_number(text: str) -> int:
    return min(max(int(text), 1), 10_000) if text.isascii() and text.isdigit() and len(text) < 6 else 1


def _visible_characters(text: str) -> str:
    """The text with a mark for each character that shows as nothing or turns others around."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(one) in {"Cc", "Cf"} and one not in "\n\t" else one
        for one in mime.clean(text)
    )
