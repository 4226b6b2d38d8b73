"""Questions that only a person can decide: their list, and the page on which one is answered."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from cases import search, services, work
from cases.admin import page, words
from cases.admin.access import CasePartAdmin, actor, may_act, may_see
from cases.admin.attention import AttentionFirst
from cases.admin.filters import all_words, of_client
from cases.admin.forms import AnswerForm
from cases.admin.lists import Overdue
from cases.errors import CaseError
from cases.models import InputRequest, RequestStatus

PENDING = models.Q(status=RequestStatus.PENDING)


def next_open(after: InputRequest) -> InputRequest | None:
    """The open question asked next after this one; after the last, the one that has waited longest."""
    others = InputRequest.objects.filter(PENDING).exclude(pk=after.pk).order_by("requested_at", "id")
    return others.filter(requested_at__gte=after.requested_at).first() or others.first()


@admin.register(InputRequest)
class QuestionAdmin(AttentionFirst, CasePartAdmin):
    """Open questions first, the longest waiting one on top; then the others, newest first."""

    first, first_order, rest_order = PENDING, ("requested_at", "id"), ("-requested_at", "-id")

    list_display = ("asked", "status", "waiting", "with_whom", "client", "answered_by", "is_test")
    list_filter = ("status", Overdue, "case__is_test", of_client("case__client"))
    list_select_related = ("case__client",)
    search_fields = ("question",)
    search_help_text = "Question, or the case's reference, address or name"

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
        line = " ".join(question.question.split())
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

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The page of a question: all that is needed to answer it. A POST is an answer."""
        question = self.get_object(request, object_id)
        if question is None:
            raise Http404(f"There is no question {object_id}.")
        if not (may_act if request.method == "POST" else may_see)(request):
            raise PermissionDenied
        form = AnswerForm(request.POST if request.method == "POST" else None)
        if form.is_valid() and self._answered(request, question, form.cleaned_data["provided_context"]):
            following = next_open(question)
            if following is None:
                messages.success(request, "The answer is stored. No other question is open.")
                return redirect("admin:cases_inputrequest_changelist")
            messages.success(request, "The answer is stored. This is the next open question.")
            return redirect("admin:cases_inputrequest_change", following.pk)
        return self._show(request, question, form)

    def _answered(self, request: HttpRequest, question: InputRequest, answer: str) -> bool:
        try:
            with work.transaction():
                services.provide_input(
                    case_id=question.case_id,
                    input_request_id=question.pk,
                    provided_context=answer,
                    actor=actor(request),
                )
                self.log_change(request, question, "Answered")
        except CaseError as error:
            messages.warning(request, f"Your answer was not stored. {self._why_not(question, error)}")
            return False
        return True

    def _why_not(self, question: InputRequest, error: CaseError) -> str:
        question.refresh_from_db()
        if question.status == RequestStatus.RESOLVED:
            return f"Someone was faster: {question.answered_by} has answered this question."
        if question.status == RequestStatus.SUPERSEDED:
            return "A later question has taken this one's place."
        if question.status == RequestStatus.CLOSED:
            return "The case has gone on without an answer, or has ended."
        return error.message

    def _show(self, request: HttpRequest, question: InputRequest, form: AnswerForm) -> HttpResponse:
        question.refresh_from_db()
        shown = page.context(page.for_staff().get(pk=question.case_id), can_act=may_act(request))
        return self.page(
            request,
            "admin/cases/inputrequest/page.html",
            title="Question",
            question=question,
            form=form,
            following=next_open(question),
            **shown,
        )
