"""The notices to staff."""

from typing import Any

from django.contrib import admin
from django.db.models import Case as Choose
from django.db.models import When
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from cases.admin.access import ReadOnlyAdmin
from outreach.models import NoticeState, StaffNotice


@admin.register(StaffNotice)
class StaffNoticeAdmin(ReadOnlyAdmin):
    """Those that could not be sent come first."""

    list_display = ("address", "state", "about", "created_at", "sent_at", "failures", "last_error")
    list_filter = ("state", "created_at")
    list_select_related = ("question__case", "parking")
    search_fields = ("address",)
    fields = ("address", "about", "state", "note", "created_at", "sent_at", "failures", "retry_at", "last_error")
    readonly_fields = fields

    def get_ordering(self, request: HttpRequest) -> Any:
        return (Choose(When(state=NoticeState.FAILED, then=0), default=1), "-created_at")

    @admin.display(description="About")
    def about(self, notice: StaffNotice) -> SafeString:
        if notice.parking:
            return format_html(
                '<a href="{}">{} is parked</a>', notice.parking.data["page"], notice.parking.data["origin"]
            )
        url = reverse("admin:cases_inputrequest_change", args=[notice.question_id])
        return format_html('<a href="{}">{}</a>', url, notice.question)
