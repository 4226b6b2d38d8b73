from datetime import date
from decimal import Decimal

import pytest

from outreach.agents import spelling


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("2027-01-31", {date(2027, 1, 31)}),
        ("2027/01/31", {date(2027, 1, 31)}),
        ("31.1.2027", {date(2027, 1, 31)}),
        ("31/01/2027", {date(2027, 1, 31)}),
        ("01/31/2027", {date(2027, 1, 31)}),
        ("03-04-2027", {date(2027, 4, 3), date(2027, 3, 4)}),
        ("03.04.2027", {date(2027, 4, 3)}),
        ("January 31st, 2027", {date(2027, 1, 31)}),
        ("31st January 2027", {date(2027, 1, 31)}),
        ("31. Januar 2027", {date(2027, 1, 31)}),
        ("1er février 2027", {date(2027, 2, 1)}),
        ("31 de enero de 2027", {date(2027, 1, 31)}),
        ("between 1.2.2027 and 3.2.2027", {date(2027, 2, 1), date(2027, 2, 3)}),
        ("30.2.2027", set()),
        ("31.1.27", set()),
        ("31 January", set()),
        ("12 Foobar 2027", set()),
        ("1.2.2027.5", {date(2027, 2, 1)}),
        ("version 11.2.2027.5.1.2", {date(2027, 2, 11)}),
        ("5551.2.2027", set()),
    ],
)
def test_dates(text: str, days: set[date]) -> None:
    assert spelling.dates(text) == days


def test_a_date_alone() -> None:
    assert spelling.date_alone("(Sunday) 31 January 2027!") == date(2027, 1, 31)
    assert spelling.date_alone("31 January 2027 at the latest") is None
    assert spelling.date_alone("03/04/2027") is None
    assert spelling.date_alone("the") is None


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("7", {"7"}),
        ("-7", {"-7"}),
        ("1250.5", {"1250.5"}),
        ("1250,5", {"1250.5"}),
        ("1,250", {"1250", "1.25"}),
        ("1.250", {"1250", "1.25"}),
        ("0.250", {"0.25"}),
        ("1.250,50", {"1250.5"}),
        ("1,250.50", {"1250.5"}),
        ("1'250.50", {"1250.5"}),
        ("1.250.000", {"1250000"}),
        ("1 250", {"1250"}),
        ("1 250 000,75", {"1250000.75"}),
        ("It costs 5 or 6.", {"5", "6"}),
        ("order-4711", {"4711"}),
        ("EUR 12.", {"12"}),
        ("abc12", set()),
        ("none", set()),
    ],
)
def test_numbers(text: str, numbers: set[str]) -> None:
    assert spelling.numbers(text) == {Decimal(number) for number in numbers}


@pytest.mark.parametrize("text", ["yes", "Y", "Ja!", " oui ", "sí.", "sim", "true", "tak"])
def test_yes(text: str) -> None:
    assert spelling.yes_no(text) is True


@pytest.mark.parametrize("text", ["no", "N", "nein", "non.", "não", "false", "nej"])
def test_no(text: str) -> None:
    assert spelling.yes_no(text) is False


@pytest.mark.parametrize("text", ["", "perhaps", "yes and no", "ok", "not", "1", "."])
def test_neither(text: str) -> None:
    assert spelling.yes_no(text) is None
