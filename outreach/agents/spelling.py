"""Numbers and dates as people write them. Where a spelling has two readings, both are given: nobody guesses here."""

import re
from datetime import date
from decimal import Decimal, InvalidOperation

from outreach.months import MONTHS

YES_NO = {
    "yes": True, "y": True, "true": True, "ja": True, "oui": True, "sí": True, "si": True, "sim": True,
    "no": False, "n": False, "false": False, "nein": False, "non": False, "não": False,
}  # fmt: skip

_NAME = r"(?P<month>[^\W\d_]{3,10})\.?"
_ORDINAL = r"(?:st|nd|rd|th|er|º|\.)?"
_NUMERIC = re.compile(r"(?<![\d.,/-])(?P<a>\d{1,4})(?P<separator>[-./])(?P<b>\d{1,2})(?P=separator)(?P<c>\d{1,4})(?!\d)")
_DAY_FIRST = re.compile(rf"(?<!\d)(?P<day>\d{{1,2}}){_ORDINAL}\s*(?:de\s+)?{_NAME}\s*(?:de\s+)?,?\s*(?P<year>\d{{4}})(?!\d)")
_MONTH_FIRST = re.compile(rf"{_NAME}\s+(?P<day>\d{{1,2}}){_ORDINAL},?\s+(?P<year>\d{{4}})(?!\d)")


def dates(text: str) -> set[date]:
    """Every day that the text can name with day, month and year: `2027-01-31`, `31.1.2027`, `January 31st, 2027` …"""
    found: set[date | None] = set()
    for match in _NUMERIC.finditer(text):
        found |= _numeric(match["a"], match["b"], match["c"], match["separator"])
    for pattern in (_DAY_FIRST, _MONTH_FIRST):
        for match in pattern.finditer(text):
            month = MONTHS.get(match["month"].casefold(), 0)
            found.add(_date(int(match["year"]), month, int(match["day"])))
    return {day for day in found if day}


def _numeric(a: str, b: str, c: str, separator: str) -> set[date | None]:
    if len(a) == 4:
        return {_date(int(a), int(b), int(c))}
    if len(c) != 4 or len(a) > 2:
        return set()
    day_first = _date(int(c), int(b), int(a))
    # With dots the day comes first everywhere; with slashes or hyphens the month does in some countries.
    return {day_first} if separator == "." else {day_first, _date(int(c), int(a), int(b))}


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


_NUMBER = re.compile(r"(?<![\w.,])[+-]?\d[\d.,'’\u00a0\u202f]*(?:\s\d{3}(?!\d))*(?:[.,]\d+)?")


def numbers(text: str) -> set[Decimal]:
    """Every number that the text can name: `1250.5`, `1.250,50`, `1 250`; `1,250` is both 1250 and 1.25."""
    return {number for match in _NUMBER.finditer(text) for number in _readings(match[0])}


def _readings(token: str) -> set[Decimal]:
    plain = re.sub(r"['’\s\u00a0\u202f]", "", token).rstrip(".,")
    last = max(plain.rfind("."), plain.rfind(","))
    if last < 0:
        return _decimals(plain)
    separator, other = plain[last], "," if plain[last] == "." else "."
    whole, fraction = plain[:last], plain[last + 1 :]
    if separator in whole:  # 1.250.000: it groups thousands
        return _decimals(plain.replace(separator, "")) if other not in plain else set()
    as_decimal = _decimals(f"{whole.replace(other, '')}.{fraction}")
    grouped = len(fraction) == 3 and other not in whole and 1 <= len(whole.lstrip("+-")) <= 3 and whole != "0"
    return as_decimal | (_decimals(whole + fraction) if grouped else set())


def _decimals(digits: str) -> set[Decimal]:
    try:
        return {Decimal(digits)}
    except InvalidOperation:
        return set()
