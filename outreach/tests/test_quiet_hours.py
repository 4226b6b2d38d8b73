"""When staff are left in peace, to the minute, in their own time zone."""

from datetime import UTC, datetime

import pytest
from django.core.exceptions import ImproperlyConfigured

from outreach.staff_notices.quiet_hours import parse

NIGHTS = "20:00-07:00 Europe/Berlin"
NIGHTS_AND_WEEKENDS = "20:00-07:00 Sat,Sun Europe/Berlin"


def end(text: str, moment: str) -> str | None:
    """When the quiet time of that moment (UTC) ends."""
    hours = parse(text)
    assert hours
    found = hours.end(datetime.fromisoformat(moment).replace(tzinfo=UTC))
    return f"{found:%Y-%m-%d %H:%M}" if found else None


@pytest.mark.parametrize(
    ("moment", "ends"),
    [
        ("2026-11-25 18:59:59", None),  # Wednesday, 19:59:59 in Berlin
        ("2026-11-25 19:00", "2026-11-26 06:00"),
        ("2026-11-25 23:30", "2026-11-26 06:00"),  # past midnight there
        ("2026-11-26 05:59:59", "2026-11-26 06:00"),
        ("2026-11-26 06:00", None),
        ("2026-07-01 18:00", "2026-07-02 05:00"),  # summer time
    ],
)
def test_a_night_goes_over_midnight(moment: str, ends: str | None) -> None:
    assert end(NIGHTS, moment) == ends


@pytest.mark.parametrize(
    ("moment", "ends"),
    [
        ("2026-11-27 12:00", None),  # Friday noon
        ("2026-11-27 19:00", "2026-11-30 06:00"),  # its evening joins Saturday, Sunday, and Monday's early morning
        ("2026-11-28 12:00", "2026-11-30 06:00"),
        ("2026-11-29 22:59", "2026-11-30 06:00"),
        ("2026-11-30 06:00", None),
    ],
)
def test_a_weekend_is_one_quiet_time_with_the_nights_around_it(moment: str, ends: str | None) -> None:
    assert end(NIGHTS_AND_WEEKENDS, moment) == ends


def test_a_quiet_day_begins_and_ends_at_midnight_of_its_zone() -> None:
    assert end("Sun America/New_York", "2026-11-29 04:59") is None
    assert end("Sun America/New_York", "2026-11-29 05:00") == "2026-11-30 05:00"


def test_several_spans_that_touch_are_one() -> None:
    assert end("12:00-13:00 13:00-14:00 UTC", "2026-11-26 12:30") == "2026-11-26 14:00"


def test_days_can_be_given_from_one_to_another_in_any_order_and_case() -> None:
    assert parse("Europe/Berlin, sat-SUN, 20:00-07:00") == parse(NIGHTS_AND_WEEKENDS)
    assert parse("fri-mon UTC") == parse("Fri Sat Sun Mon UTC")


@pytest.mark.parametrize(
    ("text", "moment", "ends"),
    [
        # On 29 March 2026 there is no 02:30 in Berlin, and on 25 October 2026 there are two.
        ("22:00-02:30 Europe/Berlin", "2026-03-29 00:30", "2026-03-29 01:30"),
        ("22:00-02:30 Europe/Berlin", "2026-10-25 00:00", "2026-10-25 00:30"),
        ("22:00-02:30 Europe/Berlin", "2026-10-25 01:10", "2026-10-25 01:30"),
    ],
)
def test_clocks_that_are_changed(text: str, moment: str, ends: str) -> None:
    assert end(text, moment) == ends


def test_nothing_at_all_is_no_quiet_time() -> None:
    assert parse("") is None
    assert parse("  ") is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("20:00-07:00", "name one time zone"),
        ("20:00-07:00 Europe/Berlin UTC", "name one time zone"),
        ("Europe/Berlin", "name hours or days"),
        ("20-07 Europe/Berlin", "'20-07' is neither"),
        ("20:00-24:00 UTC", "'20:00-24:00' is neither"),
        ("20:60-21:00 UTC", "'20:60-21:00' is neither"),
        ("weekend UTC", "'weekend' is neither"),
        ("20:00-07:00 Europe/Atlantis", "'Europe/Atlantis' is neither"),
        ("20:00-07:00 ../../etc/passwd", "'../../etc/passwd' is neither"),
        ("20:00-07:00 Europe", "'Europe' is neither"),
        ("07:00-07:00 UTC", "begin and end at the same time"),
        ("Mon-Sun UTC", "leaves no time"),
        ("00:00-12:00 12:00-00:00 UTC", "leaves no time"),
    ],
)
def test_what_can_not_be_read_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="OFFLOAD_NOTICE_QUIET_HOURS is") as refused:
        parse(text)
    assert why in str(refused.value)
