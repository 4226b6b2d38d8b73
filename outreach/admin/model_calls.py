"""What models were asked."""

from datetime import datetime

from django.contrib import admin
from django.utils.safestring import SafeString

from cases.admin import words
from cases.admin.access import ReadOnlyAdmin
from cases.admin.files import link_to_case
from cases.admin.filters import of_client
from outreach.models import ModelCall


@admin.register(ModelCall)
class ModelCallAdmin(ReadOnlyAdmin):
    """What models were asked, and what it cost."""

    list_display = ("asked", "purpose", "model", "prompt_tokens", "completion_tokens", "price", "of_case", "fault")
    list_filter = ("at", of_client())
    list_select_related = ("case",)
    search_fields = ("=case__id", "case__client_reference_id", "fault")
    search_help_text = "The case's id or reference, or what was wrong with an answer"
    fields = (
        *("case", "client", "at", "purpose", "model", "prompt_version"),
        *("prompt_tokens", "completion_tokens", "duration_ms", "cost", "fault"),
    )
    readonly_fields = fields
    ordering = ("-at", "-id")

    @admin.display(description="Asked", ordering="at")
    def asked(self, call: ModelCall) -> datetime:
        return call.at

    @admin.display(description="Cost", ordering="cost")
    def price(self, call: ModelCall) -> str:
        return words.money(call.cost)

    @admin.display(description="Case")
    def of_case(self, call: ModelCall) -> SafeString:
        return link_to_case(call.case)
