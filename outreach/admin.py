"""What came in and waits for a person, addresses that get no mail, the sandbox's mailboxes, the notices to staff."""

import io
import uuid
from functools import partial, reduce
from operator import or_
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
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
from cases.admin.access import CasePartAdmin, actor, may_act
from cases.admin.attention import AttentionFirst
from cases.admin.files import as_file, link_to, link_to_case
from cases.admin.filters import all_words, of_client, one_of
from cases.errors import CaseError
from cases.models import Message
from outreach import suppression
from outreach.forms import HANDLING_FORMS, HandlingForm, LiftForm, SuppressionForm, offered
from outreach.inbound.doors import READERS
from outreach.inbound.mail import parse
from outreach.models import InboundPayload, NoticeState, PayloadState, SandboxMail, StaffNotice, Suppression

NOT_TAKEN_IN = [state for state in PayloadState.values if state != PayloadState.DONE]
_FIRST = (PayloadState.FAILED, PayloadState.QUARANTINED, PayloadState.UNMATCHED, PayloadState.WAITING)
FIRST_STATES = Choose(*(When(state=state, then=place) for place, state in enumerate(_FIRST)), default=4)


@admin.register(InboundPayload)
class InboundPayloadAdmin(AttentionFirst):
    """What waits for a person comes first. What was received is shown as plain text, or offered as a file."""

    first, first_order = Q(state__in=_FIRST), (FIRST_STATES, "-received_at", "-id")
    rest_order = ("-received_at", "-id")

    list_display = ("received_at", "state", "sender", "subject", "beginning", "note", "in_case", "source", "last_error")
    list_filter = ("state", one_of("source", "door", [(name, name) for name in READERS]), "received_at")
    list_select_related = ("message__case", "case")
    search_fields = ("note",)
    search_help_text = (
        "Sender, subject, note or error of what waits; words or case of what was taken in; or the event id"
    )

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
        mails = Message.objects.filter(case__in=search.cases_known_by(term)).order_by().values("pk")
        rows = InboundPayload.objects.order_by().values("pk")
        found = rows.filter(in_row, state__in=NOT_TAKEN_IN).union(  # each along an index of its own
            rows.filter(message__in=search.mails_with(term)),
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
        site = self.admin_site
        acts = [
            path(
                f"<uuid:pk>/{name}/",
                site.admin_view(require_POST(partial(self.act, form_class=form))),
                name=f"outreach_inboundpayload_{name}",
            )
            for name, form in HANDLING_FORMS.items()
        ]
        download = path(
            "<uuid:pk>/download/",
            site.admin_view(require_safe(self.download)),
            name="outreach_inboundpayload_download",
        )
        return [*acts, download, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The page of what came in. It shows; what is done goes to `act`."""
        payload = self.get_object(request, object_id)
        if not self.has_view_permission(request) or request.method == "POST":
            raise PermissionDenied
        if payload is None:
            raise Http404(f"There is no payload {object_id}.")
        return self._show(request, payload)

    def _show(self, request: HttpRequest, payload: InboundPayload, tried: HandlingForm | None = None) -> HttpResponse:
        given = request.POST if request.method == "POST" else request.GET
        sought = given.get("q", payload.summary.get("from", ""))[:320]
        forms = offered(payload, sought, tried) if self._may_handle(request) else []
        return self.page(
            request,
            "admin/outreach/inboundpayload/page.html",
            title=payload.summary.get("subject") or str(payload),
            payload=payload,
            forms=forms,
            sought=sought,
        )

    def _may_handle(self, request: HttpRequest) -> bool:
        """To let a mail act is to act on a case; so it takes the permission for that as well."""
        return may_act(request) and request.user.has_perm("outreach.change_inboundpayload")

    def act(self, request: HttpRequest, pk: uuid.UUID, form_class: type[HandlingForm]) -> HttpResponse:
        """Carry out what the form says, or show the page again with what is wrong with it."""
        if not self._may_handle(request):
            raise PermissionDenied
        payload = get_object_or_404(InboundPayload, pk=pk)
        form = form_class(payload, request.POST)
        if not form.is_valid():
            return self._show(request, payload, form)
        try:
            with work.transaction():
                form.carry_out(actor(request))
                self.log_change(request, payload, form.title)
        except CaseError as error:
            messages.warning(request, error.message)
        else:
            messages.success(request, form.done)
        return redirect("admin:outreach_inboundpayload_change", pk)

    def download(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponseBase:
        """The bytes as they came in."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        payload = get_object_or_404(InboundPayload, pk=pk)
        return as_file(io.BytesIO(payload.body), f"{payload.pk}.eml")


@admin.register(Suppression)
class SuppressionAdmin(CasePartAdmin):
    """Addresses that get no more mail, with who or what has put them there. None is deleted: they are lifted."""

    list_display = ("address", "reason", "holds_for", "since", "of_case", "added_by", "lifted_at", "lifted_by")
    list_filter = (("lifted_at", admin.EmptyFieldListFilter), "reason", "since")
    list_select_related = ("client", "case")
    search_fields = ("address", "note", "=added_by")
    search_help_text = "Address, note, or who added it"
    form = SuppressionForm

    @admin.display(description="Holds for")
    def holds_for(self, row: Suppression) -> str:
        return str(row.client or "all clients")

    @admin.display(description="Case")
    def of_case(self, row: Suppression) -> SafeString | str:
        return link_to_case(row.case) if row.case else "–"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may_act(request)

    def save_model(self, request: HttpRequest, obj: Suppression, form: Any, change: bool) -> None:
        """Add what the form says; there is no form that changes one."""
        row = suppression.add_by_hand(address=obj.address, client=obj.client, note=obj.note, actor=actor(request))
        obj.pk = row.pk

    def get_urls(self) -> list[URLPattern]:
        lift = self.admin_site.admin_view(require_POST(self.lift))
        return [path("<int:pk>/lift/", lift, name="outreach_suppression_lift"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The page of one address. It shows; what is done goes to `lift`."""
        row = self.get_object(request, object_id)
        if not self.has_view_permission(request) or request.method == "POST":
            raise PermissionDenied
        if row is None:
            raise Http404(f"There is no suppressed address {object_id}.")
        return self._show(request, row, LiftForm())

    def _show(self, request: HttpRequest, row: Suppression, form: LiftForm) -> HttpResponse:
        can_lift = may_act(request) and row.lifted_at is None
        context = {"title": row.address, "row": row, "form": form if can_lift else None}
        return self.page(request, "admin/outreach/suppression/page.html", **context)

    def lift(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Let mail go there again, once somebody has said that it is all right."""
        if not may_act(request):
            raise PermissionDenied
        row, form = get_object_or_404(Suppression, pk=pk), LiftForm(request.POST)
        if not form.is_valid():
            return self._show(request, row, form)
        try:
            with work.transaction():
                suppression.lift(pk, actor=actor(request))
                self.log_change(request, row, "Lifted")
        except CaseError as error:
            messages.warning(request, error.message)
        else:
            messages.success(request, "Mail may go to this address again.")
        return redirect("admin:outreach_suppression_change", pk)


@admin.register(SandboxMail)
class SandboxMailAdmin(CasePartAdmin):
    """What counterparties in the sandbox have got."""

    list_display = ("subject", "to", "case", "delivered_at")
    list_filter = ("delivered_at", of_client("case__client"))
    list_select_related = ("case",)
    search_fields = ("message_id",)
    search_help_text = "Message-ID, or the case's reference, id, address or name"
    fields = ("case", "delivered_at", "message_id", "to", "subject", "text")
    readonly_fields = fields
    ordering = ("-delivered_at", "-id")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[SandboxMail], search_term: str
    ) -> tuple[QuerySet[SandboxMail], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(Q(message_id=term) | Q(case__in=search.cases_known_by(term))), False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="To")
    def to(self, mail: SandboxMail) -> str:
        return ", ".join(parse(bytes(mail.raw)).to)

    @admin.display(description="Subject")
    def subject(self, mail: SandboxMail) -> str:
        return parse(bytes(mail.raw)).subject

    @admin.display(description="Text")
    def text(self, mail: SandboxMail) -> SafeString:
        return format_html('<div class="prose">{}</div>', parse(bytes(mail.raw)).text)


@admin.register(StaffNotice)
class StaffNoticeAdmin(AttentionFirst):
    """Those that could not be sent come first."""

    first, first_order = Q(state=NoticeState.FAILED), ("-created_at", "-id")
    rest_order = ("-created_at", "-id")

    list_display = ("address", "state", "about", "created_at", "sent_at", "failures", "last_error")
    list_filter = ("state", "created_at")
    list_select_related = ("question__case", "parking")
    search_fields = ("address",)
    fields = ("address", "about", "state", "note", "created_at", "sent_at", "failures", "retry_at", "last_error")
    readonly_fields = fields

    def get_ordering(self, request: HttpRequest) -> Any:
        return (Choose(When(state=NoticeState.FAILED, then=0), default=1), "-created_at")

    @admin.display(description="About")
    def about(self, notice: StaffNotice) -> SafeString:
        if notice.parking:
            return format_html(
                '<a href="{}">{} is parked</a>', notice.parking.data["page"], notice.parking.data["origin"]
            )
        url = reverse("admin:cases_inputrequest_change", args=[notice.question_id])
        return format_html('<a href="{}">{}</a>', url, notice.question)
