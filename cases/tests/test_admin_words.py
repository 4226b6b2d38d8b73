"""Lengths of time, as the staff's pages word them."""

from datetime import UTC, datetime, timedelta

import pytest

from cases.admin import words


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "less than a minute"),
        (59, "less than a minute"),
        (60, "1 minute"),
        (90, "2 minutes"),
        (59 * 60 + 29, "59 minutes"),
        (59 * 60 + 40, "1 hour"),
        (3 * 3600, "3 hours"),
        (23 * 3600 + 20 * 60, "23 hours"),
        (23 * 3600 + 40 * 60, "1 day"),
        (35 * 3600, "1 day"),
        (71 * 3600 + 59 * 60, "3 days"),
        (6 * 86400 + 40000, "6 days"),
        (6 * 86400 + 80000, "1 week"),
        (21 * 86400, "3 weeks"),
        (45 * 86400, "2 months"),
        (400 * 86400, "1 year"),
    ],
)
def test_a_length_of_time_is_rounded_to_its_largest_unit(seconds: int, said: str) -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert words.span(now, now + timedelta(seconds=seconds)) == said
