"""Whether a mail asks for no more mail, and says nothing else."""

from datetime import UTC, datetime

import pytest

from outreach.agents.base import CaseView, File, Mail
from outreach.agents.opt_out import is_all_that_is_said

AT = datetime(2026, 3, 2, tzinfo=UTC)


def said(*texts: str, subject: str = "Re: Invoice", files: tuple[File, ...] = ()) -> bool:
    mails = tuple(Mail(str(n), False, True, True, AT, subject, text, files) for n, text in enumerate(texts))
    case = CaseView(
        id="1",
        goal={"objective": "Get the invoice."},
        counterparty={"address": "ann@supplier.example", "name": "Ann Supplier", "company": "Supplier Ltd"},
        persona={"name": "Bob Buyer"},
        thread=mails,
    )
    return is_all_that_is_said(case)


@pytest.mark.parametrize(
    "text",
    [
        "STOP",
        "Stop!",
        "unsubscribe",
        "Please take me off your list, thanks.",
        "Hello Bob,\n\nplease do not contact me again.\n\nKind regards\nAnn Supplier\nSupplier Ltd",
        "Bitte keine weiteren E-Mails!",
        "Guten Tag Bob Buyer,\nbitte senden Sie mir keine weiteren Mails.\nMit freundlichen Grüßen\nAnn Supplier",
        "Ne m'écrivez plus, s'il vous plaît.",
        "Por favor, no me escriban más.",
        "Non scrivetemi più. Grazie",
        "Geen mails meer aub",
        "Não me enviem mais e-mails",
        "Proszę nie pisać więcej.",
    ],
)
def test_a_request_for_no_more_mail(text: str) -> None:
    assert said(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Thanks",
        "Ann Supplier",
        "Stop the second machine, please.",
        "Please stop by on Friday.",
        "We can't deliver. Stop.",
        "No more mails until Monday, please.",
        "Do not contact me before Friday.",
        "Unsubscribe from the newsletter of Globex",
        "Invoice number: 7\nStop",
        "stop " * 100,
    ],
)
def test_what_may_mean_something_else_is_left_to_the_agent(text: str) -> None:
    assert not said(text)


def test_a_subject_says_it_where_there_is_no_text() -> None:
    assert said("", subject="Unsubscribe")
    assert not said("", subject="Re: Stop the order")
    assert not said("Which one?", subject="stop")


def test_all_that_is_unread_has_to_say_it() -> None:
    assert said("Stop", "Please stop writing to me.")
    assert not said("Invoice number: 7", "Stop")
    assert not said()


def test_a_file_may_say_more() -> None:
    assert not said("Stop", files=(File("f", "a.pdf", "application/pdf", 9),))
