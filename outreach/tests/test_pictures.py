"""Pictures of files for staff: drawn anew, bounded, and nothing of the file's own bytes."""

import struct
import subprocess
import sys
import zlib
from io import BytesIO

import pytest
from PIL import Image
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, FloatObject, TextStringObject

from outreach import reading
from outreach.reading import draw as child_side
from outreach.reading import pictures
from outreach.reading.pictures import Look, draw
from outreach.tests.reading_files import PDF, add_page, field, form_pdf, name, pdf, pdf_bytes

PNG, JPEG = "image/png", "image/jpeg"


def image(size: tuple[int, int] = (300, 200), colour: str = "red", form: str = "PNG", **options: object) -> bytes:
    out = BytesIO()
    Image.new("RGB", size, colour).save(out, form, **options)
    return out.getvalue()


def opened(page: bytes) -> Image.Image:
    found = Image.open(BytesIO(page))
    assert found.format == "WEBP"
    return found


def test_an_image_is_drawn_as_it_looks() -> None:
    look = draw(image(), PNG)
    assert (len(look.pages), look.count, look.note) == (1, 1, "")
    page = opened(look.pages[0]).convert("RGB")
    assert page.size == (300, 200)
    red, green, blue = page.getpixel((10, 10))  # type: ignore[misc]
    assert red > 240
    assert green < 15
    assert blue < 15


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP"])
def test_large_images_of_every_kind_are_made_smaller(form: str) -> None:
    look = draw(image((4000, 2000), form=form), f"image/{form.lower()}")
    assert opened(look.pages[0]).size == (1240, 620)
    assert opened(draw(image((4000, 2000), form=form), PNG, small=True).pages[0]).size == (112, 56)


def test_nothing_but_pixels_is_left_of_an_image() -> None:
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "a secret place", 6  # ImageDescription; Orientation: lying on its side
    content = image(form="JPEG", exif=exif, comment=b"<script>alert(1)</script>")
    [page] = draw(content, JPEG).pages
    assert b"secret" in content
    assert b"secret" not in page
    assert b"script" not in page
    assert opened(page).size == (200, 300)  # upright
    assert not opened(page).getexif()


def test_what_is_transparent_is_shown_on_white() -> None:
    out = BytesIO()
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(out, "PNG")
    pixel = opened(draw(out.getvalue(), PNG).pages[0]).convert("RGB").getpixel((5, 5))
    assert min(pixel) > 250  # type: ignore[arg-type]


def test_the_first_pages_of_a_pdf_are_drawn() -> None:
    look = draw(pdf(*(f"page {number}" for number in range(7))), PDF)
    assert (len(look.pages), look.count, look.note) == (5, 7, "only the first 5 of 7 pages are shown")
    assert opened(look.pages[0]).size == (1200, 1200)  # 300 points, four times as large
    small = draw(pdf("one", "two"), PDF, small=True)
    assert (len(small.pages), opened(small.pages[0]).size) == (1, (112, 112))


def test_what_was_filled_into_a_form_is_seen() -> None:
    def filled(value: str) -> bytes:
        box = ArrayObject(FloatObject(number) for number in (20, 20, 280, 60))
        made = field("Tx", "iban", V=TextStringObject(value))
        made[name("/Rect")] = box
        made[name("/DA")] = TextStringObject("/Helv 20 Tf 0 g")
        return form_pdf(made, NeedAppearances=name("/true"))

    empty, written = (opened(draw(filled(value), PDF).pages[0]).convert("L") for value in ("", "CH93 0076"))

    def dark(page: Image.Image) -> int:
        return sum(page.histogram()[:100])

    assert dark(written) > dark(empty) + 500


@pytest.mark.parametrize(("width", "height"), [(14400, 14400), (3, 14400), (14400, 3), (1, 1)])
def test_pages_of_odd_sizes_are_bounded(width: int, height: int) -> None:
    writer = PdfWriter()
    writer.add_blank_page(width, height)
    [page] = draw(pdf_bytes(writer), PDF).pages
    found = opened(page).size
    assert found[0] <= 1241
    assert found[1] <= 3501


def test_a_protected_pdf_says_so() -> None:
    writer = PdfWriter(PdfReader(BytesIO(pdf("secret"))))
    writer.encrypt("password")
    assert draw(pdf_bytes(writer), PDF) == Look(note="can't be shown: protected by a password")


def bomb(width: int, height: int) -> bytes:
    """A PNG of that size whose data are a few bytes."""

    def chunk(title: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + title + content + struct.pack(">I", zlib.crc32(title + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(60_000, 60_000), (7000, 7000)])
def test_an_image_of_too_many_pixels_is_not_unpacked(size: tuple[int, int]) -> None:
    assert draw(bomb(*size), PNG) == Look(note="can't be shown: too many pixels")


def test_a_pdf_that_swells_is_no_more_than_a_note() -> None:
    packer = zlib.compressobj(9)
    content = b"".join(packer.compress(b"0 0 m 9 9 l S " * 100_000) for _ in range(400)) + packer.flush()
    writer = PdfWriter()
    add_page(writer, "the first page")
    second = add_page(writer, "")
    from outreach.tests.reading_files import stream

    second[name("/Contents")] = writer._add_object(stream(content, Filter=name("/FlateDecode")))
    look = draw(pdf_bytes(writer), PDF)
    assert len(look.pages) >= 1  # what was drawn before is kept
    assert look.count == 2


@pytest.mark.parametrize("type", [PNG, PDF])
@pytest.mark.parametrize(
    "content", [b"%PDF-1.4 an invoice", b"MZ\x90\x00" * 50, b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<svg/>"]
)
def test_what_is_not_what_it_says_is_not_shown(type: str, content: bytes) -> None:
    look = draw(content, type)
    assert look.pages == []
    assert look.note.startswith("can't be shown: damaged")


def test_only_four_decoders_are_used() -> None:
    for form in ("TIFF", "BMP", "PPM", "ICO"):
        assert draw(image((32, 32), form=form), PNG).pages == []


@pytest.mark.parametrize("type", ["image/svg+xml", "text/html", "image/tiff", "application/zip", "image/x-eps", ""])
def test_files_of_other_kinds_are_not_even_tried(type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_CHILD", ("/nowhere/python",))
    assert draw(b"<svg onload=alert(1)>", type) == Look(note="a file of this kind is not shown")


def test_empty_and_very_large_files(monkeypatch: pytest.MonkeyPatch) -> None:
    assert draw(b"", PNG) == Look(note="empty file")
    assert draw(bytes(27 * 1024 * 1024), PNG) == Look(note="larger than 26 MB")


# --- A child that breaks --------------------------------------------------------------------------


def child_says(monkeypatch: pytest.MonkeyPatch, program: str) -> Look:
    monkeypatch.setattr(pictures, "_CHILD", (sys.executable, "-c", program))
    return draw(b"x", PNG)


GOOD = "import base64, json; print(json.dumps({'page': base64.b64encode(b'RIFF....WEBPxxxx').decode()}), flush=True)\n"


def test_what_was_drawn_before_a_crash_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    look = child_says(monkeypatch, GOOD + "import os; os.kill(os.getpid(), 11)")
    assert look == Look([b"RIFF....WEBPxxxx"], 1, "can't be read: the reader failed")


@pytest.mark.parametrize(
    "line",
    [
        "{'page': base64.b64encode(b'<script>').decode()}",
        "{'page': base64.b64encode(b'RIFF....WEBP' + bytes(6 * 1024 ** 2)).decode()}",
        "{'page': '?'}",
        "{'page': 7}",
        "['page']",
        "{'count': 'many'}",
    ],
)
def test_the_childs_word_is_checked(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    assert child_says(monkeypatch, f"import base64, json; print(json.dumps({line}))") == Look()


def test_a_child_that_eats_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "from outreach.reading import draw\nfrom outreach.reading.bounds import bind_process\n"
        "bind_process()\ndraw.attempt(lambda: iter([bytearray(600 * 1024 ** 2)]))"
    )
    assert child_says(monkeypatch, program) == Look(note="can't be shown: it takes too much memory")


def test_a_child_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_CHILD", (sys.executable, "-c", "import time; time.sleep(60)"))
    assert draw(b"x", PNG, seconds=0.5) == Look(note="can't be read: it takes too long")


def test_the_child_loads_neither_django_nor_settings() -> None:
    program = (
        "import sys; from outreach.reading import draw; "
        "print([name for name in sys.modules if name.split('.')[0] in ('django', 'offload_project', 'cases')])"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=reading._ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_pages_are_bounded_before_they_are_drawn() -> None:
    assert (child_side.MAX_PAGES, child_side.LARGE, child_side.SMALL) == (5, (1240, 3500), (112, 112))
