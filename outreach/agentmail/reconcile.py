"""Looks for mail that no webhook has told of: AgentMail disables one that fails, and repeats nothing afterwards."""

import logging
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

from cases import work
from outreach.agentmail import door, inboxes
from outreach.agentmail.client import AgentMail, AgentMailError, Fields

logger = logging.getLogger(__name__)

FIRST_LOOK = timedelta(hours=24)
OVERLAP = timedelta(hours=1)  # a message may be listed later than its own time says
EVERYWHERE = {"include_spam": True, "include_blocked": True, "include_unauthenticated": True}


def look(seconds: float, last_look_at: datetime | None) -> None:
    """The chore: what has come since the last look, which is done within `seconds`. Raises StepFailed."""
    found = since(last_look_at - OVERLAP if last_look_at else work.now() - FIRST_LOOK, seconds=seconds)
    if found:
        logger.warning("%d mails had come to AgentMail without a word: is the webhook enabled?", found)


def since(moment: datetime, *, seconds: float) -> int:
    """Take in what has come to our inboxes since the moment and is not here yet; how many mails that were.

    One inbox that can't be read keeps none of the others waiting. Raises StepFailed in the end, if there was one.
    """
    deadline, found, failures = time.monotonic() + seconds, 0, []
    for inbox_id in sorted(inboxes.ours()):
        work.let_go_of_connection()
        try:
            found += _one_inbox(AgentMail(seconds=deadline - time.monotonic()), inbox_id, moment)
        except AgentMailError as error:
            failures.append(error)
    if failures:
        raise work.StepFailed(
            "; ".join(str(error) for error in failures),
            retry_after_seconds=max(error.retry_after_seconds for error in failures),
        )
    return found


def _one_inbox(api: AgentMail, inbox_id: str, moment: datetime) -> int:
    try:
        return _take(inbox_id, api.messages(inbox_id, after=moment, ascending=True, **EVERYWHERE))
    except AgentMailError as error:
        if error.status != 403:
            raise
        logger.warning("%s: the key may not read hidden labels, so only the inbox itself is looked at", inbox_id)
        return _take(inbox_id, api.messages(inbox_id, after=moment, ascending=True))


def _take(inbox_id: str, listed: Iterator[Fields]) -> int:
    return sum(door.take_listed({"inbox_id": inbox_id, **item}) for item in listed if _is_received(item))


def _is_received(item: Fields) -> bool:
    return not {"sent", "draft", "scheduled"} & set(door.labels_of(item))
