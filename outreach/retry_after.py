"""How long a service asks to be left alone."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MOST_SECONDS = 24 * 3600.0


def seconds_of(headers: Mapping[str, str]) -> float | None:
    """Seconds by `Retry-After`, a number or an HTTP date (RFC 9110 §10.2.3), or by OpenAI's `retry-after-ms`.

    Between 0 and a day; None where neither is there or can be read. `headers` know their names in any case.
    """
    in_milliseconds = _number(headers.get("retry-after-ms"))
    if in_milliseconds is not None:
        return _bounded(in_milliseconds / 1000)
    value = headers.get("Retry-After")
    if value is None:
        return None
    seconds = _number(value)
    return _bounded(seconds) if seconds is not None else _until(value)


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return None if math.isnan(number) else number


def _until(value: str) -> float | None:
    try:
        at = parsedate_to_datetime(value)
        return _bounded((at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), MOST_SECONDS)
