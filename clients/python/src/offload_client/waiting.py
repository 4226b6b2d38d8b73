"""How long a case is waited for, and how often it is asked for."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from offload_client.errors import NotInTime
from offload_client.models import Case

SOMETHING_TO_DO = frozenset({"INPUT_NEEDED", "COMPLETED", "FAILED"})
FIRST_SECONDS = 0.5
LONGEST_SECONDS = 10.0


@dataclass
class Wait:
    """One wait for a case, up to `timeout` seconds from now."""

    case_id: str
    until: Collection[str] | Callable[[Case], bool]
    timeout: float
    started: float = field(default_factory=time.monotonic)
    pauses: int = 0

    def is_over(self, case: Case) -> bool:
        return self.until(case) if callable(self.until) else case.status in self.until

    def pause(self, case: Case) -> float:
        """Seconds until the case is asked for again. Raises NotInTime."""
        left = self.started + self.timeout - time.monotonic()
        if left <= 0:
            raise NotInTime(f"case {self.case_id} is still {case.status} after {self.timeout:g} s")
        pause = min(FIRST_SECONDS * 1.5**self.pauses, LONGEST_SECONDS, left)
        self.pauses += 1
        return pause
