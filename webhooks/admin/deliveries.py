"""What was told to clients, attempt by attempt."""

import io
import json
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Case as Choose
from django.db.models import Q, QuerySet, When
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST, require_safe

from cases import search
from cases.admin.access import CasePartAdmin, may_act, may_see
from cases.admin.attention import AttentionFirst
from cases.admin.files import as_file, link_to_case
from cases.admin.filters import of_client
from cases.admin.words import span
from cases.errors import CaseError
from webhooks.admin.health import EVENTS, STATES
from webhooks.models import Attempt, Delivery, DeliveryState, Endpoint
from webhooks.replay import replay, try_now
from webhooks.tasks import SCHEDULE

MAX_ATTEMPTS = 100  # the newest; each replay allows ten more
MAX_SHOWN_BYTES = 200_000
SNIPPET_CHARS = 200

_FIRST = (DeliveryState.FAILED, DeliveryState.EXHAUSTED, DeliveryState.PARKED, DeliveryState.WAITING)
FIRST_STATES = Choose(*(When(state=state, then=place) for place, state in enumerate(_FIRST)), default=len(_FIRST))


class OfEvent(admin.SimpleListFilter):
    """By what was told. The list of all kinds is known, so no table has to be read for it."""

    title, parameter_name = "event", "event_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        told = [name for name, paths in settings.OFFLOAD_EVENT_LISTENERS.items() if any("enqueue" in p for p in paths)]
        return [(name, EVENTS.get(name, name)) for name in told]

    def queryset(self, request: HttpRequest, deliveries: QuerySet[Delivery]) -> QuerySet[Delivery]:
        return deliveries.filter(event_type=self.value()) if self.value() else deliveries


@admin.register(Delivery)
class DeliveryAdmin(AttentionFirst, CasePartAdmin):
    """What did not arrive comes first. Whoever may see cases sees it, nobody changes it."""

    first, first_order = Q(state__in=_FIRST), (FIRST_STATES, "-created_at", "-sequence", "-id")
    rest_order = ("-created_at", "-sequence", "-id")

    list_display = ("created_at", "event", "state", "attempt_count", "due", "client", "endpoint", "of_case")
    list_filter = ("state", OfEvent, of_client())
    list_select_related = ("client", "endpoint", "case")
    search_fields = ("event_id",)
    search_help_text = "Event id, the case, or the server of the URL"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        rows: QuerySet[Delivery] = super().get_queryset(request)
        return rows.defer("body")

    def get_ordering(self, request: HttpRequest) -> Any:
        return (FIRST_STATES, "-created_at", "-sequence")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Delivery], search_term: str
    ) -> tuple[QuerySet[Delivery], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        to_server = Q(endpoint__in=list(Endpoint.objects.filter(origin__icontains=term).values_list("pk", flat=True)))
        return queryset.filter(Q(event_id=term) | Q(case__in=search.cases_known_by(term)) | to_server), False

    @admin.display(description="Event", ordering="event_type")
    def event(self, delivery: Delivery) -> str:
        return EVENTS.get(delivery.event_type, delivery.event_type)

    @admin.display(description="Case")
    def of_case(self, delivery: Delivery) -> SafeString:
        return link_to_case(delivery.case)

    @admin.display(description="Next attempt")
    def due(self, delivery: Delivery) -> str:
        return next_attempt(delivery, timezone.now())

    def get_urls(self) -> list[URLPattern]:
        again = self.admin_site.admin_view(require_POST(self.replay))
        sooner = self.admin_site.admin_view(require_POST(self.try_now))
        body = self.admin_site.admin_view(require_safe(self.body))
        return [
            path("<uuid:pk>/replay/", again, name="webhooks_delivery_replay"),
            path("<uuid:pk>/try_now/", sooner, name="webhooks_delivery_try_now"),
            path("<uuid:pk>/body/", body, name="webhooks_delivery_body"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The page of what was told. It only shows."""
        delivery = self.get_object(request, object_id)
        if not self.has_view_permission(request) or request.method == "POST":
            raise PermissionDenied
        if delivery is None:
            raise Http404(f"There is no delivery {object_id}.")
        words, tone = STATES[delivery.state]
        return self.page(
            request,
            "admin/webhooks/delivery/page.html",
            title=self.event(delivery),
            delivery=delivery,
            state=words,
            tone=tone,
            next_attempt=next_attempt(delivery, timezone.now()),
            attempts=[(attempt, *outcome(attempt)) for attempt in latest(delivery)],
            payload=readable(bytes(delivery.body)),
            size=len(delivery.body),
            may_replay=may_act(request) and delivery.state != DeliveryState.WAITING,
            may_try_now=may_act(request) and waits_for_its_time(delivery, timezone.now()),
            may_see_client=request.user.has_perm("cases.view_client"),
        )

    def body(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponseBase:
        """The bytes as they are sent, as a file."""
        if not may_see(request):
            raise PermissionDenied
        delivery = get_object_or_404(Delivery, pk=pk)
        return as_file(io.BytesIO(bytes(delivery.body)), f"{delivery.event_id}.json")

    def replay(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """Send an ended event once more."""
        done = "The event is on its way once more, with the same bytes and id."
        return self._repeated(request, pk, replay, "Sent again", done)

    def try_now(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """Make the next attempt at once."""
        return self._repeated(request, pk, try_now, "Tried before its time", "The next attempt is made now.")

    def _repeated(
        self, request: HttpRequest, pk: uuid.UUID, act: Callable[[uuid.UUID], Any], logged: str, done: str
    ) -> HttpResponse:
        if not may_act(request):
            raise PermissionDenied
        delivery = get_object_or_404(Delivery.objects.defer("body"), pk=pk)
        try:
            act(pk)
        except CaseError as error:
            messages.warning(request, error.message)
        else:
            self.log_change(request, delivery, logged)
            messages.success(request, done)
        return redirect("admin:webhooks_delivery_change", pk)


def waits_for_its_time(delivery: Delivery, now: datetime) -> bool:
    """Whether its next attempt lies ahead, and nothing else keeps it from being made."""
    is_held = delivery.lease_until is not None and delivery.lease_until > now
    is_first = delivery.due_at is not None and delivery.due_at > now
    return delivery.state == DeliveryState.WAITING and is_first and not is_held


def next_attempt(delivery: Delivery, now: datetime) -> str:
    """When it is tried next, in words; a dash for one that has ended."""
    if delivery.state != DeliveryState.WAITING:
        return "–"
    if delivery.lease_until and delivery.lease_until > now:
        return "it is being sent"
    if delivery.due_at is None:
        return "after an earlier one of its case"
    made = delivery.attempt_count - delivery.attempts_before
    when = f"in {span(now, delivery.due_at)}" if delivery.due_at > now else "now"
    return f"{when} (no. {made + 1} of {len(SCHEDULE)})"


def latest(delivery: Delivery) -> list[Attempt]:
    """Its attempts, the latest first; at most MAX_ATTEMPTS."""
    return list(delivery.attempts.order_by("-number")[:MAX_ATTEMPTS])


def outcome(attempt: Attempt) -> tuple[str, str, str]:
    """What came of an attempt in words, a tone, and the beginning of what the endpoint said."""
    beginning = " ".join(attempt.response_body.split())[:SNIPPET_CHARS]
    if attempt.status is None:
        return attempt.error or "no answer", "bad", beginning
    if 200 <= attempt.status < 300:
        return f"accepted with {attempt.status}", "ok", beginning
    return f"refused with {attempt.status}", "bad", beginning


def readable(body: bytes) -> Any:
    """The payload as a JSON value; None for one that is too large to be shown, or is none."""
    if len(body) > MAX_SHOWN_BYTES:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
