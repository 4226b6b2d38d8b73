"""Bank and identity details in mail that we get: the plainest fraud is to change them on the way.

Two ways to see it, and either is enough: words that say so, in the languages below, and details themselves (an IBAN, an
account, a tax id) that are not those known from the case. Whether a change is genuine, no code and no model can tell.
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from outreach.agents.base import CaseView, Mail

MOST_BETWEEN = 80  # characters between the words that together tell of a change; the sentence goes on

# --- Words --------------------------------------------------------------------------------------------
# Without accents, as `_plain` gives them. English, German, French, Spanish, Italian, Dutch, Portuguese, Polish.

_BANK = (
    r"bank(?:ing|s)?(?! holiday)(?: (?:details?|accounts?|data|information|coordinates))?"
    r"|account (?:numbers?|details?|no)|(?:our|the|this|that|my|your|old|previous|following|different|another) account"
    r"(?! (?:manager|team|department|executive))|iban|bic|swift(?: code|/bic)|sort codes?"
    r"|routing numbers?|payment (?:details?|instructions?|information)|remittance (?:details?|address|instructions?)"
    r"|remit(?:tances?)?|beneficiary|payee|wire (?:details?|instructions?)"
    r"|bank\w*verbindung\w*|bankdaten|kontodaten|kontoverbindung\w*|kontonummer\w*|konto|konten|hausbank|zahlungsdaten"
    r"|banques?|(?<!tenir )(?<!rendre )compte(?! tenu| rendu)(?: bancaire)?|coordonnees bancaires|rib"
    r"|domiciliation bancaire|bancos?|(?<!en )(?<!por )cuentas?(?: bancarias?)?|datos bancarios|banca"
    r"|(?<!per )conto(?: corrente| bancario)?"
    r"|coordinate bancarie|dati bancari|rekening\w*|bankgegevens|(?<!em )conta(?: bancaria)?|dados bancarios"
    r"|banku|bankow\w+|konta|rachun\w+"
)
_IDENTITY = (
    r"vat (?:numbers?|ids?|no)|tax (?:ids?|numbers?)|company (?:name|number)|legal (?:name|entity)|trading name"
    r"|registration number|passport(?: number)?|identity card|id card|(?:e-?mail|mail|postal|my|our) address(?:es)?"
    r"|(?:my|our) e-?mail|(?:tele)?phone numbers?|mobile number|contact details"
    r"|ust-?id\w*|umsatzsteuer\w*|steuernummer|firmenname\w*|firmierung|(?:e-?mail|mail|post)?-?adressen?|anschrift"
    r"|(?:telefon|handy|mobil)nummer|kontaktdaten|ausweis\w*"
    r"|adresses?(?: e-?mail)?|courriel|raison sociale|numero de (?:telephone|tva)|coordonnees"
    r"|direccion(?:es)?|correo(?: electronico)?|telefono|razon social|nif|cif"
    r"|indirizz[oi]|ragione sociale|partita iva|recapit[io]|adres(?:sen)?|e-?mailadres|telefoonnummer|bedrijfsnaam"
    r"|btw-?nummer|enderecos?|telefone|razao social|nipc|adresu?|adres e-?mail|numer telefonu|nazw[aey] firmy|nip"
)
_CHANGED = (
    r"new|newly|changed?|changes|changing|updated?|different|moved|switched|replaced?|amended|revised"
    r"|now|no longer|instead|from now on|henceforth|in (?:the )?future|going forward|effective immediately|closed"
    r"|neu(?:e[nrsm]?)?|geandert\w*|geaendert\w*|andern|anderung|gewechselt|wechsel\w*|umgestellt|ab sofort|kunftig"
    r"|kuenftig|zukunftig|nunmehr|nicht mehr|statt(?:dessen)?|aktualisiert\w*|geschlossen|ab jetzt|von nun an"
    r"|nouve(?:au|aux|l|lle|lles)|change(?:e|es|s|r|ons|ment)?|modifi\w+|desormais|dorenavant|a l'avenir|remplace\w*"
    r"|mis(?:e|es)? a jour|a partir de maintenant|n'est plus"
    r"|nuev[oa]s?|cambi\w+|actualizad\w+|a partir de ahora|en adelante|ya no|modificad\w+"
    r"|nuov[oaie]|modific\w+|aggiornat\w+|d'ora in (?:poi|avanti)|non (?:e )?piu|sostitui\w+"
    r"|nieuwe?|gewijzigd\w*|veranderd|voortaan|vanaf nu|niet meer|overgestapt"
    r"|nov[oa]s?|mud(?:ou|amos|aram|ado|anca)|alterad\w+|alteramos|doravante|a partir de agora|atualizad\w+"
    r"|now[yeaw]\w*|zmien\w+|zmian\w+|odtad|od teraz|nieaktualn\w+|zaktualizowa\w+"
)
_STRONG = (  # a change of who or where they are; "now" and "instead" say that of an account only
    r"new|newly|changed?|changes|updated?|from now on|henceforth|in future|going forward|no longer"
    r"|neu(?:e[nrsm]?)?|geandert\w*|geaendert\w*|ab sofort|kunftig|kuenftig|zukunftig|nicht mehr|ab jetzt|von nun an"
    r"|nouve(?:au|l|lle)|change(?:e|es|r|ons|ment)?|desormais|dorenavant|a partir de maintenant"
    r"|nuev[oa]s?|cambi\w+|a partir de ahora|en adelante|ya no|nuov[oaie]|d'ora in (?:poi|avanti)|non (?:e )?piu"
    r"|nieuwe?|gewijzigd\w*|veranderd|voortaan|vanaf nu|nov[oa]s?|mud(?:ou|amos|aram|ado)|doravante"
    r"|a partir de agora|now[yeaw]\w*|zmien\w+|zmian\w+|odtad|od teraz"
)


_PAIRS = tuple(
    (re.compile(rf"\b(?:{change})\b"), re.compile(rf"\b(?:{what})\b"))
    for change, what in ((_CHANGED, _BANK), (_STRONG, _IDENTITY))
)
_SENTENCE_END = re.compile(r"[.!?](?:\s|$)")
_LATER = r"(?:from now on|in (?:the )?future|going forward|henceforth|instead)"
_CONTACT = r"(?:address|e-?mail|mailbox|phone|telephone|mobile|number is)"
_PHRASES = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\b(?:new|changed|different|updated) (?:\w+ )?{_CONTACT}\b",
        rf"\b(?:write|reply|send|contact|reach|use|call)\b[^!?]{{0,80}}(?:{_CONTACT}|@)[^!?]{{0,60}}\b{_LATER}",
        rf"\b{_LATER}\b[^!?]{{0,60}}\b(?:write|reply|send|contact|reach|use|call)\b[^!?]{{0,60}}(?:{_CONTACT}|@)",
        r"\b(?:renamed|(?:now )?trading as|changed our name|umfirmiert|heissen (?:jetzt|nun)|new (?:company )?name"
        r"|change de nom|cambiado de nombre|cambiato nome|andere naam|mudou de nome|zmienilismy nazwe)\b",
        r"\b(?:do not|don't|please stop|stop) (?:pay|paying|us(?:e|ing)|transfer\w*)\b[^.!?]{0,60}\b(?:account|iban)\b",
        r"\baccount\b[^.!?]{0,40}\b(?:on file|that you (?:have|know))\b",
        r"\b(?:pay|transfer|remit|wire)\w*\b[^.!?]{0,60}\b(?:to|into)\b[^.!?]{0,30}\b(?:below|following|another|other)\b",
    )
)


def tells_of_change(text: str) -> bool:
    """Whether the words say that bank or identity details are not the known ones. White space does not matter."""
    plain = _plain(text)
    return any(pattern.search(plain) for pattern in _PHRASES) or any(_near(plain, *pair) for pair in _PAIRS)


def _near(plain: str, one: re.Pattern[str], other: re.Pattern[str]) -> bool:
    """Whether the two stand close together in one sentence."""
    others = [match.span() for match in other.finditer(plain)]
    starts = [start for start, _ in others]
    for match in one.finditer(plain):
        first = bisect_left(starts, match.start() - 2 * MOST_BETWEEN)
        last = bisect_left(starts, match.end() + MOST_BETWEEN)
        for start, end in others[first:last]:
            gap = plain[end : match.start()] if end <= match.start() else plain[match.end() : start]
            if len(gap) <= MOST_BETWEEN and not _SENTENCE_END.search(gap):
                return True
    return False


def _plain(text: str) -> str:
    """Without accents, case, and what can't be seen; any white space is one space."""
    decomposed = unicodedata.normalize("NFKD", text.replace("’", "'").replace("ł", "l").replace("Ł", "l"))
    shown = (character for character in decomposed if unicodedata.category(character) not in {"Mn", "Cf"})
    return " ".join("".join(shown).casefold().split())


# --- Details ------------------------------------------------------------------------------------------

# Lengths of IBANs by country: the IBAN registry of SWIFT.
_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FI FO GL NL SD FK", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV", 22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "LY PT ST", 26: "IS TR", 27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HN HU LB NI PL SV", 29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC",
        32: "LC", 33: "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip
_IBAN = re.compile(
    r"(?<![^\W_])(?=(?P<all>(?P<country>[a-z][ ]?[a-z])(?P<rest>[ .-]?\d[ .-]?\d(?:[ .-]{0,2}[a-z\d]){11,30})))"
)
_LABELS = {
    "account": r"iban|clabe|rib|(?<!customer )(?<!client )(?<!user )(?:bank )?account(?: number| no\.?| #)?|acct\.?|a/c"
    r"|konto(?:nummer|-?nr\.?| nr\.?)?|kto\.?(?:-?nr\.?)?|(?:numero de )?compte|(?:numero de )?cuenta"
    r"|conto(?: corrente)?|rekening(?:nummer)?|conta|(?:nr |numer )?konta|(?:numer )?rachunku",
    "bank": r"sort ?code|routing(?: number)?|aba(?: number)?|ifsc|bsb|blz|bankleitzahl",
    "tax": r"vat(?: reg(?:istration)?)?(?: number| no\.?| id)?|tax(?: id| number| no\.?)|ein(?= ?(?:number|no\b|[:#]))"
    r"|ust-?id(?:-?nr\.?)?|steuernummer|(?:numero de )?tva(?: intracommunautaire)?|siren|siret|nif|cif|partita iva"
    r"|p\.? ?iva|btw(?:-?nummer)?|kvk|nipc|nip",
}
_VALUE = r"(?P<value>(?:[a-z]{1,4}[ .-]?)?\d(?:[ ./-]?\d|[a-z](?=\d)|(?<=\d)[a-z](?![a-z])){4,33})"
_BIC = re.compile(
    r"\b(?:bic|swift)(?:[ -]?code)?\b\W{0,4}(?:(?:is|ist|lautet|now) )*(?P<value>[a-z]{6}[a-z\d]{2}(?:[a-z\d]{3})?)\b"
)
_LABELLED = {
    kind: re.compile(rf"\b(?:{labels})(?![a-z])\W{{0,4}}(?:(?:is|ist|lautet|est|es|e|now|jetzt|nun) ){{0,2}}{_VALUE}")
    for kind, labels in _LABELS.items()
}
_ASKS = re.compile(
    rf"\b(?:{_BANK})\b|\bbank|\b(?:pay(?:ment)?|transfer|uberweis\w*|virement|zahlung\w*) (?:to|account|details)\b"
)
_DOCUMENTS = re.compile(r"\b(?:invoices?|bills?|rechnung\w*|factur\w+|fattur\w+|fatur\w+|faktur\w+)\b")


@dataclass(frozen=True)
class Detail:
    """A bank detail or a tax id, as letters and digits."""

    kind: str  # account, bank (its code), tax
    value: str


def details(text: str) -> set[Detail]:
    """The bank details and tax ids that stand in a text, however they are grouped."""
    plain = _plain(text)
    found = {Detail("account", iban) for iban in _ibans(plain)}
    for kind, pattern in _LABELLED.items():
        found |= {Detail(kind, _squeezed(match["value"])) for match in pattern.finditer(plain)}
    found |= {Detail("bank", match["value"]) for match in _BIC.finditer(plain)}
    whole = {detail.value for detail in found}
    # "IBAN DE02 …" is found with and without its label: what is a part of another is the same detail.
    return {d for d in found if not any(d.value != other and d.value in other for other in whole)}


def _ibans(plain: str) -> Iterator[str]:
    for match in _IBAN.finditer(plain):
        length = _LENGTHS.get(_squeezed(match["country"]).upper(), 0)
        iban = _squeezed(match["all"])[:length]
        if not iban or len(iban) < length or sum(map(str.isdigit, iban)) < length // 2:
            continue
        if match["all"][2].isdigit() or _has_valid_checksum(iban):  # "no 4006381333931" is an article's number
            yield iban


def _has_valid_checksum(iban: str) -> bool:
    """ISO 13616: the letters as numbers from 10, the first four characters at the end, modulo 97."""
    return int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4])) % 97 == 1


def _squeezed(text: str) -> str:
    return re.sub(r"[\W_]", "", text)


# --- A case -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Findings:
    """Mail that tells of a change, and the details that nobody on our side has accepted."""

    mails: tuple[Mail, ...]
    refused: frozenset[str]


def findings(case: CaseView) -> Findings:
    """What the counterparty's mail changes, judged mail by mail against what was known before it.

    Known are the details that our side has written (goal, constraints, persona, answers) and those of earlier mail that
    changed nothing. The first that are given are no change where the case asks for such, nor in the file of an invoice
    that it asks for.
    """
    known = {detail for text in _our_words(case) for detail in details(text)}
    asked_for = _plain("\n".join(asking_words(case)))
    changing: list[Mail] = []
    refused: set[str] = set()
    for mail in case.from_counterparty:
        new = {detail for text in _texts(mail) for detail in details(text) if not _is_known(detail, known)}
        if any(map(tells_of_change, _texts(mail))) or any(_is_change(mail, d, known, asked_for) for d in new):
            changing.append(mail)
            refused |= {detail.value for detail in new}
        else:
            known |= new
    return Findings(tuple(changing), frozenset(refused))


def _is_known(detail: Detail, known: set[Detail]) -> bool:
    return any(detail.value in other.value for other in known)  # an account's number is part of its IBAN


def _is_change(mail: Mail, new: Detail, known: set[Detail], asked_for: str) -> bool:
    if any(detail.kind == new.kind for detail in known):
        return True
    if new.kind == "tax" or _ASKS.search(asked_for):
        return False
    return not _DOCUMENTS.search(asked_for) or new in details(mail.text)


def holds_refused(result: Any, refused: Iterable[str]) -> bool:
    """Whether a value of the result is a detail that nobody on our side has accepted."""
    values = [_squeezed(_plain(text)) for text in strings(result)]
    return any(detail in value for detail in refused for value in values)


def _texts(mail: Mail) -> list[str]:
    return [mail.subject, mail.text, *(file.text for file in mail.files)]


def _our_words(case: CaseView) -> Iterator[str]:
    yield from strings([case.goal, case.persona, case.counterparty, list(case.constraints)])
    yield from (answer.text for answer in case.answers)


def asking_words(case: CaseView) -> Iterator[str]:
    """What the case asks for: the goal and the schema, whose names are words too, such as `bankAccount`."""
    for text in strings([case.goal, case.result_schema], with_names=True):
        yield re.sub(r"(?<=[a-z\d])(?=[A-Z])|_", " ", text)


def strings(value: Any, *, with_names: bool = False) -> Iterator[str]:
    """Every text and number in a JSON value, as text; and the names in its objects, if wanted."""
    if isinstance(value, dict):
        for name, item in value.items():
            if with_names:
                yield name
            yield from strings(item, with_names=with_names)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from strings(item, with_names=with_names)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)
