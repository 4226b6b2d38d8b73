"""When all is quiet again, and what does not get on: rows that are due and that nobody takes."""

import time
from collections.abc import Callable

from scripts.chaos.services import Installation

KINDS = {  # as settings.OFFLOAD_WORK_KINDS, but for chores
    "case": "cases_case",
    "payload": "outreach_inboundpayload",
    "delivery": "webhooks_delivery",
    "notice": "outreach_staffnotice",
}
_ROWS = "SELECT '{} ' || {} AS name, due_at, lease_until FROM {} WHERE due_at IS NOT NULL"
WORK = " UNION ALL ".join(_ROWS.format(kind, "id", table) for kind, table in KINDS.items())
ALL = f"{WORK} UNION ALL {_ROWS.format('chore', 'name', 'cases_chore')}"  # chores are never over


class Watch:
    """Looks for rows that are stuck: due by their own `due_at`, and held by nobody for so long since it began."""

    def __init__(self, service: Installation, seconds: float) -> None:
        self.service, self.seconds = service, seconds
        self.since = self._now()
        self.stuck: set[str] = set()
        self.longest_seconds = 0.0

    def _now(self) -> float:
        return float(self.service.rows("SELECT extract(epoch FROM clock_timestamp())")[0][0])

    def look(self) -> None:
        """Add what is stuck at this moment."""
        free_since = f"greatest(due_at, coalesce(lease_until, due_at), to_timestamp({self.since}))"
        waited = f"extract(epoch FROM clock_timestamp() - {free_since})"
        free = "due_at <= clock_timestamp() AND (lease_until IS NULL OR lease_until <= clock_timestamp())"
        for name, seconds in self.service.rows(f"SELECT name, {waited} FROM ({ALL}) AS work WHERE {free}"):
            self.longest_seconds = max(self.longest_seconds, float(seconds))
            if seconds > self.seconds:
                self.stuck.add(name)


def work_left(service: Installation) -> int:
    """How many rows still have something to do: within the next minutes, or held by somebody."""
    soon = f"SELECT count(*) FROM ({WORK}) AS work WHERE due_at <= clock_timestamp() + interval '5 min'"
    return int(service.rows(soon)[0][0])


def wait_until_quiet(service: Installation, watch: Watch, seconds: float, is_content: Callable[[], bool]) -> float:
    """Wait until nothing is left to be done, inside or outside; how long it took, at most so many seconds.

    `is_content` is asked now and then: clients do what they have still to do, and say whether it is all done.
    """
    began_at, calm = time.monotonic(), 0
    while calm < 3 and time.monotonic() - began_at < seconds:
        watch.look()
        is_busy = not is_content() or service.post("waiting") or work_left(service)
        calm = 0 if is_busy else calm + 1
        time.sleep(1.0)
    return time.monotonic() - began_at
