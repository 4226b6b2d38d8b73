"""What settings name by dotted path must exist when the service starts, not when it is first needed."""

from functools import partial
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import import_string

from cases import chores, events, leases


@register()
def named_code_exists(**_: Any) -> list[CheckMessage]:
    """Errors for work kinds, event listeners and chores whose dotted path leads nowhere."""
    found: list[CheckMessage] = []
    for setting, load in (
        ("OFFLOAD_WORK_KINDS", leases.kinds),
        ("OFFLOAD_EVENT_LISTENERS", events.listeners),
        ("OFFLOAD_CHORES", chores.configured),
        ("OFFLOAD_MAIL_PREVIEW", partial(import_string, settings.OFFLOAD_MAIL_PREVIEW)),
        ("OFFLOAD_ANSWER_PREVIEW", partial(import_string, settings.OFFLOAD_ANSWER_PREVIEW)),
    ):
        try:
            load()
        except ImportError as error:
            found.append(Error(f"{setting}: {error}", id="cases.E001"))
    return found
