"""Lists as AgentMail gives them: filtered, in pages."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from outreach.standins.agentmail.refusals import invalid

Fields = dict[str, Any]

MAX_PAGE = 100
HIDDEN = ("spam", "blocked", "unauthenticated", "trash")  # labels that a list leaves out unless it is told otherwise


def page(name: str, items: list[Fields], query: Fields, *, newest_first: bool = False) -> Fields:
    """One page of the list. Raises Refused for a token that none of our pages gave."""
    if newest_first and query.get("ascending", "").lower() != "true":
        items = items[::-1]
    limit = min(int(query.get("limit", MAX_PAGE)), MAX_PAGE)
    token = query.get("page_token", "")
    if token and not re.fullmatch(r"page-\d+", token):
        raise invalid("page_token", "is not valid")
    start = int(token.removeprefix("page-")) if token else 0
    shown = items[start : start + limit]
    page: Fields = {"count": len(shown), "limit": limit, name: shown}
    if start + limit < len(items):
        page["next_page_token"] = f"page-{start + limit}"
    return page


def is_listed(item: Fields, query: Fields) -> bool:
    """Whether a list with this query shows the message."""
    labels = set(item["labels"])
    hidden = {label for label in HIDDEN if query.get(f"include_{label}", "").lower() != "true"}
    wanted = set(_listed(query.get("labels", "[]")))
    at = datetime.fromisoformat(item["timestamp"])
    return (
        not labels & hidden
        and wanted <= labels
        and ("after" not in query or at > datetime.fromisoformat(query["after"]))
        and ("before" not in query or at < datetime.fromisoformat(query["before"]))
    )


def _listed(value: str) -> Iterator[str]:
    """A list in a query: one JSON array, or a single value."""
    yield from json.loads(value) if value.startswith("[") else [value]
