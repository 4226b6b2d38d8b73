"""When staff are left in peace: OFFLOAD_NOTICE_QUIET_HOURS, such as `20:00-07:00 Sat,Sun Europe/Berlin`."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES = 24 * 60
_CLOCK = r"([01]\d|2[0-3]):([0-5]\d)"
_SPAN = re.compile(f"{_CLOCK}-{_CLOCK}")


@dataclass(frozen=True)
class QuietHours:
    """Spans of each day (one that ends before it begins goes on over midnight) and whole days, in one time zone."""

    spans: tuple[tuple[time, time], ...]
    days: frozenset[int]  # Monday 0
    zone: ZoneInfo

    def end(self, moment: datetime) -> datetime | None:
        """When the quiet time ends that the moment falls into, in UTC; None if it falls into none."""
        until = moment
        while following := self._next_boundary(until):
            until = following
        return None if until == moment else until

    def _next_boundary(self, moment: datetime) -> datetime | None:
        """The end of one quiet day or span that the moment lies in; another one may go on there."""
        local = moment.astimezone(self.zone)
        if local.weekday() in self.days:
            return self._at(local, time(0), days=1)
        for begins, ends in self.spans:
            goes_over_midnight = ends <= begins
            if begins <= local.time() and (local.time() < ends or goes_over_midnight):
                return self._at(local, ends, days=1 if goes_over_midnight else 0)
            if goes_over_midnight and local.time() < ends:
                return self._at(local, ends, days=0)
        return None

    def _at(self, local: datetime, clock: time, *, days: int) -> datetime:
        """That time of that day, after the moment: where the clocks are set back, a time comes twice."""
        naive = datetime.combine(local.date() + timedelta(days=days), clock)
        both = [naive.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
        return next((moment for moment in both if moment > local.astimezone(UTC)), both[1])


@lru_cache(maxsize=8)
def parse(text: str) -> QuietHours | None:
    """The quiet hours from the setting; None where it is empty. Raises ImproperlyConfigured with what to write."""
    words = [word for word in re.split(r"[,\s]+", text) if word]
    if not words:
        return None
    spans, days, zones = [], set[int](), []
    for word in words:
        if span := _SPAN.fullmatch(word):
            first, second = (time(int(span[i]), int(span[i + 1])) for i in (1, 3))
            spans.append((first, second))
        elif named := _days(word.lower()):
            days |= named
        else:
            zones.append(_zone(text, word))
    if len(zones) != 1:
        raise _wrong(text, "name one time zone, such as Europe/Berlin or UTC")
    if not spans and not days:
        raise _wrong(text, "name hours or days")
    if any(begins == ends for begins, ends in spans):
        raise _wrong(text, "hours must not begin and end at the same time")
    if len(days) == len(DAYS) or _covers_a_day(spans):
        raise _wrong(text, "this leaves no time at which staff could be told anything")
    return QuietHours(tuple(spans), frozenset(days), zones[0])


def _days(word: str) -> set[int]:
    """The days that `sat`, `sat-sun` or `fri-mon` names; none for anything else."""
    first, _, last = word.partition("-")
    last = last or first
    if first not in DAYS or last not in DAYS:
        return set()
    begins, length = DAYS.index(first), (DAYS.index(last) - DAYS.index(first)) % 7
    return {(begins + day) % 7 for day in range(length + 1)}


def _zone(text: str, word: str) -> ZoneInfo:
    try:
        return ZoneInfo(word)
    except (KeyError, ValueError, OSError) as error:  # unknown; a path; a folder of them
        raise _wrong(text, f"{word!r} is neither HH:MM-HH:MM, nor a day such as Sat, nor a time zone") from error


def _wrong(text: str, why: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"OFFLOAD_NOTICE_QUIET_HOURS is {text!r}: {why}. Write it like '20:00-07:00 Sat,Sun Europe/Berlin'."
    )


def _covers_a_day(spans: list[tuple[time, time]]) -> bool:
    quiet = set[int]()
    for begins, ends in spans:
        first, last = begins.hour * 60 + begins.minute, ends.hour * 60 + ends.minute
        quiet |= {minute % MINUTES for minute in range(first, last if last > first else last + MINUTES)}
    return len(quiet) == MINUTES


def end_of_quiet(moment: datetime) -> datetime | None:
    """When staff may be told of something at this moment, if not at once."""
    hours = parse(settings.OFFLOAD_NOTICE_QUIET_HOURS)
    return hours.end(moment) if hours else None
