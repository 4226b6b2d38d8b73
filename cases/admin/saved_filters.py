"""Lists that people keep under a name: what they have filtered, searched and sorted, to be had again by one click."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST

from cases.admin.access import ReadOnlyAdmin
from cases.models import SavedFilter
from cases.models.saved_filters import MOST_SAVED, kept


class SaveForm(forms.Form):
    """The name under which the list is kept as it stands."""

    name = forms.CharField(label="Save this list as", max_length=60)
    query = forms.CharField(max_length=2000, required=False, widget=forms.HiddenInput)

    def clean_query(self) -> str:
        return kept(self.cleaned_data["query"])


class SavedFilters(ReadOnlyAdmin):
    """A list with the person's own saved filters above it. Whoever may see the list may save it, for themselves."""

    class Media:
        css = {"all": ("cases/lists.css",)}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        shown = kept(request.GET.urlencode())
        saved = [
            {"row": row, "url": f"?{row.query}" if row.query else ".", "is_shown": row.query == shown}
            for row in self._saved(request)[:MOST_SAVED]
        ]
        is_new = bool(shown) and not any(entry["is_shown"] for entry in saved)
        context = {
            "saved_filters": saved,
            "shown_query": shown,
            "save_form": SaveForm(initial={"query": shown}, auto_id="save-%s") if is_new else None,
            **self._addresses(),
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def _addresses(self) -> dict[str, str]:
        return {"save_url": reverse(f"admin:{self._name('save_filter')}")}

    def _name(self, act: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{act}"

    def _saved(self, request: HttpRequest) -> QuerySet[SavedFilter]:
        assert isinstance(request.user, User)  # noqa: S101 (admin_view lets nobody else in)
        return SavedFilter.objects.filter(user=request.user, list=self.opts.label_lower)

    def get_urls(self) -> list[URLPattern]:
        save = self.admin_site.admin_view(require_POST(self.save_filter))
        forget = self.admin_site.admin_view(require_POST(self.forget_filter))
        return [
            path("saved/", save, name=self._name("save_filter")),
            path("saved/<int:pk>/delete/", forget, name=self._name("forget_filter")),
            *super().get_urls(),
        ]

    def save_filter(self, request: HttpRequest) -> HttpResponse:
        """Keep the list's filters under the name; the same name again replaces what it stood for."""
        self._check(request)
        form = SaveForm(request.POST)
        if not form.is_valid():
            messages.warning(request, "Nothing was saved: give it a name of at most 60 characters.")
            return self._back(kept(request.POST.get("query", "")[:2000]))
        name, query = form.cleaned_data["name"], form.cleaned_data["query"]
        if self._saved(request).exclude(name=name).count() >= MOST_SAVED:
            messages.warning(
                request, f"Nothing was saved: you have {MOST_SAVED} saved lists already. Delete one first."
            )
        else:
            assert isinstance(request.user, User)  # noqa: S101 (admin_view lets nobody else in)
            key = {"user": request.user, "list": self.opts.label_lower, "name": name}
            SavedFilter.objects.update_or_create(**key, defaults={"query": query})
            messages.success(request, f"Saved as “{name}”.")
        return self._back(query)

    def forget_filter(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Delete one of the person's own."""
        self._check(request)
        row = get_object_or_404(self._saved(request), pk=pk)
        row.delete()
        messages.success(request, f"“{row.name}” is deleted. The cases it listed are as they were.")
        return self._back(kept(request.POST.get("query", "")[:2000]))

    def _check(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _back(self, query: str) -> HttpResponse:
        listed = reverse(f"admin:{self._name('changelist')}")
        return redirect(f"{listed}?{query}" if query else listed)
