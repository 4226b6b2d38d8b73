"""Who has logged in, and who has tried to: rows of django-axes, in the words and the frame of the other pages.

To delete an attempt lifts its lockout; nothing else is changed here.
"""

from typing import Any, ClassVar

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from cases import moments
from cases.admin.access import ReadOnlyAdmin

for model in (AccessAttempt, AccessFailureLog, AccessLog):
    admin.site.unregister(model)


class _Logins(ReadOnlyAdmin):
    """Rows with their own name, since the library's are said otherwise."""

    one: str
    many: str
    deletion: ClassVar[dict[str, str]] = {}  # what to delete a row is called, and what follows from it
    search_fields = ("=username", "=ip_address")
    search_help_text = "User name or IP address"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"title": self.many.capitalize(), **(extra_context or {})})

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        named = {
            "title": self._name(request, object_id or ""),
            "subtitle": None,
            "list_title": self.many,
            **self.deletion,
            **(extra_context or {}),
        }
        return super().changeform_view(request, object_id, form_url, named)

    def _name(self, request: HttpRequest, object_id: str) -> str:
        row = self.get_object(request, object_id)
        return f"{self.one.capitalize()} of {getattr(row, 'username', None) or 'nobody known'}"

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        return super().history_view(request, object_id, {"list_title": self.many, **(extra_context or {})})

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(f"axes.view_{self.opts.model_name}")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    @admin.display(description="When", ordering="attempt_time")
    def at(self, row: Any) -> str:
        return moments.shortly(row.attempt_time)

    @admin.display(description="User name", ordering="username")
    def who(self, row: Any) -> str:
        return row.username or "–"

    @admin.display(description="From", ordering="ip_address")
    def address(self, row: Any) -> str:
        return row.ip_address or "–"

    @admin.display(description="Browser")
    def browser(self, row: Any) -> str:
        return row.user_agent or "–"


@admin.register(AccessAttempt)
class AttemptAdmin(_Logins):
    """Failed logins of one name from one address, counted until one succeeds or the lockout is over."""

    one, many = "login attempt", "login attempts"
    deletion: ClassVar = {
        "delete_words": "Lift the lockout",
        "delete_follows": "The failed logins of this name from this address are forgotten: it may try again.",
    }
    actions = ()  # type: ignore[assignment]  # Django's own, which deletes
    list_display = ("at", "who", "address", "failures", "stands")
    list_filter = ("attempt_time",)
    fields = readonly_fields = ("who", "address", "at", "failures", "stands", "browser")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("axes.delete_accessattempt")

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        named = {"title": self._name(request, object_id), "list_title": self.many}
        return super().delete_view(request, object_id, {**named, **self.deletion, **(extra_context or {})})

    @admin.display(description="Failures", ordering="failures_since_start")
    def failures(self, row: AccessAttempt) -> int:
        return int(row.failures_since_start)

    @admin.display(description="State")
    def stands(self, row: AccessAttempt) -> str:
        left = settings.AXES_FAILURE_LIMIT - row.failures_since_start
        return "locked out" if left <= 0 else f"{left} more {'try' if left == 1 else 'tries'}"


@admin.register(AccessLog)
class LoginAdmin(_Logins):
    one, many = "login", "logins"
    list_display = ("at", "who", "address", "until", "browser")
    list_filter = ("attempt_time",)
    fields = readonly_fields = ("who", "address", "at", "until", "browser")

    @admin.display(description="Logged out", ordering="logout_time")
    def until(self, row: AccessLog) -> str:
        return moments.shortly(row.logout_time) if row.logout_time else "–"


@admin.register(AccessFailureLog)
class FailedLoginAdmin(_Logins):
    one, many = "failed login", "failed logins"
    list_display = ("at", "who", "address", "locked", "browser")
    list_filter = ("attempt_time",)
    fields = readonly_fields = ("who", "address", "at", "locked", "browser")

    @admin.display(description="Locked out", boolean=True, ordering="locked_out")
    def locked(self, row: AccessFailureLog) -> bool:
        return bool(row.locked_out)
