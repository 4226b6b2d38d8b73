"""Files that want to do harm, and readers that break: all of it is bounded, and ends as a note."""

import os
import re
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from pypdf import PdfWriter
from pypdf.generic import ArrayObject

from outreach import reading
from outreach.reading import Reading, bounds
from outreach.tests.reading_files import (
    DOCX,
    PDF,
    XLSX,
    add_page,
    docx,
    name,
    pdf,
    pdf_bytes,
    repacked,
    stream,
    xlsx,
)

pytestmark = pytest.mark.long

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
TOO_LARGE = Reading(note="can't be read: its packed content is too large")
FAILED = Reading(note="can't be read: the reader failed")
TOO_LONG = Reading(note="can't be read: it takes too long")


# --- Bombs ---


def zip_of(size: int) -> bytes:
    out = BytesIO()
    with ZipFile(out, "w", ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", bytes(size))
        archive.writestr("word/document.xml", "")
    return out.getvalue()


@pytest.mark.parametrize("type", [DOCX, XLSX])
@pytest.mark.parametrize("megabytes", [11, 101])
def test_a_zip_bomb_is_not_unpacked(type: str, megabytes: int) -> None:
    assert reading.read(zip_of(megabytes * 1024 * 1024), type, "a") == TOO_LARGE


def test_a_zip_bomb_that_lies_about_its_size() -> None:
    bomb = bytearray(zip_of(11 * 1024 * 1024))
    directory = bomb.index(b"PK\x01\x02")
    bomb[directory + 24 : directory + 28] = (1000).to_bytes(4, "little")
    assert reading.read(bytes(bomb), DOCX, "a") == Reading(note="can't be read: damaged (BadZipFile)")


def test_an_archive_of_more_than_a_hundred_megabytes() -> None:
    out = BytesIO()
    with ZipFile(out, "w") as archive:
        archive.writestr("[Content_Types].xml", bytes(600_000))
    large = bytearray(out.getvalue())
    directory = large.index(b"PK\x01\x02")
    large[directory + 24 : directory + 28] = (101 * 1024 * 1024).to_bytes(4, "little")
    assert reading.read(bytes(large), DOCX, "a") == TOO_LARGE


def test_an_archive_of_very_many_entries() -> None:
    out = BytesIO()
    with ZipFile(out, "w") as archive:
        for number in range(5001):
            archive.writestr(str(number), "")
    assert reading.read(out.getvalue(), DOCX, "a") == TOO_LARGE


def test_a_packed_office_file_is_protected_by_a_password() -> None:
    locked = bytearray(docx("x"))
    directory = locked.index(b"PK\x01\x02")
    locked[directory + 8] |= 1
    assert reading.read(bytes(locked), DOCX, "a") == Reading(note="can't be read: protected by a password")


def test_entities_are_not_expanded_and_nothing_is_fetched() -> None:
    laughs = '<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY a{level} "{f"&a{level - 1 if level else str()};" * 10}">' for level in range(9)
    )
    body = "<w:document {}><w:body><w:p><w:r><w:t>{}</w:t></w:r></w:p></w:body></w:document>"
    document = f"<!DOCTYPE d [{laughs}]>{body.format(W, '&a8;')}".encode()
    assert len(reading.read(repacked(docx("x"), word__document_xml=document), DOCX, "a").text) == 0
    file = f'<!DOCTYPE d [<!ENTITY a SYSTEM "file:///etc/passwd">]>{body.format(W, "&a;")}'.encode()
    assert reading.read(repacked(docx("x"), word__document_xml=file), DOCX, "a").text == ""
    sheet = f"<!DOCTYPE d [{laughs}]><worksheet>&a8;</worksheet>".encode()
    read = reading.read(repacked(xlsx((1,)), xl__worksheets__sheet1_xml=sheet), XLSX, "a")
    assert read == Reading(note="can't be read: damaged (ParseError)")


def test_a_sheet_of_very_many_rows_is_cut() -> None:
    read = reading.read(xlsx(*((number,) for number in range(10_050))), XLSX, "a")
    assert (read.text.splitlines()[-1], read.note) == ("9999", "only the first rows were read")


@pytest.mark.parametrize("packings", [1, 2])
def test_a_pdf_stream_that_swells_without_end(packings: int) -> None:
    packer = zlib.compressobj(9)
    content = b"".join(packer.compress(bytes(10_000_000)) for _ in range(30)) + packer.flush()
    for _ in range(packings - 1):
        content = zlib.compress(content, 9)
    writer = PdfWriter()
    page = add_page(writer, "")
    filters = ArrayObject([name("/FlateDecode")] * packings)
    page[name("/Contents")] = writer._add_object(stream(content, Filter=filters))
    assert reading.read(pdf_bytes(writer), PDF, "a") == Reading(note="no text; damaged pages: 1")


def test_what_was_read_before_it_became_too_much_is_kept() -> None:
    """Too many characters, or too many seconds where the machine has other work."""
    content = zlib.compress(b"BT /F1 12 Tf " + b"1 0 Td (abc) Tj " * 8_000 + b"ET", 9)
    writer = PdfWriter()
    for _ in range(50):
        add_page(writer, "")[name("/Contents")] = writer._add_object(stream(content, Filter=name("/FlateDecode")))
    read = reading.read(pdf_bytes(writer), PDF, "a")
    note = re.fullmatch(r"only the first (\d+) of 50 pages were read(; only the first 200000 .*)?", read.note)
    assert note, read.note
    assert 1 <= int(note[1]) < 50
    assert read.text == "\n\n".join(["abc" * 8_000] * int(note[1]))[:200_000]


def test_a_pdf_whose_page_tree_loops() -> None:
    writer = PdfWriter()
    add_page(writer, "x")
    pages = writer.root_object.raw_get("/Pages")
    pages.get_object()[name("/Kids")] = ArrayObject([pages] * 10)
    assert reading.read(pdf_bytes(writer), PDF, "a") == Reading(note="can't be read: damaged (PdfReadError)")


@pytest.mark.parametrize(
    ("whole", "type"), [(pdf("one"), PDF), (docx("one"), DOCX), (xlsx(("one",)), XLSX)], ids=["pdf", "docx", "xlsx"]
)
def test_a_truncated_file(whole: bytes, type: str) -> None:
    for length in (10, len(whole) // 2):
        read = reading.read(whole[:length], type, "a")
        assert read.text == ""
        assert read.note.startswith("can't be read: damaged")


@pytest.mark.parametrize("type", [PDF, DOCX, XLSX])
def test_a_file_of_another_kind_than_it_says(type: str) -> None:
    assert reading.read(b"MZ\x90\x00" * 100, type, "a").note.startswith("can't be read: damaged")


def test_nesting_without_end() -> None:
    assert reading.read(b"%PDF-1.4\n1 0 obj\n" + b"[" * 1_000_000, PDF, "a").note.startswith("can't be read: damaged")
    paragraphs = "<w:p>" * 100_000 + "</w:p>" * 100_000
    document = f"<w:document {W}><w:body>{paragraphs}</w:body></w:document>".encode()
    read = reading.read(repacked(docx("x"), word__document_xml=document), DOCX, "a")
    assert read == Reading(note="can't be read: damaged (XMLSyntaxError)")


# --- A reader that breaks ---


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let the child process run that program instead."""

    def run(program: str) -> None:
        monkeypatch.setattr(reading, "_CHILD", (sys.executable, "-c", program))

    return run


def read(**more: float) -> Reading:
    return reading.read(b"words", "text/plain", "a.txt", **more)


@pytest.mark.parametrize("program", ["while True: pass", "import time; time.sleep(60)"])
def test_a_reader_that_hangs_is_ended(child: Callable[[str], None], program: str) -> None:
    child(program)
    began_at = time.monotonic()
    assert read(seconds=0.5) == TOO_LONG
    assert time.monotonic() - began_at < 5


@pytest.mark.parametrize("program", ["signal.alarm(0)\nwhile True: pass", "time.sleep(60)"])
def test_a_reader_ends_itself(child: Callable[[str], None], program: str) -> None:
    """By processor time and by the clock: whoever started it may be dead."""
    bound = "import signal, time; from outreach.reading import bounds; bounds.SECONDS = 1; bounds.bind_process()"
    child(f"{bound}\n{program}")
    began_at = time.monotonic()
    assert read() == TOO_LONG
    assert time.monotonic() - began_at < 8


def test_a_reader_that_eats_memory(child: Callable[[str], None]) -> None:
    child(
        "from outreach.reading import bounds, child; bounds.bind_process()\n"
        "child.answer(child.attempt(lambda content: bytearray(600 * 1024 ** 2), b''))"
    )
    assert read() == Reading(note="can't be read: it takes too much memory")


def test_a_reader_that_writes_without_end(child: Callable[[str], None]) -> None:
    child(
        "from outreach.reading import bounds; bounds.bind_process()\n"
        "import sys\nwhile True: sys.stdout.write('a' * 1024 ** 2)"
    )
    assert read() == FAILED


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "[]",
        '{"text": "a"}',
        '{"text": 1, "note": "", "image": ""}',
        '{"text": "", "note": "", "image": "?"}',
        '{"text": "a", "note": "", "image": ""',
    ],
)
def test_an_answer_that_is_none(child: Callable[[str], None], answer: str) -> None:
    child(f"print({answer!r})")
    assert read() == FAILED


def test_the_readers_word_is_cleaned_and_bounded_once_more(child: Callable[[str], None]) -> None:
    child(
        r"""import json; print(json.dumps({"text": "\0\ud800" + "a" * 200001, "note": "b\r\n" * 501, "image": ""}))"""
    )
    found = read()
    assert found.text == "a" * 200_000
    assert len(found.note) <= bounds.MAX_NOTE_CHARS
    assert "\n" not in found.note


@pytest.mark.parametrize("program", ["raise SystemExit(3)", "import os; os.kill(os.getpid(), 11)"])
def test_a_reader_that_crashes(child: Callable[[str], None], program: str) -> None:
    child(program)
    assert read() == FAILED


def test_a_reader_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_CHILD", ("/nowhere/python",))
    assert read() == Reading(note="not read: no process could be started")


# --- What the reader has in its hands ---


def test_a_reader_has_nothing_of_ours(child: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "canary")
    inherited = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(inherited, True)
    child(
        "import json, os\n"
        "open_files = sorted(set(map(int, os.listdir('/proc/self/fd'))) - {3})\n"  # 3 lists the directory
        "print(json.dumps({'text': repr((sorted(os.environ), open_files)), 'note': '', 'image': ''}))"
    )
    try:
        found, open_files = eval(read().text)
    finally:
        os.close(inherited)
    assert set(found) <= {"PATH", "LC_CTYPE"}  # Python sets the second one itself
    assert open_files == [0, 1, 2]


def test_a_reader_loads_neither_django_nor_settings() -> None:
    program = (
        "import sys; from outreach.reading import child, docx, pdf, words, xlsx; "
        "print([name for name in sys.modules if name.split('.')[0] in ('django', 'offload_project', 'cases')])"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=reading._ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_no_time_is_no_reading() -> None:
    assert read(seconds=0) == read(seconds=-5) == Reading(note="not read: out of time")


def test_few_are_read_side_by_side(child: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_SIDE_BY_SIDE", threading.BoundedSemaphore(1))
    child("import time; time.sleep(60)")
    notes: list[str] = []
    threads = [threading.Thread(target=lambda: notes.append(read(seconds=1).note)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(set(notes)) == [TOO_LONG.note, "not read: out of time"]
    assert notes.count(TOO_LONG.note) < 3
