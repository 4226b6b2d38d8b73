"""What came in and could not be placed, the sandbox's mailboxes, and the notices to staff. All of it read-only."""

import io
import uuid
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Case as Choose
from django.db.models import QuerySet, When
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from cases.admin.access import CasePartAdmin, ReadOnlyAdmin
from cases.admin.files import as_file, link_to
from outreach.inbound.mail import parse
from outreach.models import InboundPayload, NoticeState, PayloadState, SandboxMail, StaffNotice


@admin.register(InboundPayload)
class InboundPayloadAdmin(ReadOnlyAdmin):
    """What nobody could place comes first. What was received is offered as a file and never shown."""

    list_display = ("received_at", "source", "state", "note", "in_case", "last_error", "raw_mail")
    list_filter = ("state", "source", "received_at")
    list_select_related = ("message__case",)
    search_fields = ("=dedupe_key", "note", "last_error")
    search_help_text = "Note, error, or the provider's event id"
    fields = (
        "source",
        "dedupe_key",
        "received_at",
        "state",
        "note",
        "in_case",
        "failures",
        "lost_leases",
        "last_error",
        "try_again_at",
        "retry_at",
        "raw_mail",
    )
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[InboundPayload]:
        return super().get_queryset(request).defer("body", "message__text", "message__full_text", "message__html")

    def get_ordering(self, request: HttpRequest) -> Any:
        order = (PayloadState.FAILED, PayloadState.UNMATCHED, PayloadState.WAITING)
        return (
            Choose(*(When(state=state, then=place) for place, state in enumerate(order)), default=3),
            "-received_at",
        )

    @admin.display(description="Case")
    def in_case(self, payload: InboundPayload) -> SafeString | str:
        return link_to(payload.message) if payload.message else "–"

    @admin.display(description="As received")
    def raw_mail(self, payload: InboundPayload) -> SafeString:
        return format_html(
            '<a href="{}">Download</a>', reverse("admin:outreach_inboundpayload_download", args=[payload.pk])
        )

    def get_urls(self) -> list[URLPattern]:
        download = self.admin_site.admin_view(require_safe(self.download))
        return [path("<uuid:pk>/download/", download, name="outreach_inboundpayload_download"), *super().get_urls()]

    def download(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponseBase:
        """The bytes as they came in."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        payload = get_object_or_404(InboundPayload, pk=pk)
        return as_file(io.BytesIO(payload.body), f"{payload.pk}.eml")


@admin.register(SandboxMail)
class SandboxMailAdmin(CasePartAdmin):
    """What counterparties in the sandbox have got."""

    list_display = ("subject", "to", "case", "delivered_at")
    list_filter = ("delivered_at", ("case__client", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("case",)
    search_fields = ("=message_id", "case__counterparty_address", "case__client_reference_id")
    search_help_text = "Message-ID, or the case's reference or address"
    fields = ("case", "delivered_at", "message_id", "to", "subject", "text")
    readonly_fields = fields
    ordering = ("-delivered_at", "-id")

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
class StaffNoticeAdmin(ReadOnlyAdmin):
    """Those that could not be sent come first."""

    list_display = ("address", "state", "about", "created_at", "sent_at", "failures", "last_error")
    list_filter = ("state", "created_at")
    list_select_related = ("question__case",)
    search_fields = ("address",)
    fields = ("address", "about", "state", "note", "created_at", "sent_at", "failures", "retry_at", "last_error")
    readonly_fields = fields

    def get_ordering(self, request: HttpRequest) -> Any:
        return (Choose(When(state=NoticeState.FAILED, then=0), default=1), "-created_at")

    @admin.display(description="Question")
    def about(self, notice: StaffNotice) -> SafeString:
        url = reverse("admin:cases_inputrequest_change", args=[notice.question_id])
        return format_html('<a href="{}">{}</a>', url, notice.question)
