"""What an endpoint says about when to come back."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

LONGEST = timedelta(hours=24)  # an endpoint can put us off, but not for ever


def asked_for(headers: Mapping[str, str], now: datetime) -> timedelta:
    """The wait that Retry-After asks for, in seconds or as a date (RFC 9110 §10.2.3), at most LONGEST.

    Zero where there is none, where it can't be read, and where its date has passed.
    """
    text = next((value.strip() for name, value in headers.items() if name.lower() == "retry-after"), "")
    if re.fullmatch("[0-9]+", text):
        return timedelta(seconds=min(int(text), LONGEST.total_seconds()))
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return timedelta(0)
    date = date if date.tzinfo else date.replace(tzinfo=UTC)  # "-0000" is UTC, too
    return min(max(date - now, timedelta(0)), LONGEST)
