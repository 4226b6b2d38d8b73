"""The date until which an out-of-office text says that somebody is away."""

import re
from collections.abc import Iterator
from datetime import date, timedelta

from outreach.months import MONTHS

MAX_TEXT_CHARS = 20_000
# A date without a year is the next one of that name, but not if that is the better part of a year off.
MAX_AHEAD_WITHOUT_YEAR = timedelta(days=183)

_MONTH = "(?:" + "|".join(sorted(MONTHS, key=len, reverse=True)) + r")\b"
_WEEKDAY = (
    r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?|(?:mon|diens|donners|frei|sams|sonn)tag"
    r"|mittwoch"
    r"|sonnabend|mo|di|mi|do|fr|sa|so|lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche"
    r"|lunes|martes|miércoles|jueves|viernes|sábado|domingo"
    r"|(?:lune|marte|mercole|giove|vener)d[ìi]|sabato|domenica|(?:segunda|terça|quarta|quinta|sexta)(?:-feira)?"
    r"|(?:maan|dins|woens|donder|vrij|zater|zon|mån|tis|ons|tors|fre|lör|sön|man|tirs|lør|søn)dag"
    r"|poniedziałku?|wtork?u?|środ[ay]|czwartku?|piątku?|pondělí|úterý|střed[ay]|čtvrtka?|pátku?"
    r"|понедельника?|вторника?|сред[аы]|четверга?|пятниц[аы])"
)
_ARTICLE = r"(?:the|den|dem|le|el|il|o|dia|de|d\.|dnia)\s+"
_LEAD = rf"(?:(?:{_ARTICLE}|on\s+))?(?:{_WEEKDAY}\b[.,]?\s+)?(?:{_ARTICLE})?"
_DATE = (
    rf"{_LEAD}(?:(?P<iso>\d{{4}}-\d{{2}}-\d{{2}})(?!\d)"
    r"|(?P<dotted>\d{1,2}\.\s?\d{1,2}\.(?:\s?(?:\d{4}|\d{2})(?![\d:]))?)"
    r"|(?P<slashed>\d{1,2}/\d{1,2}/\d{4})(?!\d)"
    rf"|(?P<day_first>\d{{1,2}}(?:st|nd|rd|th|er|:e|\.|º)?\s+(?:of\s+|de\s+)?{_MONTH}\.?(?:,?\s+(?:de\s+"
    rf"|del\s+)?\d{{4}}\b)?)"
    rf"|(?P<month_first>{_MONTH}\.?\s+\d{{1,2}}(?:st|nd|rd|th)?(?!\d)(?:,?\s+\d{{4}}\b)?))"
)
_BETWEEN = r"(?:[^\W\d]+\s+){0,5}?"
_BACK = re.compile(
    r"\b(?:(?:back|return(?:ing)?|reachable|available|in the office|resume)\s+(?:again\s+)?" + _BETWEEN + r"(?:on"
    r"|from)"
    r"|(?:wieder|zurück)\s+" + _BETWEEN + r"(?:am|ab)"
    r"|(?:de\s+retour|mon\s+retour|retour)\s+" + _BETWEEN + r"(?:le|à\s+partir\s+du)"
    r"|(?:regreso|regresaré|vuelvo|volveré|de\s+vuelta|vuelta|disponible)\s+"
    + _BETWEEN
    + r"(?:el|a\s+partir\s+del)"
    + r"|(?:torno|tornerò|rientro|rientrerò|di\s+ritorno)\s+"
    + _BETWEEN
    + r"(?:il|dal)"
    + r"|(?:regresso|regressarei|retorno|retornarei|volto|voltarei|de\s+volta)\s+"
    + _BETWEEN
    + r"(?:a|em|no|ao)"
    + r"|(?:terug|tillbaka|tilbage|tilbake)\s+"
    + _BETWEEN
    + r"(?:op|vanaf|den|från|fra|igen|igjen|d\.)"
    + r"|(?:wracam|wrócę|wrócimy|vrátím\s+se|jsem\s+zpět|вернусь|буду\s+на\s+месте)(?:\s+(?:od|do\s+pracy|с|opět))*)\s+"
    + _DATE,
    re.IGNORECASE,
)
_BACK_AFTER = re.compile(
    rf"\b(?:ab|am)\s+(?:dem\s+)?{_DATE}\s+(?:[^\W\d]+\s+){{0,3}}?(?:wieder|zurück)\b", re.IGNORECASE
)
_UNTIL = re.compile(
    r"\b(?:until|till?|through|thru|up\s+to|bis|jusqu['’]au|jusqu['’]à|hasta|fino\s+al?|tot|t/m"
    r"|até|till|til|do|do\s+dnia|до)\s+"
    r"(?:(?:and\s+including|including|inclusive|einschließlich|einschl\.|inkl\.|inklusive|zum|und\s+mit"
    r"|zum\s+und\s+mit"
    r"|en\s+met|och\s+med|og\s+med|ao|включительно)\s+)*" + _DATE,
    re.IGNORECASE,
)
_UNTIL_AFTER = re.compile(rf"\b{_DATE}\s+(?:asti|saakka|tarihine\s+kadar)\b", re.IGNORECASE)
_FROM_TO = re.compile(
    r"\b(?:from|vom|von|du|del|desde\s+el|dal)\s+[^!?\n\d]{0,20}\d[^!?\n]{0,30}?[\w.]\s*(?:\s(?:to|al|au|a)\s|–|-)\s*"
    + _DATE,
    re.IGNORECASE,
)


def absent_until(text: str, today: date) -> date | None:
    """The day that an out-of-office text names as the return, or else as the last of the absence.

    Read are ISO dates, day.month.year, dates with month names of some fifteen languages, and day/month/year
    only where one of the two can't be a month. A date without a year is the next one, up to half a year ahead.
    None where nothing of the kind is said, where it lies before `today`, or where several different dates are said.
    """
    text = re.sub(r"[^\S\n]+", " ", text[:MAX_TEXT_CHARS].replace("\n", " "))
    for patterns in ((_BACK, _BACK_AFTER), (_UNTIL, _UNTIL_AFTER, _FROM_TO)):
        found = {day for pattern in patterns for day in _dates(pattern, text, today)}
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def _dates(pattern: re.Pattern[str], text: str, today: date) -> Iterator[date]:
    for found in pattern.finditer(text):
        parts = _parts(found)
        day = _resolved(*parts, today) if parts else None
        if day and day >= today:
            yield day


def _parts(found: re.Match[str]) -> tuple[int | None, int, int] | None:
    """Year (None if not said), month and day of a match of _DATE; None if month and day can't be told apart."""
    numbers = [int(number) for number in re.findall(r"\d+", found.group(found.lastgroup or 0))]
    if found.lastgroup == "iso":
        return numbers[0], numbers[1], numbers[2]
    if found.lastgroup == "dotted":
        return (_full_year(numbers[2]) if len(numbers) > 2 else None), numbers[1], numbers[0]
    if found.lastgroup == "slashed":
        first, second, year = numbers
        if first > 12 or first == second:
            return year, second, first
        return (year, first, second) if second > 12 else None
    names = re.findall(r"[^\W\d_]+", found.group(found.lastgroup or 0).lower())
    month = next(MONTHS[name] for name in names if name in MONTHS)
    return (numbers[1] if len(numbers) > 1 else None), month, numbers[0]


def _full_year(year: int) -> int:
    return year if year > 99 else 2000 + year


def _resolved(year: int | None, month: int, day: int, today: date) -> date | None:
    years = [year] if year is not None else [today.year, today.year + 1]
    for candidate_year in years:
        try:
            candidate = date(candidate_year, month, day)
        except ValueError:
            continue
        if year is not None or today <= candidate <= today + MAX_AHEAD_WITHOUT_YEAR:
            return candidate
    return None
