"""What settings name by dotted path must exist when the service starts, not when it is first needed."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import import_string

from cases import chores, events, leases


@register()
def named_code_exists(**_: Any) -> list[CheckMessage]:
    """Errors for work kinds, event listeners, chores … whose dotted path leads nowhere."""
    from cases.admin import waiting  # the admin's modules can be imported only once all apps are there

    found: list[CheckMessage] = []
    for setting, load in (
        ("OFFLOAD_WORK_KINDS", leases.kinds),
        ("OFFLOAD_EVENT_LISTENERS", events.listeners),
        ("OFFLOAD_CHORES", chores.configured),
        ("OFFLOAD_HOME_SOURCES", waiting.finders),
        ("OFFLOAD_MODEL_USE", lambda: import_string(settings.OFFLOAD_MODEL_USE)),
    ):
        try:
            load()
        except ImportError as error:
            found.append(Error(f"{setting}: {error}", id="cases.E001"))
    return found
