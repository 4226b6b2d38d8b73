"""What settings name by dotted path must exist when the service starts, not when it is first needed."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import import_string

from cases import chores, events, leases

# What staff pages show of other rooms.
STAFF_PAGES = (
    "OFFLOAD_ANSWER_PREVIEW",
    "OFFLOAD_CLIENT_SECTIONS",
    "OFFLOAD_FILE_PREVIEW",
    "OFFLOAD_FILE_READER",
    "OFFLOAD_HOME_SOURCES",
    "OFFLOAD_MAIL_ORIGINALS",
    "OFFLOAD_MAIL_PREVIEW",
    "OFFLOAD_MODEL_USE",
    "OFFLOAD_TIMELINE_SOURCES",
)


@register()
def named_code_exists(**_: Any) -> list[CheckMessage]:
    """Errors for work kinds, event listeners, chores and parts of staff pages whose dotted path leads nowhere."""
    found: list[CheckMessage] = []
    named: list[tuple[str, Callable[[], Any]]] = [
        ("OFFLOAD_WORK_KINDS", leases.kinds),
        ("OFFLOAD_EVENT_LISTENERS", events.listeners),
        ("OFFLOAD_CHORES", chores.configured),
        *((name, partial(_load, name)) for name in STAFF_PAGES),
    ]
    for setting, load in named:
        try:
            load()
        except ImportError as error:
            found.append(Error(f"{setting}: {error}", id="cases.E001"))
    return found


def _load(setting: str) -> None:
    value = getattr(settings, setting)
    for path in [value] if isinstance(value, str) else value:
        import_string(path)
