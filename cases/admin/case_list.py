"""The list of cases: what it shows of each, in as many queries for a page as for a row."""

from typing import Any
from uuid import UUID

from django.contrib.admin.views.main import ChangeList
from django.db.models import F, Q, QuerySet, Value
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from cases.models import Case, InputRequest, Message, MessageStatus, RequestStatus, Status
from cases.models.messages import UNREAD
from cases.search import Found

NOT_LISTED = ("constraints", "result_schema", "metadata", "result", "sources", "failure_reason", "sender_persona")
TONES = {Status.RUNNING: "info", Status.INPUT_NEEDED: "warn", Status.COMPLETED: "ok", Status.FAILED: "bad"}


def listed_cases() -> QuerySet[Case]:
    """Cases with their clients, without what no list shows."""
    return Case.objects.select_related("client").defer(*NOT_LISTED)


def add_what_next_reads(cases: list[Case]) -> None:
    """Give each what `words.next_step` reads, as `page.for_staff` does, by one query for all of them.

    As annotations they would be sought for every row that the list has to sort.
    """
    by_pk: dict[UUID, Any] = {case.pk: case for case in cases}
    for case in by_pk.values():
        case.asked_at = case.drafted_at = None
        case.has_queued = case.has_unread = False
    columns = ("case", "status", "moment", "version")
    pending = InputRequest.objects.filter(case__in=list(by_pk), status=RequestStatus.PENDING).order_by()
    asked = pending.annotate(moment=F("requested_at"), version=Value(0)).values_list(*columns)
    waits = Q(status__in=[MessageStatus.DRAFT, MessageStatus.QUEUED]) | UNREAD
    mails = Message.objects.filter(waits, case__in=list(by_pk)).order_by()
    of_mail = mails.annotate(moment=F("drafted_at"), version=F("case_version")).values_list(*columns)
    for case_pk, status, moment, version in asked.union(of_mail, all=True):
        case = by_pk[case_pk]
        if status == RequestStatus.PENDING:
            case.asked_at = moment
        if status == MessageStatus.DRAFT:
            case.drafted_at = moment if version == case.version else None
        case.has_queued |= status == MessageStatus.QUEUED
        case.has_unread |= status == MessageStatus.RECEIVED


class CaseList(ChangeList):
    """One page of the list, and where a search has found its cases."""

    found: Found | None = None

    def get_queryset(self, request: HttpRequest, *args: Any, **options: Any) -> QuerySet[Any]:
        rows = super().get_queryset(request, *args, **options)
        self.found = getattr(request, "found_cases", None)
        return rows

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        add_what_next_reads(self.result_list)
        for case in self.result_list:
            case.found_in = self.found.places.get(case.pk) if self.found else None


def badge(case: Case) -> SafeString:
    """The status, coloured."""
    tone = TONES.get(Status(case.status), "calm")
    return format_html('<span class="badge {}">{}</span>', tone, case.status.replace("_", " ").capitalize())


def place(case: Any) -> SafeString | str:
    """Where the search has found it: a link to the mail, if it was one."""
    if case.found_in is None:
        return "the case"
    url = reverse("admin:cases_case_change", args=[case.pk])
    return format_html('<a href="{}#message-{}">a mail</a>', url, case.found_in)
