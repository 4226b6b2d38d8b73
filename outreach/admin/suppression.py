"""Addresses that get no mail."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Case as Choose
from django.db.models import QuerySet, When
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from cases import work
from cases.admin.access import CasePartAdmin, actor, may_act
from cases.admin.files import link_to_case
from cases.admin.filters import of_client
from cases.errors import CaseError
from outreach import suppression
from outreach.forms import LiftForm, SuppressionForm
from outreach.models import Suppression


class InForce(admin.SimpleListFilter):
    """Whether mail may go there by now."""

    title, parameter_name = "state", "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("holds", "Gets no mail"), ("lifted", "Lifted: gets mail again")]

    def queryset(self, request: HttpRequest, rows: QuerySet[Suppression]) -> QuerySet[Suppression]:
        if self.value() not in ("holds", "lifted"):
            return rows
        return rows.filter(lifted_at__isnull=self.value() == "holds")


@admin.register(Suppression)
class SuppressionAdmin(CasePartAdmin):
    """Addresses that get no more mail, with who or what has put them there. None is deleted: they are lifted."""

    list_display = ("address", "reason", "holds_for", "since", "of_case", "added_by", "lifted_at", "lifted_by")
    list_filter = (InForce, "reason", "since", of_client())
    list_select_related = ("client", "case")
    search_fields = ("address", "note", "=added_by")
    search_help_text = "Address, note, or who added it"
    form = SuppressionForm

    def get_ordering(self, request: HttpRequest) -> Any:
        """What holds comes before what has been lifted."""
        return (Choose(When(lifted_at=None, then=0), default=1), "-since", "-id")

    @admin.display(description="Holds for")
    def holds_for(self, row: Suppression) -> str:
        return str(row.client or "all clients")

    @admin.display(description="Case")
    def of_case(self, row: Suppression) -> SafeString | str:
        return link_to_case(row.case) if row.case else "–"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may_act(request)

    def save_model(self, request: HttpRequest, obj: Suppression, form: Any, change: bool) -> None:
        """Add what the form says; there is no form that changes one."""
        row = suppression.add_by_hand(address=obj.address, client=obj.client, note=obj.note, actor=actor(request))
        obj.pk = row.pk

    def get_urls(self) -> list[URLPattern]:
        lift = self.admin_site.admin_view(require_POST(self.lift))
        return [path("<int:pk>/lift/", lift, name="outreach_suppression_lift"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The page of one address. It shows; what is done goes to `lift`."""
        row = self.get_object(request, object_id)
        if not self.has_view_permission(request) or request.method == "POST":
            raise PermissionDenied
        if row is None:
            raise Http404(f"There is no suppressed address {object_id}.")
        return self._show(request, row, LiftForm())

    def _show(self, request: HttpRequest, row: Suppression, form: LiftForm) -> HttpResponse:
        can_lift = may_act(request) and row.lifted_at is None
        context = {"title": row.address, "row": row, "form": form if can_lift else None}
        return self.page(request, "admin/outreach/suppression/page.html", **context)

    def lift(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Let mail go there again, once somebody has said that it is all right."""
        if not may_act(request):
            raise PermissionDenied
        row, form = get_object_or_404(Suppression, pk=pk), LiftForm(request.POST)
        if not form.is_valid():
            return self._show(request, row, form)
        try:
            with work.transaction():
                suppression.lift(pk, actor=actor(request), reason=form.cleaned_data["reason"])
                self.log_change(request, row, "Lifted")
        except CaseError as error:
            messages.warning(request, error.message)
        else:
            messages.success(request, "Mail may go to this address again.")
        return redirect("admin:outreach_suppression_change", pk)
