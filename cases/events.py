"""The timeline, and who is told of it."""

import logging
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from cases import log_context, metrics
from cases.models import Case, Event

logger = logging.getLogger(__name__)

SYSTEM = "system"
COUNTERPARTY = "counterparty"

Listener = Callable[[Case, Event], None]


def record(case: Case, type: str, *, actor: str = SYSTEM, **data: Any) -> Event:
    """Write a line of the timeline and call its listeners, all in the caller's transaction.

    For a case you hold locked, after its fields are set. `data` must be JSON. A listener that fails undoes the change:
    no status without its event, and no event that a client was to hear of without its delivery.
    """
    event = Event.objects.create(case=case, type=type, actor=actor, at=case.now, data=data)
    for listener in listeners().get(type, ()):
        listener(case, event)
    metrics.EVENTS.add_after_commit(type=type)
    transaction.on_commit(partial(_log, event, case.client_id), robust=True)
    return event


def _log(event: Event, client_id: Any) -> None:
    with log_context.bound(case_id=event.case_id, client_id=client_id):
        logger.info("case %s: %s by %s", event.case_id, event.type, event.actor)


@cache
def listeners() -> dict[str, list[Listener]]:
    """Event type to those who hear of it, from settings.OFFLOAD_EVENT_LISTENERS. Raises ImportError on a wrong path."""
    return {type_: [import_string(path) for path in paths] for type_, paths in settings.OFFLOAD_EVENT_LISTENERS.items()}
