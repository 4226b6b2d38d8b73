import io
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outreach.inbound.attachments import digest, safe_name, sniff_type

OFFICE = "application/vnd.openxmlformats-officedocument."


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("offer.pdf", "offer.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\bob\\offer.pdf", "offer.pdf"),
        ("a/b/", "b"),
        (".htaccess", "htaccess"),
        ("...", "attachment"),
        ("", "attachment"),
        ("\u202egpj.exe", "gpj.exe"),
        ("a\x00b\r\nc.txt", "ab c.txt"),
        ("zero\u200bwidth.txt", "zerowidth.txt"),
        ('a<b>"c".txt', "a_b__c_.txt"),
        ("Angebot für Müller €.pdf", "Angebot für Müller €.pdf"),
        ("x" * 200 + ".pdf", "x" * 146 + ".pdf"),
        ("x" * 200, "x" * 150),
        ("name. ", "name"),
    ],
)
def test_safe_names(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@settings(deadline=None)
@given(st.text(alphabet=st.characters(), max_size=400))
def test_any_name_becomes_safe(name: str) -> None:
    safe = safe_name(name)
    assert 0 < len(safe) <= 150
    assert not safe.startswith(".")
    assert not set(safe) & set("/\\\x00\r\n\u202e\u2028")
    assert safe_name(safe) == safe
    safe.encode("utf-8")


@pytest.mark.parametrize(
    ("content", "name", "declared", "sniffed"),
    [
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "offer.txt", "text/plain", "application/pdf"),
        (b"%PDF-1.7\n", "offer", "", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a.pdf", "application/pdf", "image/png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "a", "", "image/jpeg"),
        (b"GIF89a\1\0\1\0", "a", "", "image/gif"),
        (zipped("[Content_Types].xml", "word/document.xml"), "a.zip", "", OFFICE + "wordprocessingml.document"),
        (zipped("[Content_Types].xml", "xl/workbook.xml"), "a", "", OFFICE + "spreadsheetml.sheet"),
        (zipped("[Content_Types].xml", "ppt/presentation.xml"), "a", "", OFFICE + "presentationml.presentation"),
        (
            zipped("[Content_Types].xml", "word/document.xml", "word/vbaProject.bin"),
            "a.docx",
            "",
            "application/vnd.ms-word.document.macroenabled.12",
        ),
        (zipped("readme.txt"), "a.docx", OFFICE + "wordprocessingml.document", "application/zip"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "a.xls", "", "application/vnd.ms-excel"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "a.bin", "", "application/x-ole-storage"),
        (b"<!DOCTYPE html><html>", "a.txt", "text/plain", "text/html"),
        (b"\xef\xbb\xbf  <!-- x -->\n<script>alert(1)</script>", "a.png", "image/png", "text/html"),
        ("<html>".encode("utf-16"), "a.txt", "text/plain", "text/html"),
        (b"<b onmouseover=x>hi</b>", "a.txt", "text/plain", "text/html"),
        (b"<?xml version='1.0'?>\n<!DOCTYPE svg PUBLIC 'x'>\n<svg xmlns='x'/>", "a.png", "image/png", "image/svg+xml"),
        (b"<svg:svg onload=alert(1)>", "a.jpg", "image/jpeg", "image/svg+xml"),
        (b"words", "page.html", "text/plain", "text/html"),
        (b"words", "a", "text/html; charset=utf-8", "text/html"),
        (b"<?xml version='1.0'?><order/>", "a.xml", "", "application/xml"),
        (b"<a@b.test> wrote", "a.txt", "", "text/plain"),
        (b"a;b\n1;2\n", "list.csv", "application/vnd.ms-excel", "text/csv"),
        (b"BM is a company", "note.txt", "", "text/plain"),
        (b"MZ is one too", "setup.exe", "application/x-msdownload", "text/plain"),
        ("Grüße".encode("latin-1") + b" aus Berlin", "note.txt", "", "text/plain"),
        (b"MZ\x90\0" + b"\0" * 60, "a.pdf", "application/pdf", "application/vnd.microsoft.portable-executable"),
        (b"\x00\x01\x02 unknown \xff", "a.pdf", "application/pdf", "application/octet-stream"),
        (b"{}", "a", "evil/../type", "text/plain"),
        (b"", "a.pdf", "application/pdf", "application/octet-stream"),
    ],
)
def test_types(content: bytes, name: str, declared: str, sniffed: str) -> None:
    assert sniff_type(content, name, declared) == sniffed


@settings(deadline=None)
@given(st.binary(max_size=500), st.text(max_size=20), st.text(max_size=20))
def test_any_content_has_a_type(content: bytes, name: str, declared: str) -> None:
    kind = sniff_type(content, name, declared)
    assert kind.count("/") == 1
    assert kind.isascii()


def test_a_local_file_of_that_name_is_never_opened(tmp_path: object) -> None:
    assert sniff_type(b"plain words", "/etc/passwd", "") == "text/plain"


def test_digest_is_sha_256() -> None:
    assert digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
