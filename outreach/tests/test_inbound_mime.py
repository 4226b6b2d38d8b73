import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outreach.inbound import mime
from outreach.inbound.mail import parse


def nested(depth: int, innermost: bytes) -> bytes:
    raw = innermost
    for level in range(depth):
        raw = b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n%s\n--b%d--\n" % (level, level, raw, level)
    return b"From: a@b.test\n" + raw


def test_a_hundred_nested_parts_are_read_to_the_innermost() -> None:
    assert parse(nested(100, b"Content-Type: text/plain\n\nPrice: 5 EUR\n")).reply_text == "Price: 5 EUR"


def test_deeper_nesting_is_kept_as_one_file() -> None:
    mail = parse(nested(3000, b"Content-Type: text/plain\n\nPrice: 5 EUR\n"))
    assert mail.text == ""
    assert [a.declared_type for a in mail.attachments] == ["application/octet-stream"]
    assert b"Price: 5 EUR" in mail.attachments[0].content


def test_parts_are_capped_and_the_rest_is_not_split() -> None:
    parts = b"".join(b"--x\nContent-Type: text/plain\n\nword%d\n" % number for number in range(5000))
    tree = mime.read(b"Content-Type: multipart/mixed; boundary=x\n\n" + parts + b"--x--\n")
    assert len(list(tree.walk())) == mime.MAX_PARTS


def test_an_endless_run_of_false_boundaries_ends() -> None:
    raw = b"Content-Type: multipart/mixed; boundary=x\n\n--x\n\nhello\n" + b"--xy\n" * 200_000
    assert parse(raw).text.startswith("hello\n--xy")


def test_attachments_are_capped() -> None:
    part = b'--x\nContent-Type: application/pdf; name="a.pdf"\n\n%PDF-\n'
    mail = parse(b"Content-Type: multipart/mixed; boundary=x\n\n" + part * 300 + b"--x--\n")
    assert len(mail.attachments) == 100


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_every_line_end_is_read(line_end: bytes) -> None:
    lines = [
        b"From: a@b.test",
        b"Content-Type: multipart/mixed; boundary=x",
        b"",
        b"--x",
        b"",
        b"one",
        b"two",
        b"--x--",
    ]
    assert parse(line_end.join(lines)).text == "one\ntwo"


def test_a_missing_closing_boundary_loses_nothing() -> None:
    assert parse(b"Content-Type: multipart/mixed; boundary=x\n\n--x\n\nlast words\n").text == "last words\n"


def test_a_multipart_without_its_boundary_is_shown_as_it_stands() -> None:
    assert parse(b"Content-Type: multipart/mixed\n\nthe words\n").text == "the words\n"
    assert parse(b"Content-Type: multipart/mixed; boundary=other\n\n--x\n\nthe words\n").text == "--x\n\nthe words\n"


def test_missing_headers_leave_the_words() -> None:
    mail = parse(b"Just words, no headers.\nMore.")
    assert (mail.text, mail.message_id, mail.from_address) == ("Just words, no headers.\nMore.", "", "")


def test_a_body_that_looks_like_a_header_stays_a_body() -> None:
    assert parse(b"Price: 5 EUR\nDelivery: Monday\n").text == "Price: 5 EUR\nDelivery: Monday\n"


def test_a_missing_blank_line_before_the_body_loses_nothing() -> None:
    mail = parse(b"From: a@b.test\nSubject: Hi\nThese are words\nand more\n")
    assert (mail.subject, mail.text) == ("Hi", "These are words\nand more\n")


def test_one_broken_line_among_the_headers_does_not_end_them() -> None:
    mail = parse(b"Subject: Hi\ngarbage here\nMessage-ID: <1@b.test>\n\nwords")
    assert (mail.message_id, mail.text) == ("<1@b.test>", "words")


def test_an_mbox_line_and_leading_blank_lines_are_skipped() -> None:
    assert parse(b"\r\nFrom bob Mon Jan  4 2027\nSubject: Hi\n\nwords").subject == "Hi"


def test_of_duplicate_headers_the_first_counts() -> None:
    mail = parse(
        b"From: a@b.test\nFrom: evil@b.test\nSubject: one\nSubject: two\nMessage-ID: <1@b>\nMessage-ID: <2@b>\n\n"
    )
    assert (mail.from_address, mail.subject, mail.message_id) == ("a@b.test", "one", "<1@b>")


def test_a_huge_header_is_cut_and_the_body_still_found() -> None:
    mail = parse(b"Subject: " + b"x" * 5_000_000 + b"\nFrom: a@b.test\n\nwords")
    assert (len(mail.subject), mail.text) == (998, "words")


def test_endless_headers_are_cut_and_the_body_still_found() -> None:
    raw = b"From: a@b.test\n" + b"X-Filler: y\n" * 50_000 + b"\nwords"
    assert len(mime.read(raw).headers) == mime.MAX_HEADERS
    assert parse(raw).text == "words"


@pytest.mark.parametrize(
    ("header", "subject"),
    [
        (b"=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        (b"=?utf-8?B?R3LDvMOfZQ==?=", "Grüße"),
        (b"=?UTF-8?B?R3LDvMOfZQ?=", "Grüße"),
        (b"=?utf-8?b?R3LD?=\n =?utf-8?b?vMOfZQ==?=", "Grüße"),
        (b"=?iso-8859-1?q?=80?= 5", "€ 5"),
        (b"=?utf-8*de?q?ja?=", "ja"),
        (b"=?x-unknown?q?Gr=C3=BC?=", "Grü"),
        (b"=?utf-8?b?!!!!?= rest", "rest"),
        (b"=?utf-8?b?A?= rest", "=?utf-8?b?A?= rest"),
        (b"=?utf-8?q?open", "=?utf-8?q?open"),
        ("Grüße".encode(), "Grüße"),
        ("Grüße".encode("latin-1"), "Grüße"),
        (b"a\x00b =?utf-8?q?c=00d=0Ae?=", "ab cd e"),
    ],
)
def test_subjects(header: bytes, subject: str) -> None:
    assert parse(b"Subject: " + header + b"\n\n").subject == subject


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="offer.pdf"', "offer.pdf"),
        ("attachment; filename=my offer.pdf", "my offer.pdf"),
        ("attachment; filename*=UTF-8''Angebot%20%E2%82%AC.pdf", "Angebot €.pdf"),
        ("attachment; filename*0*=UTF-8''Ange; filename*1*=%C3%BCb; filename*2=\".pdf\"", "Angeüb.pdf"),
        ("attachment; filename=plain.pdf; filename*=UTF-8''r%C3%ADco.pdf", "ríco.pdf"),
        ('attachment; filename="=?utf-8?q?r=C3=ADco.pdf?="', "ríco.pdf"),
        ('attachment; filename="C:\\dir\\of\\file.pdf"', "file.pdf"),
        ("attachment; filename*1=b.pdf; filename*0=a", "ab.pdf"),
        ("attachment; filename*=bogus'%E2%82%AC.pdf", "bogus'€.pdf"),
        ('attachment; filename="unclosed.pdf', "unclosed.pdf"),
        ("attachment", "attachment-1.pdf"),
    ],
)
def test_file_names(disposition: str, name: str) -> None:
    raw = f"Content-Type: application/pdf\nContent-Disposition: {disposition}\n\n%PDF-".encode()
    assert [a.name for a in parse(raw).attachments] == [name]


@pytest.mark.parametrize(
    ("body", "content"),
    [
        (b"SGVsbG8=", b"Hello"),
        (b"SGVsbG8", b"Hello"),
        (b"SGVs\r\nbG8=\r\n", b"Hello"),
        (b"SGVs*bG8gd29ybGQ=", b"Hello world"),
        (b"SGVsbG8=SGVsbG8=", b"HelloHello"),
        (b"SGVsbG8gd29ybGQx\nS", b"Hello world1"),
        (b"not, really: encoded! (at all)", b"not, really: encoded! (at all)"),
    ],
)
def test_base64_is_read_as_far_as_it_goes(body: bytes, content: bytes) -> None:
    assert mime.read(b"Content-Transfer-Encoding: base64\n\n" + body).content == content


@pytest.mark.parametrize(
    ("charset", "content", "text"),
    [
        ("utf-8", "Grüße".encode(), "Grüße"),
        ("iso-8859-1", b"\x93quoted\x94 gr\xfcn", "“quoted” grün"),
        ("us-ascii", "Grüße".encode(), "Grüße"),
        ("us-ascii", "Grüße".encode("latin-1"), "Grüße"),
        ("x-nonsense", "Grüße".encode(), "Grüße"),
        ("x-nonsense", "Grüße".encode("latin-1"), "Grüße"),
        ("utf-8", "Grüße grüne Grüße".encode() + b"\xff", "Grüße grüne Grüße\ufffd"),
        ("utf-8", "Grüße".encode("latin-1"), "Grüße"),
        ("gb2312", "价格".encode("gb18030"), "价格"),
        ("iso-2022-jp", "価格".encode("iso-2022-jp"), "価格"),
        ("koi8-r", "цена".encode("koi8-r"), "цена"),
        ("zlib", b"words", "words"),
        ("unicode_escape", b"\\u0041", "\\u0041"),
        ("punycode", b"words-abc", "words-abc"),
        ("", b"\x81\xff", "\x81ÿ"),
    ],
)
def test_charsets(charset: str, content: bytes, text: str) -> None:
    assert mime.decode_bytes(content, charset) == text


def test_nul_and_surrogates_are_removed() -> None:
    assert mime.clean("a\x00b\ud800c\r\nd\re") == "abc\nd\ne"


@settings(deadline=None)
@given(st.binary(max_size=2000))
def test_any_bytes_are_a_message(raw: bytes) -> None:
    mime.read(raw)


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_header_value_is_read(value: str) -> None:
    for text in (mime.decode_words(value), *mime.read_parameters(value)[1].values()):
        assert "\x00" not in text
        text.encode("utf-8")


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_base64_comes_back(content: bytes) -> None:
    assert mime.read(b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(content)).content == content
