"""When a request is sent again, and after how long."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from offload_client.errors import ApiError, ConnectionFailed, IdempotencyKeyInUse, OffloadError

WORTH_REPEATING = {429, 502, 503, 504}


@dataclass(frozen=True)
class Retries:
    """Up to `attempts` in all: after `first_seconds`, then twice as long each time, up to `longest_seconds`.

    Each pause is somewhere between half of that and all of it, so that many clients don't come back at once. What the
    service asks for (`Retry-After`) is waited for, if it is no more than `longest_seconds`; else the error is raised.
    """

    attempts: int = 4
    first_seconds: float = 0.5
    longest_seconds: float = 30.0

    def pause_after(self, attempt: int, error: OffloadError) -> float | None:
        """Seconds to wait after this attempt (from 1) has failed so; None: give up."""
        if attempt >= self.attempts or not _may_pass(error):
            return None
        asked = error.retry_after_seconds if isinstance(error, ApiError) else None
        if asked is not None and asked > self.longest_seconds:
            return None
        backoff: float = min(self.first_seconds * 2 ** (attempt - 1), self.longest_seconds)
        return max(asked or 0.0, backoff * random.uniform(0.5, 1))


def _may_pass(error: OffloadError) -> bool:
    if isinstance(error, ApiError):
        return error.status in WORTH_REPEATING or isinstance(error, IdempotencyKeyInUse)
    return isinstance(error, ConnectionFailed)


def retry_after_seconds(header: str | None, now: datetime | None = None) -> float | None:
    """What a Retry-After header asks for: seconds, or a date (RFC 9110 §10.2.3); None where it asks for nothing."""
    if not header:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - (now or datetime.now(UTC))).total_seconds())
