"""A client's own cases, found by what it knows of them."""

from typing import Any

from django.db.models import F

from cases.models import Case, Client
from cases.paging import Page, page_of

LOOKUPS = {
    "status": "status",
    "clientReferenceId": "client_reference_id",
    "createdAfter": "created_at__gt",
    "createdBefore": "created_at__lt",
}
NEWEST_FIRST = ("-created_at", "-id")


def page_of_cases(client: Client, query: dict[str, Any]) -> Page[Case]:
    """A page of the client's cases with their questions; `query` has the parameters of CasesQuery."""
    filters = {lookup: query[name] for name, lookup in LOOKUPS.items() if name in query}
    cases = Case.objects.filter(client=client, **filters).annotate(successor_id=F("reopened_as"))
    cases = cases.prefetch_related("input_requests")
    name = f"cases of {client.pk} {sorted(filters.items())}"
    return page_of(cases, NEWEST_FIRST, name=name, limit=query["limit"], cursor=query.get("cursor"))
