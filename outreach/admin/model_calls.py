"""What models were asked."""

from django.contrib import admin
from django.utils.safestring import SafeString

from cases import moments
from cases.admin import words
from cases.admin.access import ReadOnlyAdmin
from cases.admin.files import link_to_case
from cases.admin.filters import of_client
from outreach.models import ModelCall


@admin.register(ModelCall)
class ModelCallAdmin(ReadOnlyAdmin):
    """What models were asked, and what it cost."""

    list_display = ("asked", "purpose", "model", "tokens_in", "tokens_out", "price", "of_case", "fault")
    list_filter = ("at", of_client())
    list_select_related = ("case",)
    search_fields = ("=case__id", "case__client_reference_id", "fault")
    search_help_text = "The case's id or reference, or what was wrong with an answer"
    fields = (
        *("of_case", "client", "asked", "purpose", "model", "prompt_version"),
        *("tokens_in", "tokens_out", "took", "price", "fault"),
    )
    readonly_fields = fields
    ordering = ("-at", "-id")

    @admin.display(description="Asked", ordering="at")
    def asked(self, call: ModelCall) -> str:
        return moments.shortly(call.at)

    @admin.display(description="Tokens in", ordering="prompt_tokens")
    def tokens_in(self, call: ModelCall) -> int:
        return call.prompt_tokens

    @admin.display(description="Tokens out", ordering="completion_tokens")
    def tokens_out(self, call: ModelCall) -> int:
        return call.completion_tokens

    @admin.display(description="Took")
    def took(self, call: ModelCall) -> str:
        return f"{call.duration_ms / 1000:.1f} s"

    @admin.display(description="Cost", ordering="cost")
    def price(self, call: ModelCall) -> str:
        return words.money(call.cost)

    @admin.display(description="Case")
    def of_case(self, call: ModelCall) -> SafeString:
        return link_to_case(call.case)
