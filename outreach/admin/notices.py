"""The notices to staff."""

from typing import Any

from django.contrib import admin
from django.db.models import Case as Choose
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery, When
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from cases import moments
from cases.admin.attention import AttentionFirst
from cases.admin.filters import of_client
from cases.admin.words import in_one_line
from outreach.models import NoticeState, StaffNotice


@admin.register(StaffNotice)
class StaffNoticeAdmin(AttentionFirst):
    """Those that could not be sent come first."""

    first, first_order = Q(state=NoticeState.FAILED), ("-created_at", "-id")
    rest_order = ("-created_at", "-id")

    list_display = ("address", "state", "about", "created_at", "waits", "digest", "sent_at", "failures", "last_error")
    list_filter = ("state", "hold", "created_at", of_client("case__client"))
    list_select_related = ("question__case", "draft__case", "payload", "parking", "leader")
    search_fields = ("address",)
    search_help_text = "Address"
    fields = (
        "address",
        "about",
        "state",
        "note",
        "created_at",
        "waits",
        "digest",
        "sent_at",
        "failures",
        "retry_at",
        "last_error",
    )
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[StaffNotice]:
        rows: QuerySet[StaffNotice] = super().get_queryset(request)
        joined = StaffNotice.objects.filter(leader=OuterRef("pk")).order_by().values("leader")
        others = Subquery(joined.annotate(number=Count("pk")).values("number"))
        return rows.annotate(others=others).defer("payload__body", "draft__full_text", "draft__html")

    def get_ordering(self, request: HttpRequest) -> Any:
        return (Choose(When(state=NoticeState.FAILED, then=0), default=1), "-created_at")

    @admin.display(description="About")
    def about(self, notice: StaffNotice) -> SafeString:
        if notice.parking:
            url, words = notice.parking.data["page"], f"{notice.parking.data['origin']} is parked"
        elif notice.payload:
            url = reverse("admin:outreach_inboundpayload_change", args=[notice.payload_id])
            words = f"Mail: {notice.payload.summary.get('subject') or notice.payload.get_state_display()}"
        elif notice.draft:
            url = reverse("admin:cases_draft_change", args=[notice.draft_id])
            words = f"Draft: {notice.draft.subject}"
        else:
            url = reverse("admin:cases_inputrequest_change", args=[notice.question_id])
            words = in_one_line(notice.question.question) if notice.question else ""
        return format_html('<a href="{}">{}</a>', url, Truncator(words).chars(100))

    @admin.display(description="Held")
    def waits(self, notice: StaffNotice) -> str:
        """Why it was not sent at once, and until when."""
        if not notice.hold or notice.held_until is None:
            return "–"
        return f"until {moments.shortly(notice.held_until)}: {notice.get_hold_display()}"

    @admin.display(description="Digest")
    def digest(self, notice: StaffNotice) -> SafeString | str:
        """With which other notices it goes out, or went."""
        if notice.leader:
            url = reverse("admin:outreach_staffnotice_change", args=[notice.leader_id])
            return format_html('<a href="{}">with an earlier one</a>', url)
        others = notice.others  # type: ignore[attr-defined]
        if not others:
            return "–"
        url = f"{reverse('admin:outreach_staffnotice_changelist')}?leader__id__exact={notice.pk}"
        return format_html('<a href="{}">with {} other{}</a>', url, others, "s" if others > 1 else "")
