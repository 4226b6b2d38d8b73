"""Times as people say them: in the zone of whoever reads the page, with the counterparty's beside.

The reader's zone is Django's current one, which their browser names (static/cases/zone.js). Where it has not, times are
UTC and say so.
"""

from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from django.utils import dateformat, timezone

from cases.fields import zones
from cases.models import Case


def zone_named(name: object) -> ZoneInfo | None:
    """The zone of that IANA name; None for anything else."""
    return ZoneInfo(name) if isinstance(name, str) and name in zones() else None


def readers() -> tzinfo | None:
    """The zone of whoever reads the page; None where it is UTC, or the browser has not said."""
    zone = timezone.get_current_timezone()
    return None if zone == timezone.get_default_timezone() else zone


def of_counterparty(case: Case) -> ZoneInfo | None:
    """Where the counterparty is; None where the client has not said."""
    return zone_named(case.counterparty.get("timezone"))


def place(zone: ZoneInfo) -> str:
    """The zone as people name it: `Berlin` for Europe/Berlin, `UTC` as it is."""
    return zone.key.rpartition("/")[2].replace("_", " ")


def shortly(moment: datetime) -> str:
    """For lists, tables and headings: `Thu 26 Nov 2026, 15:10`, in the reader's zone."""
    return dateformat.format(_local(moment), style())


def style() -> str:
    """How `shortly` writes a time, in the letters of Django's `date` filter; lists write theirs so, too."""
    return f"D j M Y, H:i{'' if readers() else ' e'}"  # e is the zone


def time(moment: datetime) -> str:
    """Within a day that is known: `15:10:05`."""
    return f"{_local(moment):%H:%M:%S}{_mark()}"


def day(moment: datetime) -> str:
    """The reader's day: `Thursday 26 November 2026`."""
    return dateformat.format(_local(moment), "l j F Y")


def at_length(moment: datetime, theirs: ZoneInfo | None = None) -> str:
    """Within a sentence: `Thursday 26 November 2026, 09:10 in Berlin (15:10 for you)`.

    Of the reader's time only what differs from the counterparty's; without a zone of theirs, the reader's alone.
    """
    if theirs is None:
        return f"{day(moment)}, {_local(moment):%H:%M}{_mark()}"
    there, here = moment.astimezone(theirs), _local(moment)
    said = f"{_day(there.date())}, {there:%H:%M} in {place(theirs)}"
    if there.utcoffset() == here.utcoffset():
        return said
    whose = " for you" if readers() else " UTC"
    other_day = "" if there.date() == here.date() else f"{dateformat.format(here, 'l j F')}, "
    return f"{said} ({other_day}{here:%H:%M}{whose})"


def beside(moment: datetime, theirs: ZoneInfo | None) -> str:
    """What the counterparty's clock shows, with the day where it is another; empty where it shows the same."""
    if theirs is None:
        return ""
    there, here = moment.astimezone(theirs), _local(moment)
    if there.utcoffset() == here.utcoffset():
        return ""
    other_day = "" if there.date() == here.date() else f"{dateformat.format(there, 'D')} "
    return f"{other_day}{there:%H:%M} in {place(theirs)}"


def difference(theirs: ZoneInfo, now: datetime) -> str:
    """How far their clocks are from the reader's: `6 hours behind you`, `the same time as yours`."""
    there, here = (moment.utcoffset() or timedelta() for moment in (now.astimezone(theirs), _local(now)))
    minutes = round((there - here).total_seconds() / 60)
    if minutes == 0:
        return "the same time as yours" if readers() else "the same time as UTC"
    hours = f"{abs(minutes) / 60:g} hour{'' if abs(minutes) == 60 else 's'}"
    return f"{hours} {'ahead of' if minutes > 0 else 'behind'} {'you' if readers() else 'UTC'}"


def _local(moment: datetime) -> datetime:
    return moment.astimezone(readers() or UTC)


def _mark() -> str:
    return "" if readers() else " UTC"


def _day(of: date) -> str:
    return dateformat.format(of, "l j F Y")
