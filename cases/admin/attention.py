"""Lists that begin with what wants attention."""

from collections.abc import Sequence
from typing import Any

from django.db.models import Q
from django.http import HttpRequest

from cases.admin.access import ReadOnlyAdmin
from cases.admin.paging import TwoParts


class AttentionFirst(ReadOnlyAdmin):
    """Rows of `first` before the others, unless a column is chosen to sort by.

    `get_ordering` says the same of lists that are short enough to be shown whole.
    """

    first: Q
    first_order: Sequence[Any]
    rest_order: Sequence[Any]

    def get_paginator(
        self, request: HttpRequest, queryset: Any, per_page: int, orphans: int = 0, allow_empty_first_page: bool = True
    ) -> Any:
        if request.GET.get("o") or queryset.model is not self.model:  # of the page of what staff did, log entries
            return super().get_paginator(request, queryset, per_page, orphans, allow_empty_first_page)
        orders = {"first_order": self.first_order, "rest_order": self.rest_order}
        return TwoParts(queryset, per_page, first=self.first, **orders)
