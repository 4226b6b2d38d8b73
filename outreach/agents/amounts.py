"""Numbers with what people write around them: currencies where an amount is asked for, units that were asked for."""

import re
from decimal import Decimal

from outreach.agents import spelling

# By ISO 4217 code, the other ways to write it. "$" may be any dollar, "kr" any crown: they name no currency for sure.
_CURRENCIES = {
    "EUR": "€ euro euros",
    "USD": "us$ dollar dollars",
    "GBP": "£ pound pounds",
    "CHF": "sfr fr. franken",
    "PLN": "zł złotych zloty",
    "JPY": "¥ yen",
    "SEK": "kronor",
    "NOK": "kroner",
    "DKK": "",
    "CZK": "kč",
    "HUF": "ft forint",
    "CAD": "",
    "AUD": "",
    "BRL": "r$ real reais",
}
_VAGUE = {"$": frozenset({"USD", "CAD", "AUD"}), "kr": frozenset({"SEK", "NOK", "DKK"})}
_CODES = {name: code for code, names in _CURRENCIES.items() for name in (code.casefold(), *names.split())}

_AMOUNT = re.compile(
    r"(?:\b|_)(?:totals?|amounts?|prices?|sums?|costs?|fees?|charges?|salary|budget|balance|value|rate|money|currency"
    r"|invoiced?|net|gross|betrag\w*|\w*betrag|summe|\w*summe|\w*preis\w*|\w*kosten|gebühr\w*|honorar|montants?|prix"
    r"|coûts?|frais|tarif|importes?|precios?|costes?|importi?|prezz[oi]|cost[oi]|bedrag\w*|prijs|prijzen|preços?|valor"
    r"|custos?|kwota|cena|koszt\w*)(?:\b|_)",
    re.IGNORECASE,
)
_COUNT = re.compile(
    r"\b(?:quantity|qty|pieces?|count|number of|how many|menge|anzahl|stück\w*|quantité|nombre|cantidad|quantità"
    r"|numero di|aantal|quantidade|ilość|liczba)\b",
    re.IGNORECASE,
)
_PIECES = re.compile(r"pieces?|pcs?|units?|items?|stücke?|stk|st|pièces?|piezas?|pezz[oi]|stuks?|peças?|szt")


def number_alone(text: str, about: str = "") -> Decimal | None:
    """The one number that the text is, without a currency or a unit that fits what is asked for; None for all else.

    `about` is the title and the description of what is asked for. "1,250" is two numbers, and so none.
    """
    found = spelling.numbers(text)
    if len(found) != 1:
        return None
    before, after = map(_fold, spelling.around_number(text))
    if before and after:
        return None
    asked = _fold(re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", about))
    fits = _is_currency(before or after, asked) or (not before and _is_unit(after, asked))
    return found.pop() if fits or not (before or after) else None


def _is_currency(sign: str, asked: str) -> bool:
    """Whether it is a currency, of an amount that is asked for in that one or in any."""
    named = frozenset[str]().union(*(_named(word) for word in re.findall(r"[^\s()\[\],;:/]+", asked)))
    return bool(_named(sign) & named) if named else bool(_named(sign)) and _AMOUNT.search(asked) is not None


def _is_unit(word: str, asked: str) -> bool:
    """Whether it is what is counted or measured: pieces where a quantity is asked for, else a word of the question."""
    if _PIECES.fullmatch(word.rstrip(".")):
        return _COUNT.search(asked) is not None
    return not re.search(r"\s", word) and re.search(rf"(?<!\w){re.escape(word)}(?!\w)", asked) is not None


def _named(word: str) -> frozenset[str]:
    """The currencies that the word may name."""
    return _VAGUE.get(word) or (frozenset({_CODES[word]}) if word in _CODES else frozenset())


def _fold(text: str) -> str:
    return " ".join(text.split()).casefold()
