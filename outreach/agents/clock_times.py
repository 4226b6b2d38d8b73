"""Times of day and time zones as people write them."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

_CLOCK = re.compile(
    r"(?<![\d.:,+-])(?P<hour>\d{1,2})(?:[:h](?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.0+)?)?|\.(?P<dotted>\d{2})"
    r"(?=\s*(?:uhr|h|[ap]\.?m)\b))?(?P<half>\s*(?:[ap]\.?m\b\.?|uhr\b|h(?:eures?|oras?|s)?\b|o['’]clock))?",
    re.IGNORECASE,
)
_NAMED_TIMES = {"noon": time(12), "midday": time(12), "midi": time(12), "mittag": time(12), "midnight": time(0)}
_NAMED_TIME = re.compile(rf"\b(?:{'|'.join(_NAMED_TIMES)})\b", re.IGNORECASE)

_OFFSET = re.compile(
    r"(?:(?<=\d)|\b(?:utc|gmt)\s?)(?P<sign>[+-])(?P<hours>\d{1,2})(?::?(?P<minutes>\d{2}))?(?!\d)", re.I
)
_ABBREVIATED = {
    **dict.fromkeys(("z", "utc", "gmt", "wet"), 0),
    **dict.fromkeys(("cet", "mez", "bst", "west"), 1),
    **dict.fromkeys(("cest", "mesz", "eet"), 2),
    "eest": 3,
    "msk": 3,
    "sgt": 8,
    "hkt": 8,
    "jst": 9,
    "aest": 10,
    "aedt": 11,
    "edt": -4,
    "est": -5,
    "cdt": -5,
    "cst": -6,
    "mdt": -6,
    "mst": -7,
    "pdt": -7,
    "pst": -8,
}
_ABBREVIATION = re.compile(
    rf"(?:(?<=\d)|\b)(?:{'|'.join(sorted(_ABBREVIATED, key=len, reverse=True))})\b(?![+-]\d)", re.I
)
_REGION = re.compile(r"\b[a-z]+/[a-z_]+(?:/[a-z_]+)?\b", re.IGNORECASE)
_CITY = re.compile(r"\b(?P<city>[a-z]+(?: [a-z]+)?) (?:time|zeit)\b|\bheure de (?P<ville>[a-z]+)\b", re.IGNORECASE)


def times(text: str) -> set[time]:
    """Every time of day that the text names: `14:30`, `2.30 pm`, `14h30`, `14 Uhr`, `noon`."""
    found = {_NAMED_TIMES[match[0].casefold()] for match in _NAMED_TIME.finditer(text)}
    return found | {at for match in _CLOCK.finditer(text) if (at := _time(match)) is not None}


def _time(match: re.Match[str]) -> time | None:
    half = (match["half"] or "").strip().casefold()
    minute = match["minute"] or match["dotted"]
    if minute is None and not half:
        return None  # a bare number
    hour = int(match["hour"])
    if half[:1] in {"a", "p"}:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half.startswith("p") else 0)
    try:
        return time(hour, int(minute or 0), int(match["second"] or 0))
    except ValueError:
        return None


def zones(text: str) -> list[tzinfo]:
    """Every time zone that the text names: `+01:00`, `UTC+1`, `CET`, `Z`, `Europe/Berlin`, `Berlin time`."""
    return [*_fixed(text), *_regions(text)]


def _fixed(text: str) -> Iterator[tzinfo]:
    for match in _OFFSET.finditer(text):
        length = timedelta(hours=int(match["hours"]), minutes=int(match["minutes"] or 0))
        if length < timedelta(hours=15):
            yield timezone(-length if match["sign"] == "-" else length)
    for match in _ABBREVIATION.finditer(text):
        yield timezone(timedelta(hours=_ABBREVIATED[match[0].casefold()]))


def _regions(text: str) -> Iterator[tzinfo]:
    names, cities = _zone_names()
    for match in _REGION.finditer(text):
        if name := names.get(match[0].casefold()):
            yield ZoneInfo(name)
    for match in _CITY.finditer(text):
        city = (match["city"] or match["ville"]).casefold()
        if name := cities.get(city) or cities.get(city.rpartition(" ")[2]):
            yield ZoneInfo(name)


@cache
def _zone_names() -> tuple[dict[str, str], dict[str, str]]:
    """The names of the zone database by themselves, and by their cities."""
    names = {name.casefold(): name for name in available_timezones()}
    regions = sorted(name for name in names.values() if "/" in name and not name.startswith(("Etc/", "SystemV/")))
    return names, {name.rpartition("/")[2].replace("_", " ").casefold(): name for name in regions}


_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?", re.IGNORECASE)


def moment(value: str) -> datetime | None:
    """The date and time that a value is by ISO 8601 or RFC 3339, with or without zone; None for anything else."""
    try:
        return datetime.fromisoformat(value) if _MOMENT.fullmatch(value) else None
    except ValueError:
        return None


def clock_readings(at: datetime, named: list[tzinfo]) -> list[datetime]:
    """What clocks show at the moment in each of the zones; without a zone of its own, what it says itself."""
    if at.tzinfo is None:
        return [at]
    return [at.astimezone(UTC).astimezone(zone).replace(tzinfo=None) for zone in named]
