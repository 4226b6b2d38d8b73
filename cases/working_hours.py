"""When a follow-up may reach somebody at work."""

import re
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_PATTERN = re.compile(r"(?P<first>[A-Z][a-z]{2})-(?P<last>[A-Z][a-z]{2}) (?P<opens>\d\d)-(?P<closes>\d\d)")


def parse(text: str) -> tuple[range, time, time]:
    """Days of the week (Monday 0), opening and closing time from text like `Mon-Fri 08-18`.

    Raises ImproperlyConfigured.
    """
    match = _PATTERN.fullmatch(text)
    if not match or match["first"] not in DAYS or match["last"] not in DAYS:
        raise ImproperlyConfigured(f"OFFLOAD_WORKING_HOURS is {text!r}; write it like 'Mon-Fri 08-18'.")
    days = range(DAYS.index(match["first"]), DAYS.index(match["last"]) + 1)
    opens, closes = int(match["opens"]), int(match["closes"])
    if not days or not 0 <= opens < closes <= 23:
        raise ImproperlyConfigured(f"OFFLOAD_WORKING_HOURS is {text!r}, which leaves no time to work.")
    return days, time(opens), time(closes)


def next_working_time(moment: datetime, zone: str | None) -> datetime:
    """The moment itself if it falls into working hours in the IANA zone, else the next opening; in UTC.

    Without a zone nobody knows when they work, and the moment stands.
    """
    if zone is None:
        return moment
    days, opens, closes = parse(settings.OFFLOAD_WORKING_HOURS)
    local = moment.astimezone(ZoneInfo(zone))
    if local.weekday() in days and opens <= local.time() < closes:
        return moment
    day = local.date() if local.time() < opens else local.date() + timedelta(days=1)
    while day.weekday() not in days:
        day += timedelta(days=1)
    return datetime.combine(day, opens, tzinfo=ZoneInfo(zone)).astimezone(UTC)
