"""Cases: their list, the page of one, and what staff decide for it."""

import uuid
from functools import partial
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import F, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.views.decorators.http import require_POST

from cases import claims, work
from cases.admin import page, words
from cases.admin.access import CasePartAdmin, actor, may_act, may_see
from cases.admin.forms import ACTIONS, ActionForm, CompleteForm
from cases.errors import CaseError, InvalidResult
from cases.models import Case


class CaseHasChanged(CaseError):
    """What the person decided, they decided on a case that looked otherwise."""

    code, status = "CASE_HAS_CHANGED", 409
    message = "The case has changed since you opened the page. Nothing was done: look at it again, and decide anew."


class InTrouble(admin.SimpleListFilter):
    """Cases whose last step failed."""

    title, parameter_name = "trouble", "trouble"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Last step failed")]

    def queryset(self, request: HttpRequest, cases: QuerySet[Case]) -> QuerySet[Case]:
        return cases.filter(failures__gt=0) if self.value() == "yes" else cases


@admin.register(Case)
class CaseAdmin(CasePartAdmin):
    """Read-only, apart from the actions that the service itself knows."""

    list_display = ("reference", "with_whom", "status", "what_next", "age", "client", "is_test")
    list_filter = ("status", "is_test", InTrouble, ("client", admin.RelatedOnlyFieldListFilter))
    search_fields = ("client_reference_id", "counterparty_address", "counterparty__name")
    search_help_text = "Id, reference, address or name"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Case]:
        return page.for_staff()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Case], search_term: str
    ) -> tuple[QuerySet[Case], bool]:
        try:
            return queryset.filter(pk=uuid.UUID(search_term.strip())), False
        except ValueError:
            return super().get_search_results(request, queryset, search_term)

    @admin.display(description="Reference", ordering="client_reference_id")
    def reference(self, case: Case) -> str:
        return case.client_reference_id or str(case.pk)[:8]

    @admin.display(description="Counterparty", ordering="counterparty_address")
    def with_whom(self, case: Case) -> str:
        return f"{case.counterparty['name']} <{case.counterparty['address']}>"

    @admin.display(description="What next", ordering=F("next_action_at").asc(nulls_last=True))
    def what_next(self, case: Case) -> str:
        return words.next_step(case, timezone.now())

    @admin.display(description="Age", ordering="-created_at")
    def age(self, case: Case) -> str:
        return words.span(case.created_at, timezone.now())

    def get_urls(self) -> list[URLPattern]:
        acts = [
            path(
                f"<uuid:pk>/{name}/",
                self.admin_site.admin_view(require_POST(partial(self.act, form_class=form))),
                name=f"cases_case_{name}",
            )
            for name, form in ACTIONS.items()
        ]
        return [*acts, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The page of a case. It shows; what is done goes to `act`."""
        if not may_see(request):
            raise PermissionDenied
        return self._show(request, self._case(object_id))

    def _case(self, pk: Any) -> Case:
        try:
            return page.for_staff().get(pk=pk)
        except (Case.DoesNotExist, ValidationError) as error:  # the latter: no UUID
            raise Http404(f"There is no case {pk}.") from error

    def _show(self, request: HttpRequest, case: Case, tried: ActionForm | None = None) -> HttpResponse:
        shown = page.context(case, tried=tried, can_act=may_act(request))
        return self.page(request, "admin/cases/case/page.html", title=str(case), **shown)

    def act(self, request: HttpRequest, pk: uuid.UUID, form_class: type[ActionForm]) -> HttpResponse:
        """Carry out what the form says, or show the page again with what was typed and why nothing was done."""
        if not may_act(request):
            raise PermissionDenied
        form = form_class(self._case(pk), request.POST)
        if form.is_valid() and self._carried_out(request, form):
            messages.success(request, form.done)
            return redirect("admin:cases_case_change", pk)
        case = self._case(pk)
        form.show_again(case)
        return self._show(request, case, form)

    def _carried_out(self, request: HttpRequest, form: ActionForm) -> bool:
        try:
            with work.transaction():
                case = Case.objects.locked(form.case.pk)
                if case.version != form.cleaned_data["version"]:
                    raise CaseHasChanged
                if form.is_decision:
                    claims.check_case(case, cast(User, request.user))
                form.carry_out(case.pk, actor(request))
                self.log_change(request, case, form.title)
        except InvalidResult as error:
            assert isinstance(form, CompleteForm)  # noqa: S101 (nothing else has a result)
            form.show_errors(error)
        except CaseError as error:
            messages.warning(request, error.message)
        else:
            return True
        return False
