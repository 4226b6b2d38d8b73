"""What the admin's classes have in common: nothing is added, changed or deleted but by the service."""

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.text import capfirst

from cases.admin.paging import BoundedPaginator
from cases.permissions import ACT, SEE, actor, may_act, may_see

if TYPE_CHECKING:  # the theme's class has no types
    from django.contrib import admin

    ModelAdmin = admin.ModelAdmin[Any]
else:
    from unfold.admin import ModelAdmin

__all__ = ["ACT", "SEE", "CasePartAdmin", "ModelAdmin", "ReadOnlyAdmin", "actor", "may_act", "may_see"]


class ReadOnlyAdmin(ModelAdmin):
    """Rows that people look at, and that only the service adds, changes or deletes."""

    actions = None
    list_per_page = 50
    show_full_result_count = False
    paginator = BoundedPaginator

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, under its own name: there is nothing to "select to change" here."""
        title = capfirst(str(self.opts.verbose_name_plural))
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        """The page of a row that has none of its own, named after what it is; Django would say "View model call"."""
        name = str(self.opts.verbose_name)
        titled = {"title": capfirst(name) if object_id else f"New {name}", **(extra_context or {})}
        return super().changeform_view(request, object_id, form_url, titled)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        return super().history_view(request, object_id, {"title": "What staff did here", **(extra_context or {})})

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def page(self, request: HttpRequest, template: str, **context: Any) -> HttpResponse:
        """A page of this admin's own, with what every page of the site needs."""
        base = {**self.admin_site.each_context(request), "opts": self.opts, "may_act": may_act(request)}
        return TemplateResponse(request, template, {**base, **context})


class CasePartAdmin(ReadOnlyAdmin):
    """Of a case and what belongs to it: whoever may see cases sees it, whoever may change cases may act on it."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_see(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_act(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may_see(request)
