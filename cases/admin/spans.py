"""Lengths of time in a few characters, for tiles and axes."""

UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
STEPS = (  # seconds that an axis of time may end at
    *(10, 30, 60, 120, 300, 600, 1200, 1800),
    *(hours * 3600 for hours in (1, 2, 4, 8, 12)),
    *(days * 86400 for days in (1, 2, 4, 7, 14, 30, 60, 120, 240)),
)


def short(seconds: float) -> str:
    """In the largest unit of which there is at least one, with a decimal below ten: `45 s`, `1.5 h`, `12 d`."""
    for length, unit in UNITS:
        if seconds >= length or length == 1:
            amount = seconds / length
            return f"{amount:.1f}".removesuffix(".0") + f" {unit}" if amount < 9.95 else f"{amount:.0f} {unit}"
    raise AssertionError("a second is the last unit")


def end_of_axis(most: float) -> float:
    """The first length that people count in and that is not shorter."""
    return next((float(step) for step in STEPS if step >= most), most)
