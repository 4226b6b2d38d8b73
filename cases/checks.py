"""What settings name by dotted path must exist when the service starts, not when it is first needed."""

from typing import Any

from django.core.checks import CheckMessage, Error, register

from cases import chores, events, leases


@register()
def named_code_exists(**_: Any) -> list[CheckMessage]:
    """Errors for whatever a setting names whose dotted path leads nowhere."""
    from cases.admin import lines, originals  # what the staff's pages are made of is loaded after the models

    found: list[CheckMessage] = []
    for setting, load in (
        ("OFFLOAD_WORK_KINDS", leases.kinds),
        ("OFFLOAD_EVENT_LISTENERS", events.listeners),
        ("OFFLOAD_CHORES", chores.configured),
        ("OFFLOAD_TIMELINE_SOURCES", lines.sources),
        ("OFFLOAD_MAIL_ORIGINALS", originals.originals),
    ):
        try:
            load()
        except ImportError as error:
            found.append(Error(f"{setting}: {error}", id="cases.E001"))
    return found
