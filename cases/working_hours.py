"""When a follow-up may reach somebody at work."""

import re
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_PATTERN = re.compile(r"(?P<first>[A-Z][a-z]{2})-(?P<last>[A-Z][a-z]{2}) (?P<opens>\d\d)-(?P<closes>\d\d)")


Hours = tuple[range, time, time]  # days of the week (Monday 0), opening and closing time


def parse(text: str) -> Hours | None:
    """The hours from text like `Mon-Fri 08-18`; None for `off` or nothing at all. Raises ImproperlyConfigured."""
    if text in ("", "off"):
        return None
    match = _PATTERN.fullmatch(text)
    if not match or match["first"] not in DAYS or match["last"] not in DAYS:
        raise ImproperlyConfigured(f"OFFLOAD_WORKING_HOURS is {text!r}; write it like 'Mon-Fri 08-18', or 'off'.")
    days = range(DAYS.index(match["first"]), DAYS.index(match["last"]) + 1)
    opens, closes = int(match["opens"]), int(match["closes"])
    if not days or not 0 <= opens < closes <= 23:
        raise ImproperlyConfigured(f"OFFLOAD_WORKING_HOURS is {text!r}, which leaves no time to work.")
    return days, time(opens), time(closes)


def next_working_time(moment: datetime, zone: str | None) -> datetime:
    """The moment itself if it falls into working hours in the IANA zone, else the next opening; in UTC.

    Without a zone nobody knows when they work, and the moment stands; so it does where the hours are switched off.
    """
    hours = parse(settings.OFFLOAD_WORKING_HOURS)
    if zone is None or hours is None:
        return moment
    days, opens, closes = hours
    local = moment.astimezone(ZoneInfo(zone))
    if local.weekday() in days and opens <= local.time() < closes:
        return moment
    day = local.date() if local.time() < opens else local.date() + timedelta(days=1)
    while day.weekday() not in days:
        day += timedelta(days=1)
    return datetime.combine(day, opens, tzinfo=ZoneInfo(zone)).astimezone(UTC)
