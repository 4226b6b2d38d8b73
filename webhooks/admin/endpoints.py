"""Endpoints: how they are, and what staff do about them."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.views.decorators.http import require_POST

from cases.admin.access import CasePartAdmin, may_act
from cases.admin.clients import ISSUE
from webhooks import endpoints, replay, signing, trial
from webhooks.admin.forms import ParkForm, ReplayForm, UnparkForm
from webhooks.errors import TestedTooSoon
from webhooks.models import Delivery, DeliveryState, Endpoint

Act = Callable[[HttpRequest, Endpoint, Any], HttpResponse | None]  # with the valid form


@admin.register(Endpoint)
class EndpointAdmin(CasePartAdmin):
    """Those that get nothing come first, then those that fail."""

    list_display = ("origin", "client", "health", "failures", "last_success_at", "last_failure_at", "kept")
    list_filter = (("parked_at", admin.EmptyFieldListFilter), "client")
    list_select_related = ("client",)
    search_fields = ("origin",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Endpoint]:
        kept = Delivery.objects.filter(endpoint=OuterRef("pk"), state=DeliveryState.PARKED).order_by()
        count = kept.values("endpoint").annotate(count=Count("pk")).values("count")
        return Endpoint.objects.select_related("client").annotate(kept_count=Coalesce(Subquery(count), 0))

    def get_ordering(self, request: HttpRequest) -> Any:
        return (F("parked_at").asc(nulls_last=True), "-failures", "origin")

    @admin.display(description="Health")
    def health(self, endpoint: Endpoint) -> str:
        if endpoint.parked_at:
            return f"parked since {endpoint.parked_at:%Y-%m-%d %H:%M} UTC"
        if endpoint.failing_since:
            return f"failing since {endpoint.failing_since:%Y-%m-%d %H:%M} UTC"
        return "well" if endpoint.last_success_at else "not called yet"

    @admin.display(description="Events kept")
    def kept(self, endpoint: Any) -> int:
        return int(endpoint.kept_count)

    def get_urls(self) -> list[URLPattern]:
        acts: dict[str, tuple[type[forms.Form], Act]] = {
            "park": (ParkForm, self.park),
            "unpark": (UnparkForm, self.unpark),
            "replay": (ReplayForm, self.replay),
            "test": (forms.Form, self.test),
            "rotate": (forms.Form, self.rotate),
        }
        routes = [
            path(
                f"<int:pk>/{name}/",
                self.admin_site.admin_view(require_POST(partial(self._act, name=name, form_class=form, carry_out=act))),
                name=f"webhooks_endpoint_{name}",
            )
            for name, (form, act) in acts.items()
        ]
        return [*routes, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The page of an endpoint. It only shows."""
        endpoint = self.get_object(request, object_id)
        if endpoint is None:
            raise Http404(f"There is no endpoint {object_id}.")
        if request.method == "POST" or not self.has_view_permission(request, endpoint):
            raise PermissionDenied
        return self._show(request, endpoint)

    def _show(self, request: HttpRequest, endpoint: Endpoint, **context: Any) -> HttpResponse:
        forms_: dict[str, forms.Form] = {"park": ParkForm(), "unpark": UnparkForm(), "replay": ReplayForm()}
        return self.page(
            request,
            "admin/webhooks/endpoint/page.html",
            title=endpoint.origin,
            endpoint=endpoint,
            health=self.health(endpoint),
            kept=replay.kept_for(endpoint).count(),
            forms={**forms_, **context.pop("forms", {})},
            may_rotate=request.user.has_perm(ISSUE),
            **context,
        )

    def _act(
        self, request: HttpRequest, pk: int, *, name: str, form_class: type[forms.Form], carry_out: Act
    ) -> HttpResponse:
        """Do what was posted; what `carry_out` answers is shown, else the page anew."""
        if not (request.user.has_perm(ISSUE) if name == "rotate" else may_act(request)):
            raise PermissionDenied
        endpoint, form = get_object_or_404(Endpoint.objects.select_related("client"), pk=pk), form_class(request.POST)
        if not form.is_valid():
            return self._show(request, endpoint, forms={name: form})
        return carry_out(request, endpoint, form) or redirect("admin:webhooks_endpoint_change", pk)

    def park(self, request: HttpRequest, endpoint: Endpoint, form: Any) -> None:
        """Send it nothing more."""
        if endpoints.park(endpoint.pk, form.cleaned_data["reason"]):
            self.log_change(request, endpoint, "Parked")
            messages.success(request, "Nothing is sent there any more. Its events are kept.")
        else:
            messages.warning(request, "It was parked already.")

    def unpark(self, request: HttpRequest, endpoint: Endpoint, form: Any) -> None:
        """Send it events again, and what was kept if that is wanted."""
        was_parked = endpoints.unpark(endpoint.pk)
        count = replay.replay_all(replay.kept_for(endpoint)) if form.cleaned_data["replay"] else 0
        self.log_change(request, endpoint, f"Taken back, {count} events sent again")
        words = "Events are sent there again." if was_parked else "It was not parked any more."
        messages.success(request, f"{words} {count} that were kept are on their way.")

    def replay(self, request: HttpRequest, endpoint: Endpoint, form: Any) -> None:
        """Send ended events once more, the oldest first."""
        count = replay.replay_all(form.chosen(endpoint))
        self.log_change(request, endpoint, f"Sent {count} events again, since {form.cleaned_data['moment']}")
        more = " There may be more: do it again for those." if count == replay.MOST_AT_ONCE else ""
        messages.success(request, f"{count} events are on their way once more.{more}")

    def test(self, request: HttpRequest, endpoint: Endpoint, form: Any) -> HttpResponse | None:
        """Send it a webhook.test now, and show what it says."""
        last = endpoint.deliveries.values_list("url", flat=True).order_by("-created_at").first()
        try:
            tried = trial.try_out(endpoint.client, last or endpoint.origin)
        except TestedTooSoon as error:
            messages.warning(request, f"{error} Try again in {error.wait_seconds:.0f} s.")
            return None
        self.log_change(request, endpoint, f"Tested: {tried.outcome.status or tried.outcome.error}")
        endpoint.refresh_from_db()
        return self._show(request, endpoint, tried=tried)

    def rotate(self, request: HttpRequest, endpoint: Endpoint, form: Any) -> HttpResponse:
        """Replace the client's secret, and show the new one in this answer only."""
        secret = signing.rotate(endpoint.client)
        self.log_change(request, endpoint, f"Replaced the webhook secret of {endpoint.client}")
        return self._show(request, endpoint, new_secret=secret)
