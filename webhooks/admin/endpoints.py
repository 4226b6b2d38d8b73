"""Endpoints: how they are, and what staff do about them."""

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import F, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.text import capfirst
from django.views.decorators.http import require_POST

from cases.admin.access import CasePartAdmin, may_act
from cases.admin.clients import ISSUE, ClientAdmin
from cases.models import Client
from webhooks import endpoints, replay, signing, trial
from webhooks.admin.forms import ParkForm, ReplayForm, UnparkForm
from webhooks.admin.health import healths, in_words, with_queues
from webhooks.errors import NoUrlToTest, TestedTooSoon
from webhooks.models import Attempt, Delivery, Endpoint

Act = Callable[[HttpRequest, Endpoint, Any], HttpResponse | None]  # with the valid form

MAX_ATTEMPTS = 20


@admin.register(Endpoint)
class EndpointAdmin(CasePartAdmin):
    """Those that get nothing come first, then those that fail."""

    list_display = ("server", "client", "health", "failures", "last_success_at", "last_failure_at", "waiting", "kept")
    list_filter = (("parked_at", admin.EmptyFieldListFilter), "client")
    list_select_related = ("client",)
    search_fields = ("origin",)
    search_help_text = "Server of the URL"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Endpoint]:
        return with_queues(Endpoint.objects.select_related("client"))

    def get_ordering(self, request: HttpRequest) -> Any:
        return (F("parked_at").asc(nulls_last=True), "-failures", "origin")

    @admin.display(description="Endpoint", ordering="origin")
    def server(self, endpoint: Endpoint) -> str:
        return endpoint.shown

    @admin.display(description="Health")
    def health(self, endpoint: Endpoint) -> str:
        return in_words(endpoint, timezone.now())[0]

    @admin.display(description="Waiting")
    def waiting(self, endpoint: Any) -> int:
        return int(endpoint.waiting_count)

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
        of_client = {"test": self.test_client, "rotate": self.rotate_client}
        routes += [
            path(
                f"client/<uuid:client_pk>/{name}/",
                self.admin_site.admin_view(require_POST(act)),
                name=f"webhooks_client_{name}",
            )
            for name, act in of_client.items()
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
        now = timezone.now()
        counted = self.get_queryset(request).get(pk=endpoint.pk)
        [health] = healths([counted], Delivery.objects.filter(endpoint=endpoint), now)
        forms_ = {"park": ParkForm(), "unpark": UnparkForm(), "replay": ReplayForm.since(counted.failing_since or now)}
        return self.page(
            request,
            "admin/webhooks/endpoint/page.html",
            title=endpoint.shown if endpoint.origin else capfirst(endpoint.shown),
            endpoint=counted,
            health=health,
            attempts=latest_attempts(counted),
            forms={**forms_, **context.pop("forms", {})},
            may_rotate=request.user.has_perm(ISSUE),
            may_see_client=request.user.has_perm("cases.view_client"),
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
            would = form.would_send(endpoint) if isinstance(form, ReplayForm) else None
            return self._show(request, endpoint, forms={name: form}, would_send=would)
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
        messages.success(request, f"{words} {_events(count)} on the way of those that were kept.")

    def replay(self, request: HttpRequest, endpoint: Endpoint, form: Any) -> None:
        """Send ended events once more, the oldest first."""
        count = replay.replay_all(form.chosen(endpoint))
        self.log_change(request, endpoint, f"Sent {count} events again, since {form.cleaned_data['moment']}")
        more = " There may be more: do it again for those." if count == replay.MOST_AT_ONCE else ""
        messages.success(request, f"{_events(count)} on the way once more.{more}")

    def test(self, request: HttpRequest, endpoint: Endpoint, form: Any) -> HttpResponse | None:
        """Send it a webhook.test now, and show what it says."""
        last = endpoint.deliveries.values_list("url", flat=True).order_by("-created_at").first()
        tried = self._try(request, endpoint.client, last or endpoint.origin)
        if tried is None:
            return None
        self.log_change(request, endpoint, f"Tested: {tried.outcome.status or tried.outcome.error}")
        endpoint.refresh_from_db()
        return self._show(request, endpoint, tried=tried)

    def rotate(self, request: HttpRequest, endpoint: Endpoint, form: Any) -> HttpResponse:
        """Replace the client's secret, and show the new one in this answer only."""
        secret = signing.rotate(endpoint.client)
        self.log_change(request, endpoint, f"Replaced the webhook secret of {endpoint.client}")
        return self._show(request, endpoint, new_secret=secret)

    # --- From the page of a client, which may have no endpoint yet ---

    def test_client(self, request: HttpRequest, client_pk: uuid.UUID) -> HttpResponse:
        """Send a webhook.test to where the client's webhooks go, and show what comes of it on its page."""
        clients, client = self._client_to_act_on(request, client_pk, may=may_act(request))
        try:
            url = client.default_webhook_url or trial.usual_url(client)
        except NoUrlToTest:
            messages.warning(request, "There is nothing to test: no case of this client has had a webhook URL.")
            return redirect("admin:cases_client_change", client_pk)
        tried = self._try(request, client, url)
        if tried is None:
            return redirect("admin:cases_client_change", client_pk)
        clients.log_change(request, client, f"Tested {tried.url}: {tried.outcome.status or tried.outcome.error}")
        return clients.show(request, client, tried=tried)

    def rotate_client(self, request: HttpRequest, client_pk: uuid.UUID) -> HttpResponse:
        """Make a signing secret in place of the one that there may be, and show it in this answer only."""
        clients, client = self._client_to_act_on(request, client_pk, may=request.user.has_perm(ISSUE))
        secret = signing.rotate(client)
        clients.log_change(request, client, "Replaced the webhook secret")
        return clients.show(request, client, new_secret=secret)

    def _client_to_act_on(self, request: HttpRequest, pk: uuid.UUID, *, may: bool) -> tuple[ClientAdmin, Client]:
        clients = self.admin_site.get_model_admin(Client)
        assert isinstance(clients, ClientAdmin)  # noqa: S101 (it has registered itself)
        if not (may and clients.has_view_permission(request)):
            raise PermissionDenied
        return clients, get_object_or_404(Client, pk=pk)

    def _try(self, request: HttpRequest, client: Client, url: str) -> trial.Trial | None:
        try:
            return trial.try_out(client, url)
        except TestedTooSoon as error:
            messages.warning(request, f"{error} Try again in {error.wait_seconds:.0f} s.")
            return None


def _events(count: int) -> str:
    return "1 event is" if count == 1 else f"{count} events are"


def latest_attempts(endpoint: Endpoint) -> list[Attempt]:
    """The attempts of its newest deliveries, with these, the latest first; at most MAX_ATTEMPTS."""
    newest = Delivery.objects.filter(endpoint=endpoint).order_by("-created_at", "-sequence")
    deliveries = list(newest.values_list("pk", flat=True)[:MAX_ATTEMPTS])
    attempts = Attempt.objects.filter(delivery__in=deliveries).select_related("delivery").defer("delivery__body")
    return list(attempts.order_by("-started_at", "-number")[:MAX_ATTEMPTS])
