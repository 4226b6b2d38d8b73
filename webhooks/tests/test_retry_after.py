from datetime import UTC, datetime, timedelta

import pytest

from webhooks.retry_after import asked_for

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 120 ", 120),
        ("0", 0),
        ("86400", 86400),
        ("86401", 86400),
        ("9" * 400, 86400),
        ("Mon, 02 Mar 2026 12:10:00 GMT", 600),
        ("Mon, 02 Mar 2026 12:10:00 -0000", 600),
        ("Mon, 02 Mar 2026 11:59:00 GMT", 0),
        ("Thu, 02 Mar 2099 12:00:00 GMT", 86400),
        ("-5", 0),
        ("1.5", 0),
        ("soon", 0),
        ("", 0),
        ("Mon, 99 Foo 2026 99:99:99 GMT", 0),
        ("\u0661\u0662", 0),
    ],
)
def test_seconds_and_dates_are_read_and_bounded(value: str, seconds: int) -> None:
    assert asked_for({"Content-Length": "7", "retry-After": value}, NOW) == timedelta(seconds=seconds)


def test_none_asks_for_nothing() -> None:
    assert asked_for({"Content-Length": "7"}, NOW) == timedelta(0)
