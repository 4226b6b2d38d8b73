"""The menu of the staff's pages: where each is, and who is shown it."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

Group = tuple[
    str, list[tuple[str, str, str, str]]
]  # title; of each page: title, icon, model or view, rest of the address

PAGES: list[Group] = [
    ("", [("Home", "home", "index", "")]),
    (
        "Work",
        [
            ("Questions", "help", "cases.inputrequest", "queue/"),
            ("Drafts", "edit_note", "cases.draft", "queue/"),
            ("Cases", "work", "cases.case", ""),
        ],
    ),
    (
        "Mail",
        [
            ("Quarantine", "report", "outreach.inboundpayload", "quarantine/"),
            ("Unmatched", "move_to_inbox", "outreach.inboundpayload", "unmatched/"),
            ("Incoming mail", "inbox", "outreach.inboundpayload", ""),
            ("Messages", "mail", "cases.message", ""),
            ("Attachments", "attach_file", "cases.attachment", ""),
            ("Suppressed addresses", "block", "outreach.suppression", ""),
            ("Sandbox playground", "science", "outreach.sandboxmail", "play/"),
            ("Sandbox mail", "drafts", "outreach.sandboxmail", ""),
        ],
    ),
    (
        "Clients",
        [
            ("Clients", "apartment", "cases.client", ""),
            ("Endpoints", "webhook", "webhooks.endpoint", ""),
            ("Deliveries", "send", "webhooks.delivery", ""),
        ],
    ),
    (
        "Service",
        [
            ("Chores", "schedule", "cases.chore", ""),
            ("Notices to staff", "notifications", "outreach.staffnotice", ""),
            ("Model calls", "smart_toy", "outreach.modelcall", ""),
            ("Providers", "cloud", "outreach.provider", ""),
            ("Staff", "group", "auth.user", ""),
            ("Roles", "shield_person", "auth.group", ""),
            ("Login attempts", "lock", "axes.accessattempt", ""),
        ],
    ),
]


def menu(request: HttpRequest) -> list[dict[str, Any]]:
    """The groups of pages as the theme wants them, for the person of the request. One of them is where they are."""
    groups: list[dict[str, Any]] = [
        {"title": title, "items": [_item(*page) for page in pages]} for title, pages in PAGES
    ]
    items = [item for group in groups for item in group["items"]]
    here = max((item["link"] for item in items if _is_in(request.path, item["link"])), key=len, default="")
    if not here:  # a page of something whose menu leads to a part of its pages, as a question is to their queue
        here = next((item["link"] for item in items if item["area"] and request.path.startswith(item["area"])), "")
    for item in items:
        item["active"] = bool(here) and item["link"] == here
    return groups


def _item(title: str, icon: str, place: str, rest: str) -> dict[str, Any]:
    link = _link(place)
    permission = _permission(place) if link else _nobody
    area = link if "." in place else ""
    return {"title": title, "icon": icon, "link": link + rest, "area": area, "permission": permission}


def _is_in(path: str, link: str) -> bool:
    return path == link if link == _link("index") else bool(link) and path.startswith(link)


def _link(place: str) -> str:
    app, _, model = place.partition(".")
    try:
        return reverse(f"admin:{app}_{model}_changelist" if model else f"admin:{app}")
    except NoReverseMatch:
        return ""


def _permission(place: str) -> Callable[[HttpRequest], bool]:
    """Whether the model's own admin lets the person see it; a view that is no model's asks for nothing more."""
    from django.contrib import admin

    if "." not in place:
        return lambda request: True
    for model, its_admin in admin.site._registry.items():
        if model._meta.label_lower == place:
            return lambda request: bool(
                its_admin.has_view_permission(request) or its_admin.has_change_permission(request)
            )
    return _nobody


def _nobody(request: HttpRequest) -> bool:
    return False
