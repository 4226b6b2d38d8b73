"""How the services do that steps call."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from cases import work
from cases.admin.access import ReadOnlyAdmin, actor, may_act
from outreach.models import Provider
from outreach.providers import gate, rules


@admin.register(Provider)
class ProviderAdmin(ReadOnlyAdmin):
    """Models and mail providers that have been busy or away; one that never was is not listed."""

    list_display = ("name", "state", "failing_since", "paused_until", "limit", "last_error", "last_error_at")
    fields = (
        *("name", "state", "failing_since", "failures", "paused_until", "pauses"),
        *("limit", "slowed_at", "last_error", "last_error_at"),
    )
    readonly_fields = fields
    list_filter = ("is_down",)
    ordering = ("-is_down", "name")
    actions = ("call_again",)  # type: ignore[assignment]

    def has_call_permission(self, request: HttpRequest) -> bool:
        return may_act(request)

    @admin.action(description="Call it again now", permissions=["call"])
    def call_again(self, request: HttpRequest, providers: QuerySet[Provider]) -> None:
        """End pause and limit. Cases that wait come by themselves, within a quarter of an hour."""
        for provider in providers:
            gate.call_again(provider.pk)
            self.log_change(request, provider, f"Called again, says {actor(request)}")
        messages.success(request, "Calls are let through again. What waits comes within 15 minutes.")

    @admin.display(description="State")
    def state(self, provider: Provider) -> str:
        if provider.is_down:
            return "left alone, tried now and then"
        if provider.paused_until and provider.paused_until > work.now():
            return "busy, left alone"
        return "called"

    @admin.display(description="Calls per second")
    def limit(self, provider: Provider) -> str:
        rate = rules.rate_at(provider, work.now())
        return "no limit" if rate >= rules.CEILING else f"{rate:.2g}"
