"""Files that came with mail or went out with it: their list, the page of one, and their download as files.

A file's own bytes are only ever downloaded. What is shown of it are pictures and text that were made of it
(cases/previews.py).
"""

import base64
import uuid
from dataclasses import dataclass
from typing import IO, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from cases import previews, search, values
from cases.admin import words
from cases.admin.access import CasePartAdmin, may_see
from cases.admin.filters import all_words, of_client
from cases.downloads import file_name, presigned
from cases.file_kinds import FileKind, kind_of, of_kind
from cases.models import Attachment, Case, Message

MEGABYTE = 1_000_000
SIZES = {  # bytes: from, to
    "small": ("Up to 100 kB", 0, 100_000),
    "medium": ("100 kB to 1 MB", 100_000, MEGABYTE),
    "large": ("1 to 10 MB", MEGABYTE, 10 * MEGABYTE),
    "huge": ("More than 10 MB", 10 * MEGABYTE, 2**62),
}
MAX_PLACES = 3  # in a cell of the list
MAX_SHOWN_CHARS = 50_000
STAMP_SECONDS = 3600  # how long a browser may keep a stamp: what it is of never changes


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


class OfKind(admin.SimpleListFilter):
    """By what kind of thing a file is."""

    title, parameter_name = "kind", "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(value), str(label)) for value, label in FileKind.choices]

    def queryset(self, request: HttpRequest, files: QuerySet[Attachment]) -> QuerySet[Attachment]:
        wanted = self.value() or ""
        return files.filter(of_kind(FileKind(wanted))) if wanted in FileKind.values else files


class OfSize(admin.SimpleListFilter):
    """By how large a file is."""

    title, parameter_name = "size", "size"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, label) for name, (label, _, _) in SIZES.items()]

    def queryset(self, request: HttpRequest, files: QuerySet[Attachment]) -> QuerySet[Attachment]:
        if self.value() not in SIZES:
            return files
        _, least, most = SIZES[str(self.value())]
        return files.filter(size__gt=least, size__lte=most)


@dataclass(frozen=True)
class Support:
    """A value of a result that rests on a file: its place in words, the value, and the words of the file."""

    place: str
    value: Any
    quote: str


def supported_by(attachment: Attachment) -> list[Support]:
    """What of its case's result rests on the file, in the order of the sources; with `case` at hand, no query."""
    case = attachment.message.case
    sources = [source for source in case.sources or [] if isinstance(source, dict)]
    mine = [source for source in sources if source.get("source_id") == str(attachment.pk)]
    found = {entry.path: entry.value for entry in values.table(case.result)} if mine else {}
    return [
        Support(
            values.place_of(str(source.get("path", ""))) or "the whole result",
            found.get(str(source.get("path", ""))),
            str(source.get("quote", "")),
        )
        for source in mine
    ]


@admin.register(Attachment)
class AttachmentAdmin(CasePartAdmin):
    list_display = ("name", "kind", "human_size", "of_mail", "of_case", "client", "created_at", "supports")
    list_filter = (
        OfKind,
        of_client("message__case__client"),
        "message__direction",
        OfSize,
        "message__case__is_test",
        "created_at",
    )
    search_fields = ("name",)
    search_help_text = "File name, SHA-256, or the case"
    ordering = ("-created_at", "-id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Attachment]:
        rows: QuerySet[Attachment] = super().get_queryset(request).select_related("message__case__client")
        # Texts of mails and files would be most of what is loaded, for a page that shows none of them.
        return rows.defer(
            "text",
            *(f"message__{name}" for name in ("text", "full_text", "html", "references")),
            *(f"message__case__{name}" for name in ("metadata", "result_schema", "constraints")),
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Attachment], search_term: str
    ) -> tuple[QuerySet[Attachment], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        found = all_words("name", term) | Q(sha256=term.lower())
        mails = Message.objects.filter(case__in=search.cases_known_by(term)).order_by().values("pk")
        return queryset.filter(found | Q(message__in=mails)), False

    @admin.display(description="Kind", ordering="type")
    def kind(self, attachment: Attachment) -> str:
        return str(kind_of(attachment.type).label)

    @admin.display(description="Size", ordering="size")
    def human_size(self, attachment: Attachment) -> str:
        return filesizeformat(attachment.size).replace("\xa0", " ")

    @admin.display(description="Mail")
    def of_mail(self, attachment: Attachment) -> SafeString:
        message = attachment.message
        whose = "our" if message.direction == "OUT" else "their"
        url = reverse("admin:cases_case_change", args=[message.case_id])
        kind = words.kind_of_mail(message).lower()
        return format_html('<a href="{}#message-{}">{} {}</a>', url, message.pk, whose, kind)

    @admin.display(description="Case")
    def of_case(self, attachment: Attachment) -> SafeString:
        case = attachment.message.case
        reference = case.client_reference_id or str(case.pk)[:8]
        url = reverse("admin:cases_case_change", args=[case.pk])
        return format_html('<a href="{}"><bdi>{}</bdi></a>', url, reference)

    @admin.display(description="Client")
    def client(self, attachment: Attachment) -> str:
        return str(attachment.message.case.client)

    @admin.display(description="Supports")
    def supports(self, attachment: Attachment) -> str:
        places = list(dict.fromkeys(support.place for support in supported_by(attachment)))
        more = f" and {len(places) - MAX_PLACES} more" if len(places) > MAX_PLACES else ""
        return ", ".join(places[:MAX_PLACES]) + more or "–"

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        stamp = site.admin_view(require_safe(self.stamp), cacheable=True)
        return [
            path("<uuid:pk>/download/", site.admin_view(require_safe(self.download)), name="cases_attachment_download"),
            path("<uuid:pk>/look/", site.admin_view(require_safe(self.look)), name="cases_attachment_look"),
            path("<uuid:pk>/stamp/", stamp, name="cases_attachment_stamp"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The page of a file. Pictures and text come after it (`look`): they may take seconds."""
        if not may_see(request) or request.method == "POST":
            raise PermissionDenied
        attachment = self.get_object(request, object_id)
        if attachment is None:
            raise Http404(f"There is no file {object_id}.")
        return self._show(request, attachment)

    def _show(self, request: HttpRequest, attachment: Attachment, **context: Any) -> HttpResponse:
        return self.page(
            request,
            "admin/cases/attachment/page.html",
            title=attachment.name,
            file=attachment,
            case=attachment.message.case,
            message=attachment.message,
            kind=kind_of(attachment.type).label,
            mail_kind=words.kind_of_mail(attachment.message),
            supports=supported_by(attachment),
            **context,
        )

    def look(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """What the file looks like and what it says: a part of the page, or for browsers without scripts all of it."""
        if not may_see(request):
            raise PermissionDenied
        attachment = get_object_or_404(self.get_queryset(request).defer(None), pk=pk)
        seen = look_at(attachment)
        if request.headers.get("HX-Request"):
            return self.page(request, "admin/cases/attachment/_look.html", file=attachment, look=seen)
        return self._show(request, attachment, look=seen)

    def stamp(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponseBase:
        """A small picture of the file, drawn anew; the icon of its kind where there is none."""
        if not may_see(request):
            raise PermissionDenied
        attachment = get_object_or_404(Attachment.objects.defer("text"), pk=pk)
        picture = previews.stamp(attachment)
        if not picture:
            return redirect(previews.icon_of(attachment))
        headers = {
            "Cache-Control": f"private, max-age={STAMP_SECONDS}",
            "Content-Security-Policy": "sandbox; default-src 'none'",
            "X-Content-Type-Options": "nosniff",
        }
        return HttpResponse(picture, content_type="image/webp", headers=headers)

    def download(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponseBase:
        """The file: by a link of the storage where it has some, which is good for minutes; else streamed from here."""
        if not may_see(request):
            raise PermissionDenied
        attachment = get_object_or_404(Attachment.objects.defer("text"), pk=pk)
        if url := presigned(attachment):
            return redirect(url)
        try:
            content = attachment.file.open("rb")
        except FileNotFoundError:
            messages.error(request, f"The file “{attachment.name}” is not in the storage any more.")
            return redirect("admin:cases_attachment_changelist")
        return as_file(content, file_name(attachment))


@dataclass(frozen=True)
class Seen:
    """What the page shows of a file: `pages` as data: URLs of pictures, `text`, and what is missing of each."""

    pages: list[str]
    count: int
    pictures_note: str
    text: str
    text_note: str
    text_is_cut: bool


def look_at(attachment: Attachment) -> Seen:
    """Draw and read it. Takes seconds."""
    try:
        content = previews.load(attachment)
    except previews.NotLoaded as error:
        text, is_cut = _cut(attachment.text)
        return Seen([], 0, str(error), text, attachment.note, is_cut)
    look = previews.pictures(attachment, content)
    whole, note = previews.text_of(attachment, content)
    text, is_cut = _cut(whole)
    pages = [f"data:image/webp;base64,{base64.b64encode(page).decode()}" for page in look.pages] if look else []
    return Seen(pages, look.count if look else 0, look.note if look else "", text, note, is_cut)


def _cut(text: str) -> tuple[str, bool]:
    return text[:MAX_SHOWN_CHARS], len(text) > MAX_SHOWN_CHARS
