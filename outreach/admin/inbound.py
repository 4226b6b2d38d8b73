"""What came in, above all what waits for a person."""

import io
import uuid
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Case as Choose
from django.db.models import QuerySet, When
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.views.decorators.http import require_POST, require_safe

from cases import work
from cases.admin.access import ReadOnlyAdmin, actor, may_act
from cases.admin.files import as_file, link_to, link_to_case
from cases.errors import CaseError
from outreach.forms import HANDLING_FORMS, HandlingForm, offered
from outreach.models import InboundPayload, PayloadState


@admin.register(InboundPayload)
class InboundPayloadAdmin(ReadOnlyAdmin):
    """What waits for a person comes first. What was received is shown as plain text, or offered as a file."""

    list_display = ("received_at", "state", "sender", "subject", "beginning", "note", "in_case", "source", "last_error")
    list_filter = ("state", "source", "received_at")
    list_select_related = ("message__case", "case")
    search_fields = ("=dedupe_key", "note", "last_error", "summary__from", "summary__subject")
    search_help_text = "Sender, subject, note, error, or the provider's event id"

    def get_queryset(self, request: HttpRequest) -> QuerySet[InboundPayload]:
        return super().get_queryset(request).defer("body", "message__text", "message__full_text", "message__html")

    def get_ordering(self, request: HttpRequest) -> Any:
        order = (PayloadState.FAILED, PayloadState.QUARANTINED, PayloadState.UNMATCHED, PayloadState.WAITING)
        return (
            Choose(*(When(state=state, then=place) for place, state in enumerate(order)), default=4),
            "-received_at",
        )

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
