"""Drafts that wait for a person: their list and queue, and the page on which one is approved, changed or rejected."""

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.module_loading import import_string
from django.views.decorators.http import require_POST

from cases import claims, work
from cases.admin import difference, page, words
from cases.admin.access import actor, may_act, may_see
from cases.admin.desk import DeskAdmin, HandOverForm, settled_words, title_of, user_of
from cases.admin.difference import Piece
from cases.admin.draft_forms import DECISIONS, DraftForm
from cases.admin.filters import of_client
from cases.admin.mail import found_mail
from cases.errors import CaseError
from cases.models import Case, Draft, MessageStatus
from cases.permissions import person

JUDGED = ("draft.judged", "draft.written")  # what the timeline says of a draft before it waits


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
class DraftAdmin(DeskAdmin):
    """Those that wait, the longest waiting one on top; the others for the asking."""

    item_model, one = Draft, "draft"
    list_display = ("subject_or_none", "kind", "state", "waiting", "with_whom", "client", "decided_by", "is_test")
    list_filter = (Waiting, "purpose", "case__is_test", of_client("case__client"))
    list_select_related = ("case__client",)
    search_fields = ("subject",)
    search_help_text = "Words of the draft, or the case"
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
        return self.show(request, self.find(object_id))

    def decide(self, request: HttpRequest, pk: uuid.UUID, form_class: type[DraftForm]) -> HttpResponse:
        """Carry out what the form says, or show the page again with what was typed and why nothing was done."""
        if not may_act(request):
            raise PermissionDenied
        draft = get_object_or_404(Draft, pk=pk)
        form = form_class(draft, request.POST)
        if not (form.is_valid() and self._carried_out(request, form)):
            return self.show(request, draft, tried=form)
        messages.success(request, form.done)
        return redirect("admin:cases_draft_change", draft.pk) if form.stays else self.go_on(request, draft)

    def _carried_out(self, request: HttpRequest, form: DraftForm) -> bool:
        try:
            with work.transaction():
                Case.objects.locked(form.draft.case_id)
                claims.check(form.draft, user_of(request))
                form.carry_out(actor(request))
                self.log_change(request, form.draft, form.title)
        except CaseError as error:
            form.show_again()
            messages.warning(request, f"Nothing was done. {why_not(form.draft, error, user_of(request))}")
            return False
        return True

    def show(self, request: HttpRequest, item: Draft, *, tried: Any = None) -> HttpResponse:
        draft = item if tried is None else self.find(item.pk)  # what was tried has changed it, or another person has
        case = page.for_staff().get(pk=draft.case_id)
        draft.case = case
        claim = self.claim_context(request, draft)
        is_for_others = claim["holder"] is not None and not claim["is_mine"]
        can_decide = claim["is_open"] and may_act(request) and (tried is not None or not is_for_others)
        shown = page.context(case, also=[draft])
        if claim["is_open"]:  # it stands above the thread, with what is needed to decide on it
            shown["thread"] = [mail for mail in shown["thread"] if mail.message.pk != draft.pk]
        forms: list[Any] = [form(draft) for form in DECISIONS.values()] if can_decide else []
        if can_decide:
            forms.append(HandOverForm(user_of(request)))
        return self.page(
            request,
            "admin/cases/draft/page.html",
            **shown,
            **claim,
            title=title_of(draft),
            draft=draft,
            above=draft.pk,
            state=words.state_of_draft(draft),
            waits=words.span(draft.drafted_at or draft.created_at, timezone.now()),
            judgement=judgement_of(draft, shown["timeline"]),
            changes=changes_of(draft, shown["timeline"]),
            findings=findings_in(draft, case) if claim["is_open"] else [],
            forms=[
                {
                    "name": form.name,
                    "form": tried if tried and tried.name == form.name else form,
                    "url": self.url(form.name, draft.pk),
                    "is_open": tried is not None and tried.name == form.name,
                }
                for form in forms
            ],
            can_decide=can_decide,
            tried=tried,
            next_url=self.url("next"),
            queue_url=self.url("queue"),
        )


def changes_of(draft: Draft, timeline: page.Story) -> list[Piece]:
    """What people have changed in the agent's words; empty where nobody has, or too much has happened since."""
    edits = (event for event in timeline.events if event.type == "draft.edited")
    first = next((event for event in edits if event.data.get("messageId") == str(draft.pk)), None)
    before = first.data.get("before", "") if first else ""
    return difference.between(before, f"{draft.subject}\n\n{draft.text}") if before else []


def findings_in(draft: Draft, case: Case) -> list[str]:
    """What settings.OFFLOAD_DRAFT_CHECK finds in the words as they are now."""
    found: Callable[[Case, str], list[str]] = import_string(settings.OFFLOAD_DRAFT_CHECK)
    return found(case, f"{draft.subject}\n{draft.text}")


def judgement_of(draft: Draft, timeline: page.Story) -> tuple[str, str] | None:
    """What the second look said of it, in words, with its details."""
    written_at = draft.drafted_at or draft.created_at
    looks = [event for event in timeline.events if event.type in JUDGED and event.at <= written_at]
    return words.told(looks[-1]) if looks else None


def why_not(draft: Draft, error: CaseError, reader: User) -> str:
    """Who was faster, where somebody was; else what the error says."""
    draft.refresh_from_db()
    if draft.decided_by:
        return settled_words(draft, reader)
    if draft.status != MessageStatus.DRAFT or not draft.waits_on(draft.case):
        return "The case has moved on without this draft."
    if draft.edited_by and error.code == "DRAFT_CHANGED":
        return f"{person(draft.edited_by)} has changed the draft since you opened the page. Look at it again."
    return "; ".join(detail["message"] for detail in error.details or ()) or error.message
