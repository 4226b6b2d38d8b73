import email
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from email.policy import default

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outreach.inbound import counterparty
from outreach.inbound.classify import InboundKind, absent_until
from outreach.inbound.counterparty import OriginalMail
from outreach.inbound.mail import InboundAttachment, InboundMail, parse

ORIGINAL = OriginalMail(
    message_id="<case-1@offload.test>",
    references=("<case-0@offload.test>",),
    subject="Offer for 100 chairs",
    from_address="agent@offload.test",
    from_name="Ann Agent",
    to_address="bob@example.com",
    to_name="Bob Müller",
    text="Hello Bob,\nPrice: \nDelivery date: \n\n> quoted\nOn 1 Jan 2027 at 10:00, X wrote:\nRegards",
    sent_at=datetime(2027, 1, 4, 9, 30, tzinfo=UTC),
)


def reply(text: str = "", html: str | None = None, attachments: Sequence[InboundAttachment] = ()) -> InboundMail:
    return parse(counterparty.reply(ORIGINAL, text=text, html=html, attachments=attachments))


def test_a_reply_comes_from_the_counterparty_into_our_thread() -> None:
    mail = reply("Price: 5 EUR\n")
    assert mail.kind is InboundKind.REPLY
    assert (mail.from_address, mail.from_name, mail.to) == ("bob@example.com", "Bob Müller", ("agent@offload.test",))
    assert mail.in_reply_to == ("<case-1@offload.test>",)
    assert mail.references == ("<case-0@offload.test>", "<case-1@offload.test>")
    assert mail.subject == "Re: Offer for 100 chairs"
    assert mail.message_id.endswith("@example.com>")
    assert mail.reply_text == "Price: 5 EUR"
    assert "On Mon, 04 Jan 2027 at 09:30, Ann Agent <agent@offload.test> wrote:\n\n> Hello Bob,\n> Price:" in mail.text


def test_replies_have_message_ids_of_their_own() -> None:
    assert reply("a").message_id != reply("a").message_id


def test_a_reply_to_a_reply_has_one_prefix() -> None:
    raw = counterparty.reply(replace(ORIGINAL, subject="RE: Offer"), text="x")
    assert parse(raw).subject == "Re: Offer"


def test_html_comes_as_an_alternative_or_alone() -> None:
    both, alone = reply("5 EUR", "<p>5 EUR</p>"), reply("", "<p>5 EUR</p>")
    assert (both.html.strip(), both.reply_text) == ("<p>5 EUR</p>", "5 EUR")
    assert (alone.text, alone.html.strip(), alone.reply_text) == ("", "<p>5 EUR</p>", "5 EUR")


def test_attachments_arrive_byte_for_byte() -> None:
    sent = (
        InboundAttachment("offer.pdf", "application/pdf", b"%PDF-1.7\r\n\x00\xff\n"),
        InboundAttachment("../Ünï.txt", "text/plain", b"a\r\nb\rc\n\xff"),
        InboundAttachment("mail.eml", "message/rfc822", b"Subject: x\n\nwords"),
        InboundAttachment("odd", "multipart/mixed; boundary=x\r\nX-Evil: 1", b"--x\n"),
        InboundAttachment("logo.png", "image/png", b"\x89PNG\r\n", content_id="logo@x", inline=True),
    )
    mail = reply("see files", attachments=sent)
    assert [a.content for a in mail.attachments] == [a.content for a in sent]
    assert [a.name for a in mail.attachments] == ["offer.pdf", "Ünï.txt", "mail.eml", "odd", "logo.png"]
    assert [a.declared_type for a in mail.attachments] == [
        "application/pdf",
        "text/plain",
        "application/octet-stream",
        "application/octet-stream",
        "image/png",
    ]
    assert (mail.attachments[4].content_id, mail.attachments[4].inline) == ("logo@x", True)
    assert mail.reply_text == "see files"


def test_files_alone_say_nothing() -> None:
    mail = reply("", attachments=[InboundAttachment("offer.pdf", "application/pdf", b"%PDF-")])
    assert (mail.reply_text, len(mail.attachments)) == ("", 1)


@pytest.mark.parametrize(
    ("raw", "kind", "status"),
    [
        (counterparty.bounce(ORIGINAL), InboundKind.BOUNCE, "5.1.1"),
        (counterparty.bounce(ORIGINAL, permanent=False), InboundKind.SOFT_BOUNCE, "4.2.2"),
        (counterparty.delay(ORIGINAL), InboundKind.DELAY, "4.4.1"),
        (counterparty.complaint(ORIGINAL), InboundKind.COMPLAINT, ""),
    ],
)
def test_reports_name_our_mail_and_its_recipient(raw: bytes, kind: InboundKind, status: str) -> None:
    mail = parse(raw)
    assert mail.kind is kind
    assert mail.report is not None
    assert mail.report.original_message_ids == ("<case-1@offload.test>",)
    assert (mail.report.recipient, mail.report.status) == ("bob@example.com", status)
    assert mail.to == ("agent@offload.test",)
    assert mail.attachments == ()


@pytest.mark.parametrize(
    ("raw", "report_type", "part"),
    [
        (counterparty.bounce(ORIGINAL), "delivery-status", "message/delivery-status"),
        (counterparty.delay(ORIGINAL), "delivery-status", "message/delivery-status"),
        (counterparty.complaint(ORIGINAL), "feedback-report", "message/feedback-report"),
    ],
)
def test_reports_are_well_formed_to_another_parser(raw: bytes, report_type: str, part: str) -> None:
    message = email.message_from_bytes(raw, policy=default)
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == report_type
    assert [child.get_content_type() for child in message.iter_parts()][:2] == ["text/plain", part]
    assert not message.defects
    assert message["Auto-Submitted"].startswith("auto-")


def test_out_of_office() -> None:
    mail = parse(counterparty.out_of_office(ORIGINAL, until=date(2027, 1, 15)))
    assert (mail.kind, mail.subject) == (InboundKind.AUTO_REPLY, "Automatic reply: Offer for 100 chairs")
    assert absent_until(mail.reply_text, date(2027, 1, 4)) == date(2027, 1, 15)
    assert mail.in_reply_to == ("<case-1@offload.test>",)


def test_out_of_office_says_by_its_header_that_a_machine_wrote_it() -> None:
    assert b"\r\nAuto-Submitted: auto-replied\r\n" in counterparty.out_of_office(ORIGINAL)


def test_out_of_office_in_given_words() -> None:
    mail = parse(counterparty.out_of_office(ORIGINAL, text="Bin im Urlaub."))
    assert (mail.kind, mail.reply_text) == (InboundKind.AUTO_REPLY, "Bin im Urlaub.")


def test_long_message_ids_are_not_encoded() -> None:
    long_id = f"<{'x' * 200}@offload.test>"
    raw = counterparty.reply(replace(ORIGINAL, message_id=long_id, references=(long_id, "<b@c>")), text="x")
    assert f"In-Reply-To: {long_id}".encode() in raw
    assert parse(raw).references == ("<b@c>", long_id)


def test_international_addresses() -> None:
    original = replace(ORIGINAL, to_address="jürgen@müller.example", to_name="Jürgen")
    for raw in (counterparty.reply(original, text="x"), counterparty.out_of_office(original)):
        assert parse(raw).from_address == "jürgen@müller.example"
        assert parse(raw).message_id.endswith("@xn--mller-kva.example>")
    assert parse(counterparty.bounce(original)).kind is InboundKind.BOUNCE


HOSTILE = st.text(alphabet=st.characters() | st.sampled_from("\r\n\x00\x85\u2028<>,;@\"(=?") , max_size=60)  # fmt: skip


@settings(deadline=None)
@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_no_value_adds_a_header_or_a_recipient(
    name: str, subject: str, message_id: str, address: str, text: str
) -> None:
    evil = "\r\nBcc: evil@example.com\r\n\r\n"
    original = replace(
        ORIGINAL,
        message_id=message_id + evil,
        references=(message_id, evil),
        subject=subject + evil,
        from_name=name + evil,
        to_name=evil + name,
        to_address=address + "@example.com",
        text=text,
    )
    files = [InboundAttachment(name + evil, subject + evil, b"x", content_id=evil)]
    for raw in (
        counterparty.reply(original, text=text, html=None, attachments=files),
        counterparty.out_of_office(original, text=text),
        counterparty.bounce(original),
        counterparty.delay(original),
        counterparty.complaint(original),
    ):
        message = email.message_from_bytes(raw)
        assert message["Bcc"] is None
        assert (
            len(message.get_all("To", []))
            == len(message.get_all("From", []))
            == len(message.get_all("Subject", []))
            == 1
        )
        assert parse(raw).to == ("agent@offload.test",)
        for part in message.walk():
            assert part["Bcc"] is None


WORDS = st.sampled_from(
    ["Price:", "5", "EUR", "Monday", "Grüße", "価格", "2027-01-04", "(all)", "=3D", "-- Bob", "a@b.test", "x" * 90]
)
LINES = st.lists(st.lists(WORDS, max_size=12).map(" ".join), max_size=12).map("\n".join)


@settings(deadline=None)
@given(LINES, st.text(max_size=300))
def test_the_text_of_a_reply_comes_back(text: str, ours: str) -> None:
    raw = counterparty.reply(replace(ORIGINAL, text=ours), text=text)
    assert parse(raw).reply_text == text.strip()


@settings(deadline=None)
@given(LINES)
def test_every_builder_keeps_its_kind_whatever_we_wrote(ours: str) -> None:
    original = replace(ORIGINAL, text=ours, subject=ours)
    assert parse(counterparty.reply(original, text="5 EUR")).kind is InboundKind.REPLY
    assert parse(counterparty.bounce(original)).kind is InboundKind.BOUNCE
    assert parse(counterparty.bounce(original, permanent=False)).kind is InboundKind.SOFT_BOUNCE
    assert parse(counterparty.delay(original)).kind is InboundKind.DELAY
    assert parse(counterparty.complaint(original)).kind is InboundKind.COMPLAINT
    assert parse(counterparty.out_of_office(original)).kind is InboundKind.AUTO_REPLY
