from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outreach.inbound.mail import InboundKind, parse

PIECES = [
    b"From: ", b"a@b.test", b"Subject: ", b"=?utf-8?q?", b"?=", b"Content-Type: ", b"multipart/mixed",
    b"multipart/report", b"; boundary=x", b"; report-type=delivery-status", b"--x", b"--x--", b"\n", b"\r\n", b"\r",
    b"\n\n",
    b"message/rfc822",
    b"message/delivery-status", b"text/html", b"<b>", b"&#x", b"Content-Transfer-Encoding: base64", b"AAAA",
    b"quoted-printable",
    b"Action: failed", b"Status: 5.1.1", b"Message-ID: ", b"<", b">", b"(", b'"', b"\\", b"\x00", b"\xff",
    b"\xed\xa0\x80",
    b"> ", b"On 5 Jan 2027 at 10:00 x@y wrote:", b"charset=", b"utf-7", b"Date: ", b"filename*0*=",
    b"Mon, 99 Foo -9999",
]  # fmt: skip


def strings(mail: object) -> list[str]:
    found: list[str] = []
    for value in vars(mail).values():
        values = value if isinstance(value, tuple) else (value,)
        for one in values:
            found += strings(one) if hasattr(one, "__dataclass_fields__") else [one] if isinstance(one, str) else []
    return found


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=1500), st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join)))
def test_any_bytes_are_a_mail_that_postgresql_stores(raw: bytes) -> None:
    for text in strings(parse(raw)):
        assert "\x00" not in text
        text.encode("utf-8")


def test_an_ordinary_reply() -> None:
    mail = parse(
        b"From: =?utf-8?q?M=C3=BCller=2C_Bob?= <Bob@Example.COM>\r\n"
        b"To: Agent <agent@offload.test>, Second@offload.test\r\nCc: c@d.test\r\n"
        b"Subject: Re: Offer\r\nMessage-ID: <abc@example.com>\r\nIn-Reply-To: <case\r\n -1@offload.test>\r\n"
        b"References: <a@b>,<c@d>\r\n <a@b>\r\nDate: Mon, 4 Jan 2027 10:30:00 +0100\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n\r\nPrice: 5 \xe2\x82\xac\r\n"
    )
    assert mail.kind is InboundKind.REPLY
    assert mail.from_name == "Müller, Bob"
    assert mail.from_address == "bob@example.com"
    assert mail.to == ("agent@offload.test", "second@offload.test")
    assert mail.cc == ("c@d.test",)
    assert mail.subject == "Re: Offer"
    assert mail.message_id == "<abc@example.com>"
    assert mail.in_reply_to == ("<case-1@offload.test>",)
    assert mail.references == ("<a@b>", "<c@d>")
    assert mail.sent_at == datetime(2027, 1, 4, 9, 30, tzinfo=UTC)
    assert (mail.text, mail.html, mail.reply_text) == ("Price: 5 €\n", "", "Price: 5 €")
    assert (mail.attachments, mail.report) == ((), None)


@pytest.mark.parametrize(
    ("header", "address"),
    [
        ("bob@example.com", "bob@example.com"),
        ("Bob <bob@example.com", "bob@example.com"),
        ("Bob, Mueller <bob@example.com>", "bob@example.com"),
        ('"Bob" (home) <bob@example.com>', "bob@example.com"),
        ("[Bob] bob@example.com ;;", "bob@example.com"),
        ("friends: bob@example.com, c@d.test;", "bob@example.com"),
        ('"evil@x.test" <bob@example.com>', "bob@example.com"),
        ("(" * 5000 + " bob@example.com", "bob@example.com"),
        ("=?utf-8?q?bob=40example=2Ecom?=", "bob@example.com"),
        ("nobody", ""),
        ("", ""),
    ],
)
def test_senders(header: str, address: str) -> None:
    assert parse(f"From: {header}\n\n".encode()).from_address == address


def test_without_from_the_next_best_header_names_the_sender() -> None:
    assert parse(b"Sender: s@b.test\nReturn-Path: <r@b.test>\n\n").from_address == "s@b.test"
    assert parse(b"Return-Path: <r@b.test>\n\n").from_address == "r@b.test"


@pytest.mark.parametrize(
    "value", ["", "yesterday", "Mon, 99 Foo 2027", "Mon, 4 Jan 1900 10:00:00 +0000", "1 Jan 9999 00:00 -9999"]
)
def test_an_impossible_date_is_none(value: str) -> None:
    assert parse(f"Date: {value}\nFrom: a@b.test\n\n".encode()).sent_at is None


def test_a_message_id_without_brackets_gets_them_and_junk_is_none() -> None:
    assert parse(b"Message-ID: abc@example.com\n\n").message_id == "<abc@example.com>"
    assert parse(b"Message-ID: whatever\n\n").message_id == ""


def test_many_references_keep_the_newest() -> None:
    references = " ".join(f"<{number}@b>" for number in range(300))
    assert parse(f"References: {references}\n\n".encode()).references[-1] == "<299@b>"
    assert len(parse(f"References: {references}\n\n".encode()).references) == 100


ALTERNATIVE = (
    b"From: a@b.test\nContent-Type: multipart/alternative; boundary=x\n\n--x\nContent-Type: text/plain\n\n%s\n"
    b"--x\nContent-Type: text/html\n\n%s\n--x--\n"
)


def test_both_alternatives_are_kept_and_the_plain_one_is_read() -> None:
    mail = parse(ALTERNATIVE % (b"Yes, 5 EUR.", b"<p>Yes, 5 EUR.</p>"))
    assert (mail.text, mail.html, mail.reply_text) == ("Yes, 5 EUR.", "<p>Yes, 5 EUR.</p>", "Yes, 5 EUR.")


def test_a_stand_in_for_html_is_not_the_reply() -> None:
    html = b"<p>" + b"The price is five euro and we deliver on Monday at noon. " * 4 + b"</p>"
    mail = parse(ALTERNATIVE % (b"Your mail program cannot show HTML.", html))
    assert mail.reply_text.startswith("The price is five")


def test_a_plain_footer_does_not_hide_an_html_body() -> None:
    mail = parse(
        b"Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: text/html\n\n<p>The price is 5 EUR</p>\n"
        b"--x\nContent-Type: text/plain\n\nSent through a list\n--x--\n"
    )
    assert mail.reply_text == "The price is 5 EUR\nSent through a list"


def test_text_on_both_sides_of_a_picture_is_kept() -> None:
    mail = parse(
        b"Content-Type: multipart/mixed; boundary=x\n\n--x\n\nabove\n--x\nContent-Type: image/png\n"
        b"Content-Disposition: inline; filename=p.png\n\n\x89PNG\n--x\n\nbelow\n--x--\n"
    )
    assert mail.text == "above\nbelow"
    assert [(a.name, a.inline) for a in mail.attachments] == [("p.png", True)]


def test_related_pictures_are_inline_attachments() -> None:
    mail = parse(
        b"Content-Type: multipart/related; boundary=x\n\n--x\nContent-Type: text/html\n\n<img src=cid:logo@b>\n"
        b"--x\nContent-Type: image/png\nContent-ID: <logo@b>\nContent-Transfer-Encoding: base64\n\n"
        b"iVBORw0KGgo=\n--x--\n"
    )
    (picture,) = mail.attachments
    assert (picture.name, picture.content_id, picture.inline) == ("image-1.png", "logo@b", True)
    assert picture.content == b"\x89PNG\r\n\x1a\n"


def test_a_forwarded_message_is_an_attachment_named_by_its_subject() -> None:
    mail = parse(
        b"Content-Type: multipart/mixed; boundary=x\n\n--x\n\nsee below\n--x\nContent-Type: message/rfc822\n\n"
        b"Subject: Old/offer\nContent-Type: text/plain\n\nold words\n--x--\n"
    )
    assert mail.text == "see below"
    assert [(a.name, a.declared_type) for a in mail.attachments] == [("offer.eml", "message/rfc822")]
    assert b"old words" in mail.attachments[0].content


def test_text_files_are_attachments_and_a_named_body_is_a_body() -> None:
    mail = parse(
        b"Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: text/plain; name=body.txt\n\nwords\n"
        b"--x\nContent-Type: text/plain\nContent-Disposition: attachment; filename=notes.txt\n\nnotes\n"
        b"--x\nContent-Type: text/html; name=page.html\n\n<p>page\n--x--\n"
    )
    assert (mail.text, mail.html) == ("words", "")
    assert [a.name for a in mail.attachments] == ["notes.txt", "page.html"]


def test_a_body_over_the_limit_is_cut_and_kept_whole_as_a_file() -> None:
    mail = parse(b"Content-Type: text/plain\n\n" + b"word " * 300_000)
    assert len(mail.text) == 1_000_000
    assert [(a.name, len(a.content)) for a in mail.attachments] == [("attachment-1.txt", 1_500_000)]
