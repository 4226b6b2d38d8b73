"""Mail as it leaves."""

import email
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest

from cases.factories import CaseFactory
from outreach.factories import Played
from outreach.inbound.mail import parse
from outreach.models import SandboxMail
from outreach.transports import OutgoingMail, TransportError, transport_named
from outreach.transports.base import as_email
from outreach.transports.sandbox import SandboxTransport

pytestmark = pytest.mark.django_db
LONG_ID = f"<{'x' * 120}@eurprd04.prod.outlook.com>"
MAIL = OutgoingMail(
    case_id="",
    from_address="us@ours.example",
    from_name="Bob Buyer",
    to_address="ann@supplier.example",
    to_name="Ann Supplier",
    subject="Invoice",
    text="Hello Ann,\n\nInvoice number: \n",
    message_id="<1@ours.example>",
    in_reply_to="",
    references=(),
    idempotency_key="key",
    queued_at=datetime(2027, 1, 4, 9, 30, tzinfo=UTC),
)
HEADERS = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Type", "Content-Transfer-Encoding"]


def read(mail: OutgoingMail) -> EmailMessage:
    message = email.message_from_bytes(as_email(mail).as_bytes(), policy=default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def body(mail: OutgoingMail) -> str:
    text: str = read(mail).get_content()
    return text.replace("\r\n", "\n")


def test_the_mail() -> None:
    assert as_email(MAIL).as_bytes() == (
        b"From: Bob Buyer <us@ours.example>\r\n"
        b"To: Ann Supplier <ann@supplier.example>\r\n"
        b"Subject: Invoice\r\n"
        b"Date: Mon, 04 Jan 2027 09:30:00 +0000\r\n"
        b"Message-ID: <1@ours.example>\r\n"
        b"Auto-Submitted: auto-generated\r\n"
        b'Content-Type: text/plain; charset="utf-8"\r\n'
        b"Content-Transfer-Encoding: 7bit\r\n"
        b"MIME-Version: 1.0\r\n"
        b"\r\n"
        b"Hello Ann,\r\n\r\nInvoice number: \r\n"
    )


def test_the_same_mail_is_the_same_bytes() -> None:
    assert as_email(MAIL).as_bytes() == as_email(replace(MAIL)).as_bytes()


def test_long_message_ids_stay_readable() -> None:
    references = (LONG_ID, "<b@c>", LONG_ID.replace("x", "y"))
    raw = as_email(replace(MAIL, in_reply_to=LONG_ID, references=references)).as_bytes()
    assert f"In-Reply-To: {LONG_ID}\r\n".encode() in raw
    assert parse(raw).in_reply_to == (LONG_ID,)
    assert parse(raw).references == references


@pytest.mark.parametrize("odd", ["<a\r\nBcc: x@y.example>", "<ä@b>", "<a b@c>", "none", "", f"<{'x' * 950}@y>"])
def test_message_ids_that_can_not_stand_in_a_header_are_left_out(odd: str) -> None:
    message = read(replace(MAIL, in_reply_to=odd, references=("<b@c>", odd)))
    assert (message["In-Reply-To"], message["References"]) == (None, "<b@c>")
    assert message["Bcc"] is None


INJECTIONS = [
    "Bob\r\nBcc: evil@evil.example",
    "Bob\nBcc: evil@evil.example",
    "Bob\rBcc: evil@evil.example",
    "Bob\x00Bcc: evil@evil.example",
    "Bob\u2028Bcc: evil@evil.example",
    "Bob\u2029Bcc: evil@evil.example",
    "Bob\x85Bcc: evil@evil.example",
    "Bob\x0bBcc: evil@evil.example",
    "Bob\x0cBcc: evil@evil.example",
    "Bob\x1eBcc: evil@evil.example",
    "Bob\r\n\r\nBcc: evil@evil.example",
    'Bob" <evil@evil.example>, "x',
    "Bob <evil@evil.example>,",
    "evil@evil.example, Bob",
    "=?utf-8?q?Bob=0D=0ABcc=3A_evil=40evil=2Eexample?=",
    "\ud800Bob",
    "B" * 3000,
    "ü" * 3000,
    "b " * 1500,
    "\u202eboB",
    "",
]


@pytest.mark.parametrize("text", INJECTIONS)
@pytest.mark.parametrize("field", ["from_name", "to_name", "subject"])
def test_no_name_or_subject_adds_a_recipient_or_a_header(field: str, text: str) -> None:
    changed: Any = {field: text}
    mail = replace(MAIL, **changed)
    raw = as_email(mail).as_bytes()
    message = read(mail)
    assert [name for name in message if name != "MIME-Version"] == HEADERS
    assert [address.addr_spec for address in message["To"].addresses] == ["ann@supplier.example"]
    assert [address.addr_spec for address in message["From"].addresses] == ["us@ours.example"]
    assert body(mail) == MAIL.text
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    again = parse(raw)
    assert (again.to, again.from_address) == (("ann@supplier.example",), "us@ours.example")


def test_names_and_subjects_in_any_letters() -> None:
    message = read(replace(MAIL, from_name="Jürgen „Jü“, GmbH", to_name="王小明", subject="Größe – 5 €"))
    assert message["From"].addresses[0].display_name == "Jürgen „Jü“, GmbH"
    assert message["To"].addresses[0].display_name == "王小明"
    assert message["Subject"] == "Größe – 5 €"


@pytest.mark.parametrize(
    ("text", "read_text"),
    [
        ("a\r\nb\rc\nd", "a\nb\nc\nd\n"),
        ("a\x00b\ud800c", "abc\n"),
        (".\n..\nFrom x", ".\n..\nFrom x\n"),
        ("x" * 5000, "x" * 5000 + "\n"),
        ("ü\u2028€", "ü\u2028€\n"),
    ],
)
def test_any_text_arrives(text: str, read_text: str) -> None:
    raw = as_email(replace(MAIL, text=text)).as_bytes()
    assert body(replace(MAIL, text=text)) == read_text
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))


def test_a_domain_in_any_letters_goes_out_in_ascii() -> None:
    played = Played.begin(
        counterparty={"address": "Ann@Müller.example", "name": "Ann"},
        counterparty_address="ann@xn--mller-kva.example",
    )
    assert played.sent[0].to_address == "ann@xn--mller-kva.example"
    assert "\r\nTo: Ann <ann@xn--mller-kva.example>\r\n" in played.mails[0]["raw"]


def test_the_address_is_written_as_the_client_wrote_it() -> None:
    played = Played.begin(counterparty={"address": "Ann@Supplier.example", "name": "Ann"})
    assert played.sent[0].to_address == "Ann@Supplier.example"


def test_the_sandbox_delivers_once_per_key() -> None:
    case = CaseFactory()
    mail = replace(MAIL, case_id=str(case.pk))
    first, second = SandboxTransport().send(mail), SandboxTransport().send(replace(mail, text="other"))
    assert first == second
    [delivered] = SandboxMail.objects.all()
    assert (delivered.case, delivered.message_id) == (case, MAIL.message_id)
    assert bytes(delivered.raw) == as_email(mail).as_bytes()
    SandboxTransport().send(replace(mail, idempotency_key="another"))
    assert SandboxMail.objects.count() == 2


def test_an_unknown_transport_may_be_configured_later() -> None:
    with pytest.raises(TransportError) as caught:
        transport_named("pigeon")
    assert caught.value.permanent is False
    assert isinstance(transport_named("sandbox"), SandboxTransport)
