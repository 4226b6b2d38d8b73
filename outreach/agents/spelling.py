"""Numbers and dates as people write them. Where a spelling has two readings, both are given: nobody guesses here."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Generic, TypeVar

from outreach.months import MONTHS

T = TypeVar("T")


@dataclass(frozen=True)
class Token(Generic[T]):
    """What stands at a place of a text, in each of its readings."""

    start: int
    end: int
    readings: frozenset[T]

    @property
    def only(self) -> T | None:
        """The reading, where there is one alone."""
        return next(iter(self.readings)) if len(self.readings) == 1 else None


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
    return {day for token in date_tokens(text) for day in token.readings}


def date_tokens(text: str) -> list[Token[date]]:
    """Each day that the text names, where it stands."""
    found = [
        _token(match, _numeric(match["a"], match["b"], match["c"], match["separator"]))
        for match in _NUMERIC.finditer(text)
    ]
    for pattern in (_DAY_FIRST, _MONTH_FIRST):
        for match in pattern.finditer(text):
            month = MONTHS.get(match["month"].casefold(), 0)
            found.append(_token(match, {_date(int(match["year"]), month, int(match["day"]))}))
    return [token for token in found if token.readings]


def settled_dates(text: str) -> list[Token[date]]:
    """Like `date_tokens`; the order of day and month is that of the text's other dates, where those leave no doubt."""
    tokens = date_tokens(text)
    orders = {_order(text, token) for token in tokens if token.only} - {""}
    if len(orders) != 1:
        return tokens
    [order] = orders
    return [replace(token, readings=_in_order(text, token, order)) for token in tokens]


def _order(text: str, token: Token[date]) -> str:
    """Whether the day or the month stands first in a date that could be mistaken; "" in others."""
    match = _NUMERIC.fullmatch(text[token.start : token.end])
    if not match or match["separator"] == "." or len(match["a"]) == 4 or match["a"].zfill(2) == match["b"].zfill(2):
        return ""
    return "day" if token.only and token.only.day == int(match["a"]) else "month"


def _in_order(text: str, token: Token[date], order: str) -> frozenset[date]:
    if token.only:
        return token.readings
    first = int(text[token.start : token.end].replace("-", "/").split("/")[0])
    return frozenset(day for day in token.readings if (day.day if order == "day" else day.month) == first)


def _token(match: re.Match[str], readings: set[T | None]) -> Token[T]:
    return Token(match.start(), match.end(), frozenset(reading for reading in readings if reading is not None))


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


_CURRENCY = r"eur|usd|gbp|chf|pln|sek|nok|dkk|czk|jpy|cad|aud"
_NUMBER = re.compile(
    rf"(?:(?<=(?<!\w)(?:{_CURRENCY}))|(?<![\w.,]))[+-]?\d[\d.,'’\u00a0\u202f]*(?: \d{{3}}(?!\d))*(?:[.,]\d+)?",
    re.IGNORECASE,
)
_MONEY_BEFORE = re.compile(rf"(?:[€$£]|(?<!\w)(?:{_CURRENCY}))\s?$", re.IGNORECASE)
_MONEY_BEHIND = re.compile(rf"\s?(?:[€$£]|(?:{_CURRENCY}|euros?|dollars?|pounds?)(?!\w))", re.IGNORECASE)


def numbers(text: str) -> set[Decimal]:
    """Every number that the text can name: `1250.5`, `1.250,50`, `1 250`; `1,250` is both 1250 and 1.25."""
    return {number for token in number_tokens(text) for number in token.readings}


def number_tokens(text: str) -> Iterator[Token[Decimal]]:
    """Each number that the text names, where it stands."""
    for match in _NUMBER.finditer(text):
        end = match.start() + len(match[0].rstrip(".,'’\u00a0\u202f"))  # what ends the sentence is none of it
        yield Token(match.start(), end, frozenset(_readings(match[0])))


def settled_numbers(text: str) -> list[Token[Decimal]]:
    """Like `number_tokens`; `1,250` is 1250 as an amount of money, and as the text's other numbers have their marks."""
    tokens = list(number_tokens(text))
    marks = {mark for token in tokens if token.only is not None and (mark := _decimal_mark(text, token))}
    return [replace(token, readings=_settled(text, token, marks)) for token in tokens]


def _decimal_mark(text: str, token: Token[Decimal]) -> str:
    """The decimal mark of a number that can't be mistaken; "" where it has neither a fraction nor groups."""
    plain = text[token.start : token.end].rstrip(".,")
    last = max(plain.rfind("."), plain.rfind(","))
    if last < 0:
        return ""
    is_grouped = plain.count(plain[last]) > 1
    return {".": ",", ",": "."}[plain[last]] if is_grouped else plain[last]


def _settled(text: str, token: Token[Decimal], marks: set[str]) -> frozenset[Decimal]:
    if len(token.readings) < 2:
        return token.readings
    written = text[token.start : token.end].rstrip(".,")
    before, behind = text[max(0, token.start - 5) : token.start], text[token.end : token.end + 10]
    if _MONEY_BEFORE.search(before) or _MONEY_BEHIND.match(behind):
        return frozenset({max(token.readings, key=abs)})  # money has no thousandths
    if len(marks) == 1:
        [mark] = marks
        return frozenset({(min if mark in written else max)(token.readings, key=abs)})
    return token.readings


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
