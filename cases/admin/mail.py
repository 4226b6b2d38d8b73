"""All mail of all cases in one list; above all what came when a case was over."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from cases import search
from cases.admin import words
from cases.admin.access import CasePartAdmin, may_see
from cases.models import Direction, Message


def found_mail(mails: QuerySet[Any], text: str) -> QuerySet[Any]:
    """Of these mails those in which it stands, those of this Message-ID, and those of the cases that it names."""
    if not text.strip():
        return mails
    cases, said = search.cases_and_mails(text)
    return mails.filter(Q(pk__in=said) | Q(case__in=cases) | Q(message_id=text.strip()))


@admin.register(Message)
class MessageAdmin(CasePartAdmin):
    """A list; the page of a mail is its place in the thread of its case."""

    list_display = ("subject_or_none", "kind", "status", "counterparty", "case", "created_at", "came_late")
    list_filter = ("is_after_end", "direction", "purpose", "status", "created_at", "case__is_test")
    list_select_related = ("case",)
    search_fields = ("subject",)
    search_help_text = "Words of a mail, address, Message-ID, or the case"
    ordering = ("-created_at", "-id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        return super().get_queryset(request).defer("text", "full_text", "html")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Message], search_term: str
    ) -> tuple[QuerySet[Message], bool]:
        return found_mail(queryset, search_term), False

    @admin.display(description="Subject", ordering="subject")
    def subject_or_none(self, message: Message) -> str:
        return message.subject or "(no subject)"

    @admin.display(description="Kind", ordering="purpose")
    def kind(self, message: Message) -> str:
        return f"{words.kind_of_mail(message)}, {message.get_direction_display()}"

    @admin.display(description="Counterparty")
    def counterparty(self, message: Message) -> str:
        return message.from_address if message.direction == Direction.IN else message.to_address

    @admin.display(description="After the end", ordering="is_after_end")
    def came_late(self, message: Message) -> str:
        return "yes" if message.is_after_end else ""

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """On to the mail's place on the page of its case."""
        if not may_see(request):
            raise PermissionDenied
        message = self.get_object(request, object_id)
        if message is None:
            raise Http404(f"There is no message {object_id}.")
        return redirect(f"{reverse('admin:cases_case_change', args=[message.case_id])}#message-{message.pk}")
