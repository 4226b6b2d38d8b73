"""Questions that only a person can decide: their list and queue, and the page on which one is decided."""

import uuid
from collections.abc import Callable, Mapping
from copy import copy
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.module_loading import import_string
from django.views.decorators.http import require_POST

from cases import claims, consequences, search, services, work
from cases.admin import page, words
from cases.admin.access import actor, may_act, may_see
from cases.admin.attention import AttentionFirst
from cases.admin.cases import SURE, CaseHasChanged, is_sound
from cases.admin.desk import DeskAdmin, HandOverForm, title_of, user_of, why_settled
from cases.admin.filters import all_words, of_client
from cases.admin.forms import ActionForm, AnswerForm, CompleteForm, FailForm, ReplyForm, WaitForm
from cases.admin.lists import Overdue
from cases.errors import CaseError, InvalidResult
from cases.models import Case, InputRequest, RequestStatus

PENDING = models.Q(status=RequestStatus.PENDING)
CHOICES: dict[str, type[ActionForm]] = {form.name: form for form in (ReplyForm, CompleteForm, FailForm, WaitForm)}
KEYS = {"answer": "a", "reply": "r", "complete": "e"}  # on the keyboard


@admin.register(InputRequest)
class QuestionAdmin(AttentionFirst, DeskAdmin):
    """Open questions first, the longest waiting one on top; then the others, newest first."""

    first, first_order, rest_order = PENDING, ("requested_at", "id"), ("-requested_at", "-id")
    item_model, one = InputRequest, "question"

    list_display = ("asked", "status", "waiting", "with_whom", "client", "answered_by", "is_test")
    list_filter = ("status", Overdue, "case__is_test", of_client("case__client"))
    list_select_related = ("case__client",)
    search_fields = ("question",)
    search_help_text = "Words of the question, or the case"

    def get_ordering(self, request: HttpRequest) -> Any:
        is_settled = models.Case(models.When(PENDING, then=0), default=1)
        open_since = models.Case(models.When(PENDING, then="requested_at"))
        return (is_settled.asc(), open_since.asc(), "-requested_at")

    def get_search_results(
        self, request: HttpRequest, queryset: models.QuerySet[InputRequest], search_term: str
    ) -> tuple[models.QuerySet[InputRequest], bool]:
        if not search_term.strip():
            return queryset, False
        of_cases = models.Q(case__in=search.cases_known_by(search_term))
        return queryset.filter(all_words("question", search_term) | of_cases), False

    @admin.display(description="Question", ordering="question")
    def asked(self, question: InputRequest) -> str:
        line = words.in_one_line(question.question)
        return line if len(line) <= 100 else f"{line[:99]}…"

    @admin.display(description="Asked", ordering="requested_at")
    def waiting(self, question: InputRequest) -> str:
        return f"{words.span(question.requested_at, timezone.now())} ago"

    @admin.display(description="Counterparty", ordering="case__counterparty_address")
    def with_whom(self, question: InputRequest) -> str:
        return str(question.case.counterparty["name"])

    @admin.display(description="Client", ordering="case__client__name")
    def client(self, question: InputRequest) -> str:
        return question.case.client.name

    @admin.display(description="Test", boolean=True, ordering="case__is_test")
    def is_test(self, question: InputRequest) -> bool:
        return question.case.is_test

    def get_urls(self) -> list[URLPattern]:
        choices = [
            path(
                f"<uuid:pk>/{name}/",
                self.admin_site.admin_view(require_POST(partial(self.decide, form_class=form))),
                name=self.url_name(name),
            )
            for name, form in CHOICES.items()
        ]
        return [*choices, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The page of a question: all that is needed to decide. A POST is an answer."""
        question = self.find(object_id)
        if not (may_act if request.method == "POST" else may_see)(request):
            raise PermissionDenied
        if request.method != "POST":
            return self.show(request, question)
        form = AnswerForm(request.POST)
        if "look" in request.POST:
            return self.show(request, question, tried=form)
        if form.is_valid() and self._answered_with(request, question, form.cleaned_data["provided_context"]):
            messages.success(request, "The answer is stored.")
            return self.go_on(request, question)
        return self.show(request, question, tried=form)

    def _answered_with(self, request: HttpRequest, question: InputRequest, answer: str) -> bool:
        try:
            with work.transaction():
                Case.objects.locked(question.case_id)
                claims.check(question, user_of(request))
                services.provide_input(
                    case_id=question.case_id,
                    input_request_id=question.pk,
                    provided_context=answer,
                    actor=actor(request),
                )
                self.log_change(request, question, "Answered")
        except CaseError as error:
            messages.warning(request, f"Your answer was not stored. {self._why_not(request, question, error)}")
            return False
        return True

    def decide(self, request: HttpRequest, pk: uuid.UUID, form_class: type[ActionForm]) -> HttpResponse:
        """Carry out another choice than an answer, or show the page again with what was typed and why not.

        As on the page of a case, an end is carried out once the person has seen what follows from it, and is SURE.
        """
        if not may_act(request):
            raise PermissionDenied
        question = get_object_or_404(InputRequest.objects.select_related("case__client"), pk=pk)
        form = self._choice(form_class, question.case, question, request.POST)
        if form.is_valid() and is_sound(form):
            if question.is_pending and form.name in consequences.TOLD and SURE not in request.POST:
                form.case = page.for_staff().get(pk=question.case_id)  # the consequences are told of it
                return self.show(request, question, tried=form, asks=True)
            if self._carried_out(request, question, form):
                messages.success(request, form.done)
                return self.go_on(request, question)
        return self.show(request, question, tried=form)

    def _carried_out(self, request: HttpRequest, question: InputRequest, form: ActionForm) -> bool:
        try:
            with work.transaction():
                case = Case.objects.locked(question.case_id)
                claims.check(question, user_of(request))
                if case.version != form.cleaned_data["version"]:
                    raise CaseHasChanged
                form.carry_out(case.pk, actor(request))
                self.log_change(request, question, form.title)
        except InvalidResult as error:
            assert isinstance(form, CompleteForm)  # noqa: S101 (nothing else has a result)
            form.show_errors(error)
        except CaseError as error:
            messages.warning(request, f"Nothing was done. {self._why_not(request, question, error)}")
        else:
            return True
        return False

    def _why_not(self, request: HttpRequest, question: InputRequest, error: CaseError) -> str:
        question.refresh_from_db()
        return why_settled(question, user_of(request)) or error.message

    # --- The page ---

    def show(self, request: HttpRequest, item: InputRequest, *, tried: Any = None, asks: bool = False) -> HttpResponse:
        question = item if tried is None else self.find(item.pk)  # what was tried has changed it, or another person has
        case = page.for_staff().get(pk=question.case_id)
        question.case = case
        shown = page.context(case)
        claim = self.claim_context(request, question)
        if asks:
            shown["confirmation"] = page.Confirmation.of(tried, request.POST)
        elif isinstance(tried, ActionForm):
            tried.show_again(case)
        is_for_others = claim["holder"] is not None and not claim["is_mine"]
        can_decide = question.is_pending and may_act(request) and (tried is not None or not is_for_others)
        proposal = question.proposal or {}
        found = values_found(case, proposal, shown)
        return self.page(
            request,
            "admin/cases/inputrequest/page.html",
            **shown,
            **claim,
            title=title_of(question),
            question=question,
            waits=words.span(question.requested_at, timezone.now()),
            tried=tried,
            can_decide=can_decide,
            choices=self._choices(request, case, question, tried, found) if can_decide else [],
            proposal=proposal,
            found=found,
            goes_out_literally=goes_out_literally(question, shown),
            is_looked_at="look" in request.POST,
            answer_preview=answer_preview(question, tried) if "look" in request.POST else None,
            next_url=self.url("next"),
            queue_url=self.url("queue"),
        )

    def _choices(
        self, request: HttpRequest, case: Case, question: InputRequest, tried: Any, found: list[page.Value]
    ) -> list[dict[str, Any]]:
        """All that can be done about the question: forms with their addresses, the answer first."""
        quotes = {value.entry.path: value.origins for value in found if value.origins}
        forms: list[Any] = [AnswerForm()]
        forms += [
            self._choice(form, case, question, None, quotes) for form in CHOICES.values() if form.applies_to(case)
        ]
        forms.append(HandOverForm(user_of(request)))
        chosen = tried.name if tried is not None else "answer"
        return [
            {
                "name": form.name,
                "form": tried if tried is not None and tried.name == form.name else form,
                "url": self.url("change" if form.name == "answer" else form.name, question.pk),
                "is_open": form.name == chosen,
                "key": KEYS.get(form.name, ""),
            }
            for form in forms
        ]

    def _choice(
        self,
        form_class: type[ActionForm],
        case: Case,
        question: InputRequest,
        data: Any,
        quotes: Mapping[str, list[Any]] | None = None,
    ) -> ActionForm:
        if form_class is ReplyForm:
            return ReplyForm(case, data, proposal=question.proposal, must_look=True)
        if form_class is CompleteForm:
            return CompleteForm(case, data, proposal=question.proposal, quotes=quotes)
        return form_class(case, data)


def values_found(case: Case, proposal: Mapping[str, Any], shown: Mapping[str, Any]) -> list[page.Value]:
    """The values that the agent has found so far, with their sources, as those of a result are shown."""
    found = copy(case)  # never saved
    found.result, found.sources = proposal.get("values"), proposal.get("sources")
    return page.result_values(found, [mail.message for mail in shown["thread"]], shown["questions"])


def goes_out_literally(question: InputRequest, shown: Mapping[str, Any]) -> bool:
    """Whether the answer stands in the next mail word for word, as where no model writes it."""
    agents = [event.data["agent"] for event, *_ in shown["timeline"] if event.data.get("agent")]
    return not question.is_operational and agents[-1:] == ["form"]


def answer_preview(question: InputRequest, tried: Any) -> dict[str, Any] | None:
    """The mail into which the answer that was typed goes word for word; see settings.OFFLOAD_ANSWER_PREVIEW."""
    if not isinstance(tried, AnswerForm) or not tried.is_valid():
        return None
    show: Callable[[InputRequest, str], dict[str, Any] | None] = import_string(settings.OFFLOAD_ANSWER_PREVIEW)
    return show(question, tried.cleaned_data["provided_context"])
