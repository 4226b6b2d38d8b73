"""Cases: their list, the page of one, and what staff decide for it."""

import io
import json
import uuid
from functools import partial
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import F, QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST, require_safe

from cases import claims, consequences, result_schema, search, work
from cases.admin import page, words
from cases.admin.access import CasePartAdmin, actor, may_act, may_see
from cases.admin.case_list import CaseList, badge, listed_cases, place
from cases.admin.files import as_file
from cases.admin.filters import CreatedWithin, InWords, OfTests, WaitsForStaff, of_client
from cases.admin.forms import ACTIONS, ActionForm, CompleteForm
from cases.admin.lists import Trouble
from cases.admin.saved_filters import SavedFilters
from cases.errors import CaseError, InvalidResult
from cases.models import Case

SURE = "sure"  # what the button is called by which a person confirms


class CaseHasChanged(CaseError):
    """What the person decided, they decided on a case that looked otherwise."""

    code, status = "CASE_HAS_CHANGED", 409
    message = "The case has changed since you opened the page. Nothing was done: look at it again, and decide anew."


@admin.register(Case)
class CaseAdmin(SavedFilters, CasePartAdmin):
    """Read-only, apart from the actions that the service itself knows."""

    list_display = ("reference", "with_whom", "state", "what_next", "age", "client", "test")
    list_filter = (("status", InWords), WaitsForStaff, Trouble, ("is_test", OfTests), of_client(), CreatedWithin)
    search_fields = ("client_reference_id",)  # that there is a search: `search` says what is looked through
    search_help_text = "Reference, id, address, name, words"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Case]:
        return listed_cases()

    @admin.display(description="Test", boolean=True, ordering="is_test")
    def test(self, case: Case) -> bool:
        return case.is_test

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[CaseList]:
        return CaseList

    def get_list_display(self, request: HttpRequest) -> Any:
        columns = super().get_list_display(request)
        return (*columns, "found_in") if request.GET.get("q", "").strip() else columns

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Case], search_term: str
    ) -> tuple[QuerySet[Case], bool]:
        if not search_term.strip():
            return queryset, False
        found = search.look_for(search_term)
        request.found_cases = found  # type: ignore[attr-defined]  # for CaseList
        return queryset.filter(pk__in=list(found.places)), False

    @admin.display(description="Status", ordering="status")
    def state(self, case: Case) -> SafeString:
        return badge(case)

    @admin.display(description="Found in")
    def found_in(self, case: Case) -> SafeString | str:
        return place(case)

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
        files = [
            path(f"<uuid:pk>/{route}", self.admin_site.admin_view(require_safe(view)), name=f"cases_case_{name}")
            for name, route, view in (
                ("result", "result.json", self.result),
                ("schema", "result-schema.json", self.result_schema),
                ("original", "mail/<uuid:message_pk>/original", self.original),
            )
        ]
        return [*acts, *files, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The page of a case. It shows; what is done goes to `act`."""
        if not may_see(request):
            raise PermissionDenied
        return self._show(request, self._case(object_id))

    def _case(self, pk: Any) -> Case:
        try:
            return page.for_staff().select_related("client", "reopened_as").get(pk=pk)
        except (Case.DoesNotExist, ValidationError) as error:  # the latter: no UUID
            raise Http404(f"There is no case {pk}.") from error

    def _show(
        self, request: HttpRequest, case: Case, tried: ActionForm | None = None, *, asks: bool = False
    ) -> HttpResponse:
        shown = page.context(case, tried=tried, can_act=may_act(request), chosen=request.GET.get("show", ""))
        if asks and tried is not None:
            shown["confirmation"] = page.Confirmation.of(tried, request.POST)
        return self.page(request, "admin/cases/case/page.html", title=str(case), **shown)

    def result(self, request: HttpRequest, pk: uuid.UUID) -> FileResponse:
        """The result as a file of JSON."""
        case = self._seen(request, pk)
        if not case.has_result:
            raise Http404(f"The case {pk} has no result.")
        return _as_json(case.result, f"result-{case.pk}.json")

    def result_schema(self, request: HttpRequest, pk: uuid.UUID) -> FileResponse:
        """The resultSchema as a file, as the client has given it."""
        case = self._seen(request, pk)
        if case.result_schema is None:
            raise Http404(f"The case {pk} has no resultSchema.")
        return _as_json(case.result_schema, f"result-schema-{case.pk}.json")

    def original(self, request: HttpRequest, pk: uuid.UUID, message_pk: uuid.UUID) -> FileResponse:
        """A mail of the case byte for byte."""
        self._seen(request, pk)
        found = page.original_of(pk, message_pk)
        if found is None:
            raise Http404(f"Of the mail {message_pk} nothing else is kept than its page shows.")
        return as_file(io.BytesIO(found[0]), found[1])

    def _seen(self, request: HttpRequest, pk: uuid.UUID) -> Case:
        """The case, for those who may see it."""
        if not may_see(request):
            raise PermissionDenied
        return self._case(pk)

    def act(self, request: HttpRequest, pk: uuid.UUID, form_class: type[ActionForm]) -> HttpResponse:
        """Carry out what the form says, or show the page again with what was typed and why nothing was done.

        What can't be taken back is done once the person has seen what follows from it, and is SURE.
        """
        if not may_act(request):
            raise PermissionDenied
        form = form_class(self._case(pk), request.POST)
        if form.is_valid() and is_sound(form):
            if consequences.of(form.name, form.case) and SURE not in request.POST:
                return self._show(request, form.case, form, asks=True)
            if self._carried_out(request, form):
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


def is_sound(form: ActionForm) -> bool:
    """Whether nothing is wrong with what was typed that the service would find; what is, the form says."""
    if not isinstance(form, CompleteForm):
        return True
    try:
        result_schema.check(form.case.result_schema, form.cleaned_data["result"])
    except InvalidResult as error:
        form.show_errors(error)
        return False
    return True


def _as_json(value: Any, name: str) -> FileResponse:
    return as_file(io.BytesIO(json.dumps(value, indent=2, ensure_ascii=False).encode(errors="surrogatepass")), name)
