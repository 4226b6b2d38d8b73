"""The end of a mail that a model wrote."""

import pytest

from outreach.agents.signature import signed

PERSONA = {"name": "Robin Ward", "role": "Purchasing", "company": "Acme"}
BLOCK = "Robin Ward\nPurchasing, Acme\n"


@pytest.mark.parametrize(
    "body",
    [
        "Hello\n\nKind regards",
        "Hello\n\nKind regards,\n",
        "Hello\n\nKind regards\nRobin Ward",
        "Hello\n\nKind regards\n\nrobin  ward\nPurchasing, Acme",
        "Hello\n\nKind regards\nRobin Ward | Purchasing\nAcme\n\n",
        "Hello\n\nKind regards\n-- \nRobin Ward",
    ],
)
def test_the_signature_stands_there_once(body: str) -> None:
    assert signed(body, PERSONA).replace("regards,", "regards") == "Hello\n\nKind regards\n" + BLOCK


def test_a_mail_without_closing_phrase_keeps_its_last_sentence_apart() -> None:
    assert signed("When will it come?", PERSONA) == "When will it come?\n\n" + BLOCK


def test_a_sentence_that_names_the_persona_is_no_signature() -> None:
    body = "Please call.\n\nRobin Ward asked for it"
    assert signed(body, PERSONA) == body + "\n" + BLOCK


def test_a_name_alone_is_enough_and_a_name_within_another_is_no_name() -> None:
    assert signed("Hi\n\nBest\nAnna", {"name": "Ann"}) == "Hi\n\nBest\nAnna\nAnn\n"


def test_a_company_may_end_with_a_full_stop() -> None:
    persona = {"name": "Ann", "company": "Acme Inc."}
    assert signed("Hi\n\nBest\nAnn\nAcme Inc.", persona) == "Hi\n\nBest\nAnn\nAcme Inc.\n"


def test_the_disclosure_is_the_last_line() -> None:
    assert signed("Hi\n\nBest", {"name": "Ann"}, " Written by software. ") == (
        "Hi\n\nBest\nAnn\n\nWritten by software.\n"
    )
