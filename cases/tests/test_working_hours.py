"""Follow-ups reach people at work, in their own time zone."""

from datetime import UTC, datetime, time

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from cases.working_hours import next_working_time, parse

# 2027-01-04 is a Monday.


@pytest.mark.parametrize(
    ("moment", "zone", "expected"),
    [
        ("2027-01-04 12:00", "Europe/Zurich", "2027-01-04 12:00"),
        ("2027-01-04 07:00", "Europe/Zurich", "2027-01-04 07:00"),  # 8 there
        ("2027-01-04 06:59", "Europe/Zurich", "2027-01-04 07:00"),
        ("2027-01-04 16:59", "Europe/Zurich", "2027-01-04 16:59"),
        ("2027-01-04 17:00", "Europe/Zurich", "2027-01-05 07:00"),  # 18 there: closed
        ("2027-01-04 23:30", "Europe/Zurich", "2027-01-05 07:00"),  # Tuesday 0:30 there
        ("2027-01-08 17:00", "Europe/Zurich", "2027-01-11 07:00"),  # Friday evening
        ("2027-01-09 12:00", "Europe/Zurich", "2027-01-11 07:00"),
        ("2027-01-10 23:30", "Europe/Zurich", "2027-01-11 07:00"),  # Monday 0:30 there
        ("2027-01-10 22:00", "Asia/Tokyo", "2027-01-10 23:00"),  # Monday 7:00 there
        ("2027-01-04 02:00", "America/Los_Angeles", "2027-01-04 16:00"),  # Sunday there
        ("2027-01-04 04:00", "Asia/Kathmandu", "2027-01-04 04:00"),  # 9:45 there
        ("2027-01-03 12:00", None, "2027-01-03 12:00"),
        # Zurich changes to summer time on 28 March 2027, back on 31 October
        ("2027-03-26 18:00", "Europe/Zurich", "2027-03-29 06:00"),
        ("2027-10-29 18:00", "Europe/Zurich", "2027-11-01 07:00"),
        # In Cairo clocks go from midnight to 1 o'clock on Friday, 30 April 2027
        ("2027-04-29 21:30", "Africa/Cairo", "2027-04-30 05:00"),
    ],
)
def test_next_working_time(moment: str, zone: str | None, expected: str) -> None:
    found = next_working_time(datetime.fromisoformat(moment).replace(tzinfo=UTC), zone)
    assert found == datetime.fromisoformat(expected).replace(tzinfo=UTC)
    assert found.utcoffset() == UTC.utcoffset(None)


def test_other_hours_are_a_setting(settings: Settings) -> None:
    settings.OFFLOAD_WORKING_HOURS = "Tue-Sun 10-12"
    monday = datetime(2027, 1, 4, 11, tzinfo=UTC)
    assert next_working_time(monday, "UTC") == datetime(2027, 1, 5, 10, tzinfo=UTC)


@pytest.mark.parametrize("text", ["off", ""])
def test_they_can_be_switched_off(settings: Settings, text: str) -> None:
    settings.OFFLOAD_WORKING_HOURS = text
    sunday = datetime(2027, 1, 3, 3, tzinfo=UTC)
    assert next_working_time(sunday, "Europe/Zurich") == sunday


def test_parse() -> None:
    assert parse("Mon-Fri 08-18") == (range(5), time(8), time(18))
    assert parse("Sun-Sun 00-23") == (range(6, 7), time(0), time(23))


@pytest.mark.parametrize(
    "text",
    [
        "OFF",
        "Mon-Fri",
        "Mon-Fri 8-18",
        "Fri-Mon 08-18",
        "Foo-Fri 08-18",
        "Mon-Fri 18-08",
        "Mon-Fri 08-24",
        "Mon-Fri 08-18 ",
    ],
)
def test_hours_that_can_not_be_meant(text: str) -> None:
    with pytest.raises(ImproperlyConfigured):
        parse(text)
