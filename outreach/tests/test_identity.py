"""Bank and identity details in mail: words that tell of a change, and details that are not the known ones."""

from datetime import UTC, datetime
from typing import Any

import pytest

from outreach.agents import identity
from outreach.agents.base import Answer, CaseView, File, Mail

IBAN, OTHER = "DE02 1203 0000 0000 2020 51", "GB29NWBK60161331926819"


@pytest.mark.parametrize(
    "text",
    [
        "Please note our new bank\ndetails below.",
        "BANK ACCOUNT\n\nCHANGED",
        "our ban\u200bk account has ch\u200banged",
        "Our IBAN is now DE02120300000000202051",
        "We have switched to Barclays; the account is different",
        "The old account is closed.",
        "We no longer use the account at Deutsche Bank",
        "Kindly remit to our updated account",
        "Do not pay to the account on file.",
        "Please transfer the amount to the account below.",
        "Wir haben die Bank gewechselt.",
        "Unser Konto hat sich geändert.",
        "Ab sofort bitte auf dieses Konto überweisen.",
        "Nous avons changé de banque.",
        "Hemos cambiado de banco.",
        "Abbiamo cambiato banca.",
        "Wij zijn overgestapt naar een andere bank.",
        "Onze rekening is gewijzigd.",
        "Mudámos de banco.",
        "O nosso IBAN mudou.",
        "Zmieniliśmy bank.",
        "Our company name has changed to Foo Ltd.",
        "We are now trading as Foo Ltd.",
        "Wir heißen jetzt Foo GmbH.",
        "Please use my new address from now on.",
        "My e-mail address has changed.",
        "Please write to me at ann.new@supplier.example from now on.",
        "From now on please use ann@supplier.example.",
        "Meine neue E-Mail-Adresse lautet wie folgt.",
        "Mi nueva dirección de correo es esta.",
        "Our telephone number has changed.",
    ],
)
def test_words_that_tell_of_a_change(text: str) -> None:
    assert identity.tells_of_change(text)


@pytest.mark.parametrize(
    "text",
    [
        "Thanks for the swift reply; we now have it.",
        "A new invoice is attached to this e-mail.",
        "Monday is a bank holiday, and we will look at it in the future.",
        "Please take into account the new price.",
        "Hay que tener en cuenta los cambios.",
        "Our accounts team has a new colleague.",
        f"The total is 1250.50 euros. Our IBAN is {IBAN}.",
        "The price is new. The account stays as it was, at the bank that you use.",
    ],
)
def test_ordinary_words(text: str) -> None:
    assert not identity.tells_of_change(text)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        (f"IBAN: {IBAN} It is", "account", "de02120300000000202051"),
        (f"Account {OTHER}.", "account", "gb29nwbk60161331926819"),
        ("DE99-1234-5678-9012-3456-78", "account", "de99123456789012345678"),
        ("d e 0 2 1 2 0 3 0 0 0 0 0 0 0 0 2 0 2 0 5 1", "account", "de02120300000000202051"),
        ("Account number: 87654321", "account", "87654321"),
        ("Kto.-Nr. 1234567890", "account", "1234567890"),
        ("sort code 12-34-56", "bank", "123456"),
        ("BIC: COBADEFFXXX", "bank", "cobadeffxxx"),
        ("USt-IdNr.: DE123456789", "tax", "de123456789"),
        ("VAT no. GB 123 4567 89", "tax", "gb123456789"),
    ],
)
def test_details(text: str, kind: str, value: str) -> None:
    assert identity.details(text) == {identity.Detail(kind, value)}


@pytest.mark.parametrize("text", ["Article no 4006381333931", "Customer account 12345678", "Call 0049 89 1234567", ""])
def test_what_is_no_detail(text: str) -> None:
    assert identity.details(text) == set()


def view(*mails: str, files: tuple[str, ...] = (), **fields: Any) -> CaseView:
    at = datetime(2026, 11, 2, tzinfo=UTC)
    attached = tuple(File(f"f{n}", "a.txt", "text/plain", 9, text=text) for n, text in enumerate(files))
    thread = tuple(
        Mail(str(n), False, True, n == len(mails) - 1, at, "", text, attached if n == len(mails) - 1 else ())
        for n, text in enumerate(mails)
    )
    return CaseView(
        **{
            "id": "c",
            "goal": {"objective": "Tell us your bank account."},
            "counterparty": {"name": "Ann"},
            "persona": {"name": "Bob"},
            "thread": thread,
            **fields,
        }
    )


def changing(case: CaseView) -> list[str]:
    return [mail.id for mail in identity.findings(case).mails]


def test_the_first_details_that_are_asked_for_are_no_change_and_others_after_them_are() -> None:
    assert changing(view(f"It is {IBAN}.")) == []
    assert changing(view(f"It is {IBAN}.", "As I said: DE02120300000000202051.")) == []
    assert changing(view(f"It is {IBAN}.", f"No, {OTHER}.")) == ["1"]


def test_a_schema_asks_too() -> None:
    goal = {"objective": "Please register as our supplier."}
    assert changing(view(f"It is {IBAN}.", goal=goal, result_schema={"properties": {"bankAccount": {}}})) == []
    assert changing(view(f"It is {IBAN}.", goal=goal, result_schema={"properties": {"name": {}}})) == ["0"]


def test_details_that_our_side_has_written_are_known() -> None:
    known = {"objective": "Send the invoice.", "knowledge": {"account": "DE02120300000000202051"}}
    assert changing(view(f"Pay to {IBAN}.", goal=known)) == []
    assert changing(view(f"Pay to {OTHER}.", goal=known)) == ["0"]
    assert changing(view("Konto 0000202051", goal=known)) == []  # a part of it
    assert changing(view("See the file.", files=(f"Pay to {OTHER}.",), goal=known)) == ["0"]
    said = (Answer("a", "?", f"They called: {OTHER} is right.", used=False),)
    assert changing(view(f"Pay to {OTHER}.", goal=known, answers=said)) == []


def test_details_that_nobody_asked_for() -> None:
    goal = {"objective": "Confirm the delivery date."}
    assert changing(view(f"Friday. Our account is {IBAN}.", goal=goal)) == ["0"]
    assert changing(view("Friday.", files=(f"IBAN {IBAN}",), goal=goal)) == ["0"]
    assert changing(view("Friday. VAT no. DE123456789", goal=goal)) == []  # at the foot of most mail
    assert changing(view("Friday. VAT no. DE123456789", "Friday. VAT no. DE987654321", goal=goal)) == ["1"]


def test_an_invoice_that_was_asked_for_may_say_where_to_pay_it() -> None:
    goal = {"objective": "Send us the invoice of March."}
    assert changing(view("Here it is.", files=(f"Invoice 7. IBAN {IBAN}",), goal=goal)) == []
    assert changing(view(f"Here it is. IBAN {IBAN}", goal=goal)) == ["0"]


def test_what_was_refused_once_is_not_known_when_it_comes_again() -> None:
    case = view(f"It is {IBAN}.", f"No, {OTHER}.", f"As I said, {OTHER}.")
    assert changing(case) == ["1", "2"]
    refused = identity.findings(case).refused
    assert identity.holds_refused({"iban": OTHER}, refused)
    assert identity.holds_refused({"a": [f"to {OTHER.lower()[:4]} {OTHER[4:]}"]}, refused)
    assert not identity.holds_refused({"iban": IBAN}, refused)
