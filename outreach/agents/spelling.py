"""Numbers and dates as people write them. Where a spelling has two readings, both are given: nobody guesses here."""

import re
from datetime import date
from decimal import Decimal, InvalidOperation

from outreach.months import MONTHS

_YES = frozenset({"yes", "y", "true", "ja", "jawohl", "oui", "sí", "si", "sì", "sim", "tak", "jo"})
_NO = frozenset({"no", "n", "false", "nein", "non", "não", "nee", "nej", "nei", "nie"})

_NAME = r"(?P<month>[^\W\d_]{3,12})\.?"
_ORDINAL = r"(?:st|nd|rd|th|er|º|\.)?"
_NUMERIC = re.compile(
    r"(?<![\d.,/-])(?P<a>\d{1,4})(?P<separator>[-./])(?P<b>\d{1,2})(?P=separator)(?P<c>\d{1,4})(?!\d)"
)
_DAY_FIRST = re.compile(
    rf"(?<!\d)(?P<day>\d{{1,2}}){_ORDINAL}\s*(?:de\s+)?{_NAME}\s*(?:de\s+)?,?\s*(?P<year>\d{{4}})(?!\d)"
)
_MONTH_FIRST = re.compile(rf"{_NAME}\s+(?P<day>\d{{1,2}}){_ORDINAL},?\s+(?P<year>\d{{4}})(?!\d)")


_AROUND_A_DATE = re.compile(
    r"\b(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?"
    r"|(?:mon|diens|donners|frei|sams|sonn)tag|mittwoch|lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche"
    r"|lunes|martes|miércoles|jueves|viernes|sábado|domingo|luned[ìi]|marted[ìi]|mercoled[ìi]|gioved[ìi]|venerd[ìi]|sabato"
    r"|domenica|(?:maan|dins|woens|donder|vrij|zater|zon)dag|(?:segunda|terça|quarta|quinta|sexta)(?:-feira)?"
    r"|poniedziałek|wtorek|środa|czwartek|piątek|sobota|niedziela|the|on|am|den|der|le|el|il|op|em|dnia|r)\b",
    re.IGNORECASE,
)


def yes_no(text: str) -> bool | None:
    """A plain yes or no in one of several languages; None for anything more or else."""
    word = text.strip().rstrip(".! ").casefold()
    return True if word in _YES else False if word in _NO else None


def date_alone(text: str) -> date | None:
    """The day that the text names and nothing else: "not before 14 December 2026" may mean any, "03/04/2027" two."""
    found, rest = dates(text), text
    for pattern in (_NUMERIC, _DAY_FIRST, _MONTH_FIRST, _AROUND_A_DATE):
        rest = pattern.sub("", rest)
    return found.pop() if len(found) == 1 and not any(character.isalnum() for character in rest) else None


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


def around_number(text: str) -> tuple[str, str]:
    """What stands before and after the first number of the text; all of it before, where there is none."""
    match = _NUMBER.search(text)
    return (text[: match.start()].strip(), text[match.end() :].strip()) if match else (text.strip(), "")


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
