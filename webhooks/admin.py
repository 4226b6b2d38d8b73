"""What was told to clients, for staff to read. Nothing here can be changed, and no secret is shown."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Case as Choose
from django.db.models import QuerySet, When
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from cases.admin.access import CasePartAdmin, may_see
from webhooks.models import Attempt, Delivery, DeliveryState, Endpoint

if TYPE_CHECKING:  # at run time Django's class takes no parameter
    TabularInline = admin.TabularInline[Attempt, Delivery]
else:
    TabularInline = admin.TabularInline


class ToldAdmin(CasePartAdmin):
    """Whoever may see cases may see what was told of them."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class AttemptInline(TabularInline):
    model = Attempt
    fields = ("number", "started_at", "duration_ms", "status", "error", "response_headers", "response_body")
    readonly_fields = fields
    max_num = 0
    can_delete = False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_see(request)


@admin.register(Delivery)
class DeliveryAdmin(ToldAdmin):
    """What did not arrive comes first."""

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

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        rows: QuerySet[Delivery] = super().get_queryset(request)
        return rows.defer("body")

    def get_ordering(self, request: HttpRequest) -> Any:
        order = (DeliveryState.FAILED, DeliveryState.EXHAUSTED, DeliveryState.WAITING)
        return (
            Choose(*(When(state=state, then=place) for place, state in enumerate(order)), default=3),
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


@admin.register(Endpoint)
class EndpointAdmin(ToldAdmin):
    list_display = ("origin", "client", "created_at")
    list_filter = ("client",)
    list_select_related = ("client",)
    search_fields = ("origin",)
    fields = ("origin", "client", "created_at")
