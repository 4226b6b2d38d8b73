"""When the next follow-up is due, for any delay that a client may ask for."""

from datetime import UTC, datetime, timedelta

import pytest

from cases.correspondence import follow_up_time
from cases.factories import CaseFactory
from cases.payload_parts import milliseconds
from cases.resources import NOTHING_SCHEDULED

NOW = datetime(2027, 1, 4, 12, tzinfo=UTC)  # a Monday


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("hours", "zone", "expected"),
    [
        (1, None, NOW + timedelta(hours=1)),
        (8760, None, NOW + timedelta(days=365)),
        (2**31 - 1, None, datetime(9999, 1, 1, tzinfo=UTC)),
        (2**31 - 1, "Pacific/Kiritimati", datetime(9999, 1, 1, tzinfo=UTC)),  # Friday 14:00 there
        (2**31 - 1, "Europe/Zurich", datetime(9999, 1, 1, 7, tzinfo=UTC)),
    ],
)
def test_the_longest_delay_ends_before_the_calendar_does(hours: int, zone: str | None, expected: datetime) -> None:
    counterparty = {"address": "ann@supplier.example", "name": "Ann", **({"timezone": zone} if zone else {})}
    case = CaseFactory(follow_up_delay_hours=hours, transport="email", counterparty=counterparty)
    case.now = NOW
    assert follow_up_time(case) == expected
    assert milliseconds(follow_up_time(case)) < NOTHING_SCHEDULED
