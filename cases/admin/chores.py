"""What is done every now and then: when it was done, when it will be, and a button to do it now."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.module_loading import import_string
from django.views.decorators.http import require_POST

from cases import chores
from cases.admin import words
from cases.admin.access import CasePartAdmin, may_act, may_see
from cases.models import Chore


@dataclass(frozen=True)
class Line:
    """A chore as the list shows it."""

    chore: Chore
    about: str  # the first line of its function's docstring
    pause: str  # from one run to the next, in words
    next: str


def lines() -> list[Line]:
    """The chores of this installation that the clock has planned; those that fail come first."""
    now = timezone.now()
    rows = Chore.objects.filter(name__in=settings.OFFLOAD_CHORES).order_by("-failures", "name")
    return [_line(chore, now) for chore in rows]


def _line(chore: Chore, now: Any) -> Line:
    dotted_path, seconds = settings.OFFLOAD_CHORES[chore.name]
    about = (import_string(dotted_path).__doc__ or "").strip().partition("\n")[0]
    if chore.lease_until and chore.lease_until > now:
        when = "it is being done"
    elif chore.due_at and chore.due_at > now:
        when = f"in {words.span(now, chore.due_at)}"
    else:
        when = "about to be done"
    return Line(chore, about, words.span(now, now + timedelta(seconds=seconds)), when)


@admin.register(Chore)
class ChoreAdmin(CasePartAdmin):
    """A list only: there is nothing more to see of a chore."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        run = self.admin_site.admin_view(require_POST(self.run))
        return [path("<str:name>/run/", run, name="cases_chore_run"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not may_see(request):
            raise PermissionDenied
        return self.page(request, "admin/cases/chore/list.html", title="Chores", lines=lines(), opts=None)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        return redirect("admin:cases_chore_changelist")

    def run(self, request: HttpRequest, name: str) -> HttpResponse:
        """Have it done as soon as a worker is free."""
        if not may_act(request):
            raise PermissionDenied
        chore = chores.run_now(name)
        if chore is None:
            messages.warning(request, "There is no such chore any more.")
        else:
            self.log_change(request, chore, "Asked for a run now")
            messages.success(request, f"“{name}” is done as soon as a worker is free.")
        return redirect("admin:cases_chore_changelist")
