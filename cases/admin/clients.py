"""Clients and their keys. A key is shown once, on the answer to the request that made it; a reload makes no other."""

import uuid
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.views.decorators.http import require_POST

from cases import work
from cases.admin.access import ReadOnlyAdmin
from cases.models import ApiKey, Client

ISSUE, REVOKE = "cases.add_apikey", "cases.change_apikey"


class KeyForm(forms.Form):
    """What is chosen for a new key. Its id comes with the form: sent twice, the form makes one key."""

    key_id = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
    is_test = forms.TypedChoiceField(
        label="Kind",
        choices=[("yes", "Test: its cases stay in the sandbox"), ("no", "Live: its cases send real mail")],
        coerce=lambda choice: choice == "yes",
        initial="yes",
        widget=forms.RadioSelect,
    )
    name = forms.CharField(
        label="Name", max_length=100, required=False, help_text="For you: where the key is used, for example."
    )


def usage(client: Client) -> dict[str, Any]:
    """How many cases it has posted, and the model calls, tokens and cost of all of them; sums are null for no case."""
    sums = {"calls": Sum("model_calls"), "tokens": Sum("model_tokens"), "cost": Sum("model_cost")}
    return client.cases.aggregate(cases=Count("pk"), **sums)


@admin.register(Client)
class ClientAdmin(ReadOnlyAdmin):
    list_display = ("name", "usable_keys", "is_active", "created_at")
    list_filter = ("is_active",)
    search_fields = ("name", "=keys__prefix")
    search_help_text = "Name, or the beginning of a key as it is shown here"
    fields = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Client]:
        usable = Q(keys__revoked_at__isnull=True, keys__is_active=True)
        usable &= Q(keys__expires_at__isnull=True) | Q(keys__expires_at__gt=timezone.now())
        return Client.objects.annotate(usable_key_count=Count("keys", filter=usable))

    @admin.display(description="Usable keys")
    def usable_keys(self, client: Any) -> int:
        return int(client.usable_key_count)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("cases.add_client")

    def response_add(self, request: HttpRequest, obj: Client, post_url_continue: str | None = None) -> HttpResponse:
        """On to the client's page: without a key it can do nothing."""
        messages.success(request, f"The client “{obj.name}” was added. It needs a key.")
        return redirect("admin:cases_client_change", obj.pk)

    def get_urls(self) -> list[URLPattern]:
        issue = self.admin_site.admin_view(require_POST(self.issue))
        revoke = self.admin_site.admin_view(require_POST(self.revoke))
        return [
            path("<uuid:pk>/keys/", issue, name="cases_client_issue"),
            path("<uuid:pk>/keys/<uuid:key_pk>/revoke/", revoke, name="cases_client_revoke"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The page of a client: its keys, and the form for a new one. It only shows."""
        client = self.get_object(request, object_id)
        if client is None:
            raise Http404(f"There is no client {object_id}.")
        if not self.has_view_permission(request, client):
            raise PermissionDenied
        return self._show(request, client, KeyForm())

    def _show(self, request: HttpRequest, client: Client, form: KeyForm, **context: Any) -> HttpResponse:
        now = timezone.now()
        keys = list(client.keys.select_related("client"))
        return self.page(
            request,
            "admin/cases/client/page.html",
            title=client.name,
            client=client,
            keys=[(key, key.is_usable(now)) for key in keys],
            form=form,
            usage=usage(client),
            may_issue=request.user.has_perm(ISSUE),
            may_revoke=request.user.has_perm(REVOKE),
            **context,
        )

    def issue(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """Make a key, and show it in this answer only: a message would keep it in a cookie or in the session."""
        if not request.user.has_perm(ISSUE):
            raise PermissionDenied
        client, form = get_object_or_404(Client, pk=pk), KeyForm(request.POST)
        if not form.is_valid():
            return self._show(request, client, form)
        with work.transaction():
            Client.objects.select_for_update().get(pk=pk)  # of two such requests at once, the second waits
            if ApiKey.objects.filter(pk=form.cleaned_data["key_id"]).exists():
                messages.warning(request, "This form has issued its key already. A key is shown once, not twice.")
                return redirect("admin:cases_client_change", pk)
            row, key = ApiKey.issue(client, **form.cleaned_data)
            self.log_change(request, client, f"Issued the key {row}")
        return self._show(request, client, KeyForm(), new_key=key)

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
