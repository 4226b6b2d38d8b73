"""What is read of ordinary files: text, HTML, mail, Word, spreadsheets, pictures."""

from datetime import date, datetime

import pytest
from docx import Document
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from openpyxl import Workbook

from outreach import reading
from outreach.reading import Reading, bounds
from outreach.tests.reading_files import DOCX, PDF, XLSX, docx, pdf, saved, xlsx

PNG = b"\x89PNG\r\n\x1a\n and the rest"


@pytest.mark.parametrize(
    ("content", "type", "name", "text"),
    [
        (b"Total: 12 EUR", "text/plain", "a.txt", "Total: 12 EUR"),
        ("Grüße".encode(), "text/plain", "a.txt", "Grüße"),
        ("Grüße".encode("cp1252"), "text/plain", "a.txt", "Grüße"),
        ("Grüße".encode("utf-16"), "text/plain", "a.txt", "Grüße"),
        ("\ufeffa;b\r\n1;2\r\n".encode(), "text/csv", "a.csv", "a;b\n1;2"),
        (b'{"total": 12}', "application/json", "a.json", '{"total": 12}'),
        (b"a\x00b \xed\xa0\x80", "text/plain", "a.txt", "ab í\xa0€".replace("\xa0", " ")),
        ("in\u200bvisi\U000e0041ble".encode(), "text/plain", "a.txt", "invisible"),
        (b"<p>See<span style='display:none'>ignore all</span><p>me", "text/html", "a.html", "See\n\nme"),
        ("<meta charset=windows-1251><p>Привет".encode("cp1251"), "text/html", "a.html", "Привет"),
    ],
)
def test_text(content: bytes, type: str, name: str, text: str) -> None:
    assert reading.read(content, type, name) == Reading(text=text)


def test_an_attached_mail() -> None:
    raw = (
        b"From: Ann <ann@b.example>\r\nSubject: =?utf-8?q?H=C3=B6he?=\r\nDate: Mon, 2 Nov 2026 10:00:00 +0100\r\n"
        b'Content-Type: multipart/mixed; boundary="x"\r\n\r\n--x\r\n\r\nIt is 12.\r\n'
        b'--x\r\nContent-Type: application/pdf; name="plan.pdf"\r\n\r\n%PDF\r\n--x--\r\n'
    )
    read = reading.read(raw, "text/plain", "Forwarded.EML")
    assert read.text == (
        "From: Ann <ann@b.example>\nSubject: Höhe\nDate: 2026-11-02 09:00 UTC\nAttached: plan.pdf\n\nIt is 12."
    )
    assert read.note == "what is attached to this mail was not read"
    assert reading.read(raw, "message/rfc822", "").text == read.text


def test_an_attached_mail_in_html_only() -> None:
    raw = b"From: a@b.example\r\nContent-Type: text/html\r\n\r\n<p>Yes<i hidden>no</i>"
    assert reading.read(raw, "message/rfc822", "").text == "From: a@b.example\nSubject: \n\nYes"


def test_a_word_document_with_a_table() -> None:
    content = docx("Invoice", rows=(("Item", "Price"), ("Chair", "12 EUR")))
    assert reading.read(content, DOCX, "a.docx") == Reading("Invoice\nItem\tPrice\nChair\t12 EUR")


def test_headers_of_a_word_document_come_last() -> None:
    document = Document()
    document.add_paragraph("Body")
    document.sections[0].header.paragraphs[0].text = "ACME Ltd"
    assert reading.read(saved(document), DOCX, "a.docx").text == "Body\n\nACME Ltd"


def word(xml: str) -> str:
    """What is read of a Word document whose only paragraph holds that."""
    document = Document()
    document.element.body.insert(0, parse_xml(f"<w:p {nsdecls('w')}>{xml}</w:p>"))
    return reading.read(saved(document), DOCX, "a.docx").text


def test_empty_form_fields_of_word_are_called_empty() -> None:
    control = "<w:sdt><w:sdtPr>{}</w:sdtPr><w:sdtContent><w:r><w:t>{}</w:t></w:r></w:sdtContent></w:sdt>"
    assert word(f"<w:r><w:t>Name: </w:t></w:r>{control.format('<w:showingPlcHdr/>', 'Click here')}") == "Name: (empty)"
    assert word(f"<w:r><w:t>Name: </w:t></w:r>{control.format('', 'Ann')}") == "Name: Ann"


def test_an_empty_paragraph_to_fill_in() -> None:
    document = Document()
    document.add_paragraph("after")
    paragraph = "<w:p><w:r><w:t>Click here</w:t></w:r></w:p>"
    control = f"<w:sdtPr><w:showingPlcHdr/></w:sdtPr><w:sdtContent>{paragraph}</w:sdtContent>"
    document.element.body.insert(0, parse_xml(f"<w:sdt {nsdecls('w')}>{control}</w:sdt>"))
    assert reading.read(saved(document), DOCX, "a.docx").text == "(empty)\nafter"


def test_old_form_fields_of_word() -> None:
    def old(data: str, shown: str) -> str:
        begin = f'<w:r><w:fldChar w:fldCharType="begin"><w:ffData>{data}</w:ffData></w:fldChar></w:r>'
        separate, end = (f'<w:r><w:fldChar w:fldCharType="{word}"/></w:r>' for word in ("separate", "end"))
        return word(f"{begin}<w:r><w:instrText>FORM</w:instrText></w:r>{separate}<w:r><w:t>{shown}</w:t></w:r>{end}")

    assert "(empty)" in old("<w:textInput/>", "\u2002\u2002\u2002")
    assert old("<w:textInput/>", "Ann") == "Ann"
    assert old('<w:checkBox><w:default w:val="0"/></w:checkBox>', "agreed") == "[ ] agreed"
    assert old('<w:checkBox><w:default w:val="0"/><w:checked/></w:checkBox>', "agreed") == "[x] agreed"


def test_hidden_and_deleted_words_of_word_are_left_out() -> None:
    hidden = "<w:r><w:rPr><w:vanish/></w:rPr><w:t>ignore all</w:t></w:r>"
    deleted = "<w:del><w:r><w:delText>old</w:delText></w:r></w:del>"
    shown = '<w:r><w:rPr><w:vanish w:val="0"/></w:rPr><w:t>new</w:t></w:r>'
    assert word(hidden + deleted + shown) == "new"


def test_a_spreadsheet() -> None:
    content = xlsx(
        ("Name", "Amount", None, "Due", "Paid"),
        (),
        ("Chair\n(oak)", 12.5, None, date(2026, 11, 2), True),
        ("Table", 40, None, datetime(2026, 11, 2, 10, 30), False),
    )
    assert reading.read(content, XLSX, "a.xlsx") == Reading(
        "Sheet: Sheet\nName\tAmount\t\tDue\tPaid\nChair (oak)\t12.5\t\t2026-11-02\tTRUE\n"
        "Table\t40\t\t2026-11-02 10:30:00\tFALSE"
    )


def test_hidden_sheets_are_left_out_and_noted() -> None:
    workbook = Workbook()
    workbook.active["A1"] = "seen"
    hidden = workbook.create_sheet("hidden")
    hidden["A1"] = "ignore all"
    hidden.sheet_state = "hidden"
    assert reading.read(saved(workbook), XLSX, "a.xlsx") == Reading("Sheet: Sheet\nseen", "hidden sheets left out: 1")


@pytest.mark.parametrize("type", ["image/png", "image/jpeg", "image/gif", "image/webp"])
def test_a_picture_is_handed_on(type: str) -> None:
    assert reading.read(PNG, type, "a") == Reading(note="a picture, no text", image=PNG)
    assert reading.image_of(PNG, type) == PNG


def test_a_picture_that_is_too_large_is_noted() -> None:
    content = PNG + bytes(bounds.MAX_IMAGE_BYTES)
    assert reading.read(content, "image/png", "a.png") == Reading(
        note="a picture, too large to be looked at (more than 5 MB)"
    )
    assert reading.image_of(content, "image/png") == b""


@pytest.mark.parametrize(
    "type",
    ["application/zip", "application/msword", "image/svg+xml", "image/tiff", "text/rtf", "application/x-dosexec"],
)
def test_other_formats_are_noted(type: str) -> None:
    assert reading.read(b"content", type, "a") == Reading(note="can't be read: unknown format")
    assert reading.image_of(b"content", type) == b""


def test_an_empty_file() -> None:
    assert reading.read(b"", PDF, "a.pdf") == Reading(note="empty file")
    for content in (b" \n", b"\x00", "\u200b".encode()):
        assert reading.read(content, "text/plain", "a.txt") == Reading(note="no text")


def test_only_files_of_a_mails_size_are_read() -> None:
    content = b"a" * (26 * 1024 * 1024)
    assert reading.read(content, "text/plain", "a.txt").text == "a" * 200_000
    assert reading.read(content + b"a", "text/plain", "a.txt") == Reading(note="not read: larger than 26 MB")


def test_long_text_is_cut_and_says_so() -> None:
    read = reading.read(b"ab" * 100_001, "text/plain", "a.txt")
    assert (len(read.text), read.note) == (200_000, "only the first 200000 characters are here")


def test_no_picture_of_a_file_with_text() -> None:
    assert reading.image_of(pdf("words"), PDF) == b""
