"""Files that came with mail: their list, and their download as files and nothing else."""

import uuid
from typing import IO, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from cases import search
from cases.admin.access import CasePartAdmin, may_see
from cases.admin.filters import all_words, one_of
from cases.downloads import file_name
from cases.models import Attachment, Case, Message


def link_to(message: Message) -> SafeString:
    """A link to the mail's place in the thread of its case."""
    url = reverse("admin:cases_case_change", args=[message.case_id])
    return format_html('<a href="{}#message-{}"><bdi>{}</bdi></a>', url, message.pk, message.case)


def link_to_case(case: Case) -> SafeString:
    """A link to the page of a case."""
    return format_html('<a href="{}"><bdi>{}</bdi></a>', reverse("admin:cases_case_change", args=[case.pk]), case)


def as_file(content: IO[bytes], name: str) -> FileResponse:
    """The content for saving under that name. Whatever it is, no browser shows or runs it as a page of ours."""
    return FileResponse(
        content,
        as_attachment=True,
        filename=name,
        content_type="application/octet-stream",
        headers={"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"},
    )


KINDS = [  # beginnings of MIME types
    ("application/pdf", "PDF"),
    ("image/", "Pictures"),
    ("text/", "Text"),
    ("application/vnd.", "Office documents"),
    ("application/zip", "Archives"),
    ("message/", "Mail"),
]


@admin.register(Attachment)
class AttachmentAdmin(CasePartAdmin):
    list_display = ("download_link", "type", "human_size", "sha256", "case_link", "created_at")
    list_display_links = None
    list_filter = ("created_at", one_of("type__startswith", "kind", KINDS))
    list_select_related = ("message__case",)
    search_fields = ("name",)
    search_help_text = "File name, SHA-256, or the case's reference, id, address or name"
    ordering = ("-created_at", "-id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Attachment]:
        return super().get_queryset(request).defer("text", "message__text", "message__full_text", "message__html")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Attachment], search_term: str
    ) -> tuple[QuerySet[Attachment], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        found = all_words("name", term) | Q(sha256=term.lower())
        mails = Message.objects.filter(case__in=search.cases_known_by(term)).order_by().values("pk")
        return queryset.filter(found | Q(message__in=mails)), False

    @admin.display(description="Name", ordering="name")
    def download_link(self, attachment: Attachment) -> SafeString:
        url = reverse("admin:cases_attachment_download", args=[attachment.pk])
        return format_html('<a href="{}"><bdi>{}</bdi></a>', url, attachment.name)

    @admin.display(description="Size", ordering="size")
    def human_size(self, attachment: Attachment) -> str:
        return filesizeformat(attachment.size).replace("\xa0", " ")

    @admin.display(description="Case")
    def case_link(self, attachment: Attachment) -> SafeString:
        return link_to(attachment.message)

    def get_urls(self) -> list[URLPattern]:
        download = self.admin_site.admin_view(require_safe(self.download))
        return [path("<uuid:pk>/download/", download, name="cases_attachment_download"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """There is nothing more to see of a file than its line in the list."""
        return redirect("admin:cases_attachment_changelist")

    def download(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponseBase:
        """The file, streamed from the storage."""
        if not may_see(request):
            raise PermissionDenied
        attachment = get_object_or_404(Attachment, pk=pk)
        try:
            content = attachment.file.open("rb")
        except FileNotFoundError:
            messages.error(request, f"The file “{attachment.name}” is not in the storage any more.")
            return redirect("admin:cases_attachment_changelist")
        return as_file(content, file_name(attachment))
