"""Django's admin finds its pages by this module's name."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.functional import Promise
from django.views.i18n import JavaScriptCatalog

from offload_project.staff import accounts, logins  # noqa: F401 (their pages register themselves)


class Catalog(JavaScriptCatalog):
    """Django's texts and formats for scripts, with the format that depends on the reader (formats/) spelt out."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        formats = context["formats"].items()
        return {**context, "formats": {name: str(one) if isinstance(one, Promise) else one for name, one in formats}}


def catalog(request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:
    """For `admin/jsi18n/`."""
    return Catalog.as_view(packages=["django.contrib.admin"])(request)


admin.site.empty_value_display = "–"
admin.site.i18n_javascript = catalog  # type: ignore[assignment, method-assign]
