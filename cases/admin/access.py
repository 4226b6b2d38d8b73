"""Who may see and do what: two permissions decide, `cases.view_case` and `cases.change_case`."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.text import capfirst

from cases.admin.paging import BoundedPaginator

if TYPE_CHECKING:  # at run time Django's class takes no parameter
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin

SEE, ACT = "cases.view_case", "cases.change_case"


def actor(request: HttpRequest) -> str:
    """The person of the request, as the timeline names them."""
    return f"staff {request.user.get_username()}"


def may_see(request: HttpRequest) -> bool:
    """Whether the person may see cases and all that belongs to them: questions, mail, files."""
    return request.user.has_perm(SEE) or request.user.has_perm(ACT)


def may_act(request: HttpRequest) -> bool:
    """Whether the person may answer questions and decide for cases."""
    return request.user.has_perm(ACT)


class ReadOnlyAdmin(ModelAdmin):
    """Rows that people look at, and that only the service adds, changes or deletes."""

    actions = None
    list_per_page = 50
    show_full_result_count = False
    paginator = BoundedPaginator

    class Media:
        css = {"all": ("cases/staff.css",)}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, under its own name: there is nothing to "select to change" here."""
        title = capfirst(str(self.opts.verbose_name_plural))
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

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
