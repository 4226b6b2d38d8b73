"""The sandbox's mailboxes."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from cases.admin.access import CasePartAdmin
from outreach.inbound.mail import parse
from outreach.models import SandboxMail


@admin.register(SandboxMail)
class SandboxMailAdmin(CasePartAdmin):
    """What counterparties in the sandbox have got."""

    list_display = ("subject", "to", "case", "delivered_at")
    list_filter = ("delivered_at", ("case__client", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("case",)
    search_fields = ("=message_id", "case__counterparty_address", "case__client_reference_id")
    search_help_text = "Message-ID, or the case's reference or address"
    fields = ("case", "delivered_at", "message_id", "to", "subject", "text")
    readonly_fields = fields
    ordering = ("-delivered_at", "-id")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="To")
    def to(self, mail: SandboxMail) -> str:
        return ", ".join(parse(bytes(mail.raw)).to)

    @admin.display(description="Subject")
    def subject(self, mail: SandboxMail) -> str:
        return parse(bytes(mail.raw)).subject

    @admin.display(description="Text")
    def text(self, mail: SandboxMail) -> SafeString:
        return format_html('<div class="prose">{}</div>', parse(bytes(mail.raw)).text)
