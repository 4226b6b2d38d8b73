"""What was told to clients, attempt by attempt."""

import uuid
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Case as Choose
from django.db.models import QuerySet, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from cases.admin.access import CasePartAdmin, may_act, may_see
from webhooks.errors import StillWaiting
from webhooks.models import Attempt, Delivery, DeliveryState
from webhooks.replay import replay

if TYPE_CHECKING:  # the theme's class has no types
    TabularInline = admin.TabularInline[Attempt, Delivery]
else:
    from unfold.admin import TabularInline


class AttemptInline(TabularInline):
    model = Attempt
    fields = ("number", "started_at", "duration_ms", "status", "error", "response_headers", "response_body")
    readonly_fields = fields
    max_num = 0
    can_delete = False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_see(request)


@admin.register(Delivery)
class DeliveryAdmin(CasePartAdmin):
    """What did not arrive comes first. Whoever may see cases sees it, nobody changes it."""

    change_form_template = "admin/webhooks/delivery/change_form.html"

    list_display = ("created_at", "event_type", "state", "attempt_count", "due", "client", "endpoint", "of_case")
    list_filter = ("state", "event_type", "client")
    list_select_related = ("client", "endpoint", "case")
    search_fields = ("=event_id", "=case__id", "case__client_reference_id", "url")
    search_help_text = "Event id, case id, the client's reference, or a part of the URL"
    inlines = (AttemptInline,)
    fieldsets = (
        (None, {"fields": ("event_id", "event_type", "client", "of_case", "sequence", "url", "content")}),
        (
            "How it stands",
            {"fields": ("state", "note", "attempt_count", "due", "created_at", "next_attempt_at", "delivered_at")},
        ),
        (
            "The worker's view",
            {"fields": ("due_at", "lease_until", "retry_at", "failures", "lost_leases", "last_error")},
        ),
    )

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        rows: QuerySet[Delivery] = super().get_queryset(request)
        return rows.defer("body")

    def get_ordering(self, request: HttpRequest) -> Any:
        order = (DeliveryState.FAILED, DeliveryState.EXHAUSTED, DeliveryState.PARKED, DeliveryState.WAITING)
        return (
            Choose(*(When(state=state, then=place) for place, state in enumerate(order)), default=len(order)),
            "-created_at",
            "-sequence",
        )

    @admin.display(description="Case")
    def of_case(self, delivery: Delivery) -> SafeString:
        link = reverse("admin:cases_case_change", args=[delivery.case_id])
        return format_html('<a href="{}">{}</a>', link, delivery.case.client_reference_id or delivery.case_id)

    @admin.display(description="Next attempt")
    def due(self, delivery: Delivery) -> str:
        """When it is tried next, in words where no time is set for it."""
        if delivery.state != DeliveryState.WAITING:
            return "–"
        if delivery.due_at is None:
            return "after an earlier one of its case"
        return f"{delivery.due_at:%Y-%m-%d %H:%M:%S} UTC"

    @admin.display(description="Body")
    def content(self, delivery: Delivery) -> SafeString:
        """The bytes as they are sent."""
        return format_html("<pre>{}</pre>", bytes(delivery.body).decode(errors="replace"))

    def get_urls(self) -> list[URLPattern]:
        again = self.admin_site.admin_view(require_POST(self.replay))
        return [path("<uuid:pk>/replay/", again, name="webhooks_delivery_replay"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        delivery = self.get_object(request, object_id)
        may_replay = may_act(request) and delivery is not None and delivery.state != DeliveryState.WAITING
        return super().change_view(request, object_id, form_url, {"may_replay": may_replay, **(extra_context or {})})

    def replay(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """Send an ended event once more."""
        if not may_act(request):
            raise PermissionDenied
        delivery = get_object_or_404(Delivery.objects.defer("body"), pk=pk)
        try:
            replay(pk)
        except StillWaiting as error:
            messages.warning(request, error.message)
        else:
            self.log_change(request, delivery, "Sent again")
            messages.success(request, "The event is on its way once more, with the same bytes and id.")
        return redirect("admin:webhooks_delivery_change", pk)
