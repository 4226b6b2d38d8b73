"""Drafts that wait for a person: their list, and the page on which one is approved, changed or rejected."""

import uuid
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.views.decorators.http import require_POST

from cases import work
from cases.admin import page, words
from cases.admin.access import CasePartAdmin, actor, may_act, may_see
from cases.admin.draft_forms import DECISIONS, DraftForm
from cases.admin.filters import of_client
from cases.admin.mail import found_mail
from cases.errors import CaseError
from cases.models import Draft, Event, MessageStatus

JUDGED = ("draft.judged", "draft.written")  # what the timeline says of a draft before it waits


def next_waiting(after: Draft) -> Draft | None:
    """The draft that has waited longest, apart from this one."""
    waiting: QuerySet[Draft] = Draft.objects.waiting().exclude(pk=after.pk)
    return waiting.order_by("drafted_at", "id").first()


class Waiting(admin.SimpleListFilter):
    """Whether a draft can still be decided on."""

    title, parameter_name = "state", "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("settled", "Settled"), ("all", "All")]

    def choices(self, changelist: Any) -> Any:
        shown = [(None, "Waits for approval"), *self.lookup_choices]
        for value, title in shown:
            query = changelist.get_query_string({self.parameter_name: value} if value else {}, [self.parameter_name])
            yield {"selected": self.value() == value, "query_string": query, "display": title}

    def queryset(self, request: HttpRequest, drafts: QuerySet[Draft]) -> QuerySet[Draft]:
        waiting = Draft.objects.waiting().values("pk")
        if self.value() == "all":
            return drafts
        return drafts.exclude(pk__in=waiting) if self.value() == "settled" else drafts.filter(pk__in=waiting)


@admin.register(Draft)
class DraftAdmin(CasePartAdmin):
    """Those that wait, the longest waiting one on top; the others for the asking."""

    list_display = ("subject_or_none", "kind", "state", "waiting", "with_whom", "client", "decided_by", "is_test")
    list_filter = (Waiting, "purpose", "case__is_test", of_client("case__client"))
    list_select_related = ("case__client",)
    search_fields = ("subject",)
    search_help_text = "Words of the draft, or the case's reference, id, address or name"
    ordering = ("drafted_at", "id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Draft]:
        return super().get_queryset(request).defer("full_text", "html")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Draft], search_term: str
    ) -> tuple[QuerySet[Draft], bool]:
        return found_mail(queryset, search_term), False

    @admin.display(description="Subject", ordering="subject")
    def subject_or_none(self, draft: Draft) -> str:
        return draft.subject or "(no subject)"

    @admin.display(description="Kind", ordering="purpose")
    def kind(self, draft: Draft) -> str:
        return words.kind_of_mail(draft)

    @admin.display(description="State")
    def state(self, draft: Draft) -> str:
        return words.state_of_draft(draft)

    @admin.display(description="Written", ordering="drafted_at")
    def waiting(self, draft: Draft) -> str:
        return f"{words.span(draft.drafted_at or draft.created_at, timezone.now())} ago"

    @admin.display(description="Counterparty", ordering="case__counterparty_address")
    def with_whom(self, draft: Draft) -> str:
        return str(draft.case.counterparty["name"])

    @admin.display(description="Client", ordering="case__client__name")
    def client(self, draft: Draft) -> str:
        return draft.case.client.name

    @admin.display(description="Test", boolean=True, ordering="case__is_test")
    def is_test(self, draft: Draft) -> bool:
        return draft.case.is_test

    def get_urls(self) -> list[URLPattern]:
        decisions = [
            path(
                f"<uuid:pk>/{name}/",
                self.admin_site.admin_view(require_POST(partial(self.decide, form_class=form))),
                name=f"cases_draft_{name}",
            )
            for name, form in DECISIONS.items()
        ]
        return [*decisions, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The page of a draft: the thread, and the mail as it will be sent. What is decided goes to `decide`."""
        if not may_see(request):
            raise PermissionDenied
        draft = self.get_object(request, object_id)
        if draft is None:
            raise Http404(f"There is no draft {object_id}.")
        return self._show(request, draft)

    def decide(self, request: HttpRequest, pk: uuid.UUID, form_class: type[DraftForm]) -> HttpResponse:
        """Carry out what the form says, or show the page again with what was typed and why nothing was done."""
        if not may_act(request):
            raise PermissionDenied
        draft = get_object_or_404(Draft, pk=pk)
        form = form_class(draft, request.POST)
        if not (form.is_valid() and self._carried_out(request, form)):
            return self._show(request, draft, form)
        messages.success(request, form.done)
        following = draft if form.stays else next_waiting(draft)
        if following is None:
            return redirect("admin:cases_draft_changelist")
        return redirect("admin:cases_draft_change", following.pk)

    def _carried_out(self, request: HttpRequest, form: DraftForm) -> bool:
        try:
            with work.transaction():
                form.carry_out(actor(request))
                self.log_change(request, form.draft, form.title)
        except CaseError as error:
            form.show_again()
            messages.warning(request, f"Nothing was done. {why_not(form.draft, error)}")
            return False
        return True

    def _show(self, request: HttpRequest, draft: Draft, tried: DraftForm | None = None) -> HttpResponse:
        draft = Draft.objects.select_related("case").get(pk=draft.pk)
        is_waiting = draft.waits_on(draft.case)
        case = page.for_staff().get(pk=draft.case_id)
        forms = [form(draft) for form in DECISIONS.values()] if is_waiting and may_act(request) else []
        return self.page(
            request,
            "admin/cases/draft/page.html",
            title="Draft",
            draft=draft,
            state=words.state_of_draft(draft),
            judgement=judgement_of(draft),
            forms=[tried if tried and tried.name == form.name else form for form in forms],
            tried=tried,
            following=next_waiting(draft),
            **page.context(case, can_act=may_act(request)),
        )


def judgement_of(draft: Draft) -> tuple[str, str] | None:
    """What the second look said of it, in words, with its details."""
    lines = Event.objects.filter(case_id=draft.case_id, type__in=JUDGED, at__lte=draft.drafted_at)
    last = lines.order_by("-at", "-id").first()
    return words.told(last) if last else None


def why_not(draft: Draft, error: CaseError) -> str:
    """Who was faster, where somebody was; else what the error says."""
    draft.refresh_from_db()
    if draft.decided_by:
        return f"Someone was faster: {draft.decided_by} has {'rejected' if draft.rejection else 'approved'} this draft."
    if draft.status != MessageStatus.DRAFT or not draft.waits_on(draft.case):
        return "The case has moved on without this draft."
    if draft.edited_by and error.code == "DRAFT_CHANGED":
        return f"{draft.edited_by} has changed the draft since you opened the page. Look at it again."
    return "; ".join(detail["message"] for detail in error.details or ()) or error.message
