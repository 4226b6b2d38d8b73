"""Clients and their keys. A key is shown once, on the answer to the request that made it; a reload makes no other."""

import uuid
from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.views.decorators.http import require_POST

from cases import keys, work
from cases.admin import client_page
from cases.admin.access import ReadOnlyAdmin
from cases.admin.client_forms import KeyForm, ReplaceForm, SettingsForm
from cases.errors import CaseError
from cases.models import ApiKey, Client

ISSUE, REVOKE, CHANGE = "cases.add_apikey", "cases.change_apikey", "cases.change_client"


@admin.register(Client)
class ClientAdmin(ReadOnlyAdmin):
    list_display = ("name", "usable_keys", "active", "created_at")
    list_filter = ("is_active",)
    search_fields = ("name", "=keys__prefix")
    search_help_text = "Name, or the beginning of a key as it is shown here"
    fields = ("name", "daily_send_limit")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Client]:
        usable = Q(keys__revoked_at__isnull=True, keys__is_active=True)
        usable &= Q(keys__expires_at__isnull=True) | Q(keys__expires_at__gt=timezone.now())
        return Client.objects.annotate(usable_key_count=Count("keys", filter=usable))

    @admin.display(description="Usable keys")
    def usable_keys(self, client: Any) -> int:
        return int(client.usable_key_count)

    @admin.display(description="Active", boolean=True, ordering="is_active")
    def active(self, client: Client) -> bool:
        return client.is_active

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("cases.add_client")

    def response_add(self, request: HttpRequest, obj: Client, post_url_continue: str | None = None) -> HttpResponse:
        """On to the client's page: without a key it can do nothing."""
        messages.success(request, f"The client “{obj.name}” was added. It needs a key.")
        return redirect("admin:cases_client_change", obj.pk)

    def get_urls(self) -> list[URLPattern]:
        acts: dict[str, tuple[str, Callable[..., HttpResponse]]] = {
            "settings": ("<uuid:pk>/settings/", self.change_settings),
            "issue": ("<uuid:pk>/keys/", self.issue),
            "replace": ("<uuid:pk>/keys/<uuid:key_pk>/replace/", self.replace),
            "revoke": ("<uuid:pk>/keys/<uuid:key_pk>/revoke/", self.revoke),
        }
        routes = [
            path(route, self.admin_site.admin_view(require_POST(act)), name=f"cases_client_{name}")
            for name, (route, act) in acts.items()
        ]
        return [*routes, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The page of a client: its keys, and the form for a new one. It only shows."""
        client = self.get_object(request, object_id)
        if client is None:
            raise Http404(f"There is no client {object_id}.")
        if not self.has_view_permission(request, client):
            raise PermissionDenied
        return self.show(request, client)

    def show(self, request: HttpRequest, client: Client, **context: Any) -> HttpResponse:
        """The page, with what has just come of something: `new_key`, a form that failed, what a section is told."""
        now = timezone.now()
        may_issue, may_revoke = request.user.has_perm(ISSUE), request.user.has_perm(REVOKE)
        rows = [(key, key.is_usable(now)) for key in client.keys.select_related("client")]
        base = {
            "title": client.name,
            **client_page.context(request, client),
            "keys": [(key, usable, ReplaceForm(auto_id=f"{key.pk}-%s") if usable else None) for key, usable in rows],
            "form": KeyForm(),
            "settings_form": SettingsForm(instance=client),
            "may_issue": may_issue,
            "may_replace": may_issue and may_revoke,
            "may_revoke": may_revoke,
            "may_change": request.user.has_perm(CHANGE),
        }
        return self.page(request, "admin/cases/client/page.html", **{**base, **context})

    def change_settings(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """Set what goes for all cases of the client; what the form does not change is left as it is by now."""
        if not request.user.has_perm(CHANGE):
            raise PermissionDenied
        client = get_object_or_404(Client, pk=pk)
        form = SettingsForm(request.POST, instance=client)
        if not form.is_valid():
            return self.show(request, get_object_or_404(Client, pk=pk), settings_form=form)
        if form.changed_data:
            with work.transaction():
                client.save(update_fields=form.changed_data)
                self.log_change(request, client, f"Set {'; '.join(form.changed())}")
            messages.success(request, "The settings are changed.")
        else:
            messages.info(request, "Nothing was changed.")
        return redirect("admin:cases_client_change", pk)

    def issue(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """Make a key, and show it in this answer only: a message would keep it in a cookie or in the session."""
        if not request.user.has_perm(ISSUE):
            raise PermissionDenied
        client, form = get_object_or_404(Client, pk=pk), KeyForm(request.POST)
        if not form.is_valid():
            return self.show(request, client, form=form)
        try:
            with work.transaction():
                row, key = keys.issue(client, **form.wishes())
                self.log_change(request, client, f"Issued the key {row}")
        except CaseError as error:
            messages.warning(request, error.message)
            return redirect("admin:cases_client_change", pk)
        return self.show(request, client, new_key=key)

    def replace(self, request: HttpRequest, pk: uuid.UUID, key_pk: uuid.UUID) -> HttpResponse:
        """Make a key that may the same as this one, which ends some time later; it is shown in this answer only."""
        if not (request.user.has_perm(ISSUE) and request.user.has_perm(REVOKE)):
            raise PermissionDenied
        old = get_object_or_404(ApiKey.objects.select_related("client"), pk=key_pk, client_id=pk)
        form = ReplaceForm(request.POST)
        if not form.is_valid():
            messages.warning(request, "Choose how long the old key stays good.")
            return redirect("admin:cases_client_change", pk)
        try:
            with work.transaction():
                wishes = {"old_valid_for": form.old_valid_for, "key_id": form.cleaned_data["key_id"]}
                row, key = keys.replace(old, **wishes)
                hours = form.cleaned_data["hours"]
                self.log_change(request, old.client, f"Replaced the key {old} by {row}; the old one ends in {hours} h")
        except CaseError as error:
            messages.warning(request, error.message)
            return redirect("admin:cases_client_change", pk)
        return self.show(request, old.client, new_key=key, replaced=old)

    def revoke(self, request: HttpRequest, pk: uuid.UUID, key_pk: uuid.UUID) -> HttpResponse:
        """Refuse the key from now on."""
        if not request.user.has_perm(REVOKE):
            raise PermissionDenied
        key = get_object_or_404(ApiKey.objects.select_related("client"), pk=key_pk, client_id=pk)
        with work.transaction():
            revoked = ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(revoked_at=work.now())
            if revoked:
                self.log_change(request, key.client, f"Revoked the key {key}")
        if revoked:
            messages.success(request, f"The key {key} is revoked.")
        else:
            messages.warning(request, f"The key {key} had been revoked already.")
        return redirect("admin:cases_client_change", pk)
