"""What is read of PDF documents: words, form fields, scans."""

import struct
import zlib
from io import BytesIO
from typing import cast

import pytest
from pypdf import PdfWriter
from pypdf.generic import ArrayObject, BooleanObject, DictionaryObject, NumberObject, TextStringObject

from outreach import reading
from outreach.reading import Reading
from outreach.tests.reading_files import (
    PDF,
    add_page,
    dictionary,
    field,
    form_pdf,
    image_entries,
    name,
    pdf,
    pdf_bytes,
    picture_pdf,
)

JPEG = b"\xff\xd8\xff\xe0 a picture \xff\xd9"


def read(content: bytes) -> Reading:
    return reading.read(content, PDF, "a.pdf")


def form(*fields: DictionaryObject) -> list[str]:
    """The lines that tell of a form with those fields."""
    text = read(form_pdf(*fields)).text
    return text.partition("\n\n")[0].splitlines()


def test_the_words_of_its_pages() -> None:
    assert read(pdf("Invoice 17", "Total 12 EUR")) == Reading("Invoice 17\n\nTotal 12 EUR")


def test_a_blank_form_is_called_empty() -> None:
    fields = [
        field("Tx", "Name", TU=TextStringObject("Your full name")),
        field("Tx", "Town", V=TextStringObject("  ")),
        field("Btn", "Agreed", V=name("/Off")),
        field("Btn", "Size", Ff=NumberObject(1 << 15)),
        field("Ch", "Country"),
        field("Sig", "Signature"),
    ]
    assert read(form_pdf(*fields)).text == (
        "Form fields (6, none of them filled in):\n"
        "Name (Your full name) = (empty)\n"
        "Town = (empty)\n"
        "Agreed = (empty), not ticked\n"
        "Size = (empty), nothing chosen\n"
        "Country = (empty)\n"
        "Signature = (empty), not signed\n"
        "\n"
        "Please fill in and sign."
    )


def test_a_form_that_is_filled_in() -> None:
    fields = [
        field("Tx", "Name", V=TextStringObject("Ann\nLee")),
        field("Btn", "Agreed", V=name("/Yes")),
        field("Btn", "Also", AS=name("/On")),
        field("Btn", "Size", Ff=NumberObject(1 << 15), V=name("/Large")),
        field("Ch", "Country", V=ArrayObject([TextStringObject("France"), TextStringObject("Spain")])),
        field("Tx", "Code", V=TextStringObject("1234"), Ff=NumberObject(1 << 13)),
        field("Sig", "Signature", V=dictionary(Type=name("/Sig"))),
        field("Tx", "Remarks"),
    ]
    assert form(*fields) == [
        "Form fields (8, 7 of them filled in):",
        "Name = Ann Lee",
        "Agreed = ticked",
        "Also = ticked",
        "Size = Large (chosen)",
        "Country = France, Spain",
        "Code = (hidden)",
        "Signature = signed digitally (not verified)",
        "Remarks = (empty)",
    ]


def test_a_form_filled_in_by_pypdf() -> None:
    blank = form_pdf(field("Tx", "Name", DA=TextStringObject("/Helv 0 Tf 0 g")), field("Sig", "Signature"))
    writer = PdfWriter(clone_from=BytesIO(blank))
    writer.update_page_form_field_values(writer.pages[0], {"Name": "Ann"}, auto_regenerate=False)
    text = read(pdf_bytes(writer)).text
    assert text.startswith("Form fields (2, 1 of them filled in):\nName = Ann\nSignature = (empty), not signed")


def test_fields_within_fields_and_buttons() -> None:
    within = [
        dictionary(T=TextStringObject("Street")),
        dictionary(T=TextStringObject("Town"), V=TextStringObject("Bonn")),
    ]
    group = field("Tx", "Address", Kids=ArrayObject(within))
    press = field("Btn", "Send", Ff=NumberObject(1 << 16))
    radio = field(
        "Btn",
        "Size",
        Ff=NumberObject(1 << 15),
        Kids=ArrayObject([dictionary(AS=name("/Off")), dictionary(AS=name("/Small"))]),
    )
    assert form(group, press, radio) == [
        "Form fields (3, 2 of them filled in):",
        "Address.Street = (empty)",
        "Address.Town = Bonn",
        "Size = Small (chosen)",
    ]


def test_fields_take_their_kind_from_the_group() -> None:
    mail = dictionary(T=TextStringObject("Mail"), V=name("/Yes"))
    group = field("Btn", "Consent", Kids=ArrayObject([mail, dictionary(T=TextStringObject("Phone"))]))
    assert form(group)[1:] == ["Consent.Mail = ticked", "Consent.Phone = (empty), not ticked"]


def test_a_broken_form_does_not_cost_the_words() -> None:
    loop = field("Tx", "Loop")
    loop[name("/Kids")] = ArrayObject([NumberObject(3), BooleanObject(True)])
    assert (
        read(form_pdf(loop)).text
        == "Form fields (1, none of them filled in):\nLoop = (empty)\n\nPlease fill in and sign."
    )


def test_a_form_of_very_many_fields_is_cut_and_says_so() -> None:
    lines = form(*(field("Tx", f"f{number}") for number in range(1001)))
    assert lines[0] == "Form fields (1000, none of them filled in):"
    assert lines[-2:] == ["f999 = (empty)", "There are more fields."]


def test_fields_that_loop_are_told_once() -> None:
    writer = PdfWriter()
    add_page(writer, "words")
    loop = writer._add_object(field("Tx", "Loop"))
    looped = cast(DictionaryObject, loop.get_object())
    looped[name("/Kids")] = ArrayObject([loop, writer._add_object(field("Tx", "Name"))])
    writer.root_object[name("/AcroForm")] = dictionary(Fields=ArrayObject([loop, loop]))
    found = read(pdf_bytes(writer))
    assert found == Reading("Form fields (1, none of them filled in):\nLoop.Name = (empty)\n\nwords")


def test_an_xfa_form_is_noted() -> None:
    read_form = read(form_pdf(field("Tx", "Name"), XFA=ArrayObject()))
    assert read_form.note == "a form for Adobe Reader (XFA), of which not everything may be here"


def test_words_and_ink_upon_the_pages() -> None:
    writer = PdfWriter()
    page = add_page(writer, "Signature: ______")
    page[name("/Annots")] = ArrayObject(
        [
            dictionary(Subtype=name("/FreeText"), Contents=TextStringObject("Ann\nLee")),
            dictionary(Subtype=name("/Ink")),
            dictionary(Subtype=name("/Link")),
        ]
    )
    assert read(pdf_bytes(writer)).text == (
        "Written upon the pages: Ann Lee\n"
        "Drawn or stamped upon the pages: 1 marks (what they show is not known)\n\n"
        "Signature: ______"
    )


def test_sixty_pages_are_read_up_to_the_fiftieth() -> None:
    found = read(pdf(*(f"page {number}" for number in range(1, 61))))
    assert found.text.splitlines()[-1] == "page 50"
    assert found.note == "only the first 50 of 60 pages were read"
    assert read(pdf(*(["x"] * 50))).note == ""


def test_a_scan_is_noted_and_its_first_page_handed_on() -> None:
    scan = picture_pdf(JPEG, **image_entries(100, 100, "DeviceRGB", Filter=name("/DCTDecode")))
    assert read(scan) == Reading("", "no text; looks scanned", JPEG)
    assert reading.image_of(scan, PDF) == JPEG


def test_a_scan_of_several_pages_says_which_one_is_seen() -> None:
    scan = picture_pdf(JPEG, 3, **image_entries(100, 100, "DeviceRGB", Filter=name("/DCTDecode")))
    assert read(scan) == Reading("", "no text; looks scanned (the picture is the first of 3 pages)", JPEG)


def pixels(png: bytes) -> tuple[int, int, bytes]:
    """Width, height and unpacked rows of a PNG; its checksums are checked."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, position = {}, 8
    while position < len(png):
        [length] = struct.unpack(">I", png[position : position + 4])
        kind, content = png[position + 4 : position + 8], png[position + 8 : position + 8 + length]
        assert png[position + 8 + length :][:4] == struct.pack(">I", zlib.crc32(kind + content))
        chunks[kind] = content
        position += 12 + length
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    return width, height, zlib.decompress(chunks[b"IDAT"])


def test_a_losslessly_packed_scan_becomes_a_png() -> None:
    packed = zlib.compress(b"abcdef")
    scan = picture_pdf(packed, **image_entries(3, 2, "DeviceGray", Filter=name("/FlateDecode")))
    assert pixels(read(scan).image) == (3, 2, b"\0abc\0def")


def test_a_scan_packed_as_in_a_png_becomes_one() -> None:
    packed = zlib.compress(b"\1abc\2def")
    parameters = dictionary(Predictor=NumberObject(15), Columns=NumberObject(1), Colors=NumberObject(3))
    entries = image_entries(1, 2, "DeviceRGB", Filter=name("/FlateDecode"), DecodeParms=parameters)
    assert pixels(read(picture_pdf(packed, **entries)).image) == (1, 2, b"\1abc\2def")


@pytest.mark.parametrize("packing", ["/CCITTFaxDecode", "/JPXDecode", "/JBIG2Decode"])
def test_a_scan_that_models_do_not_take_is_noted_without_a_picture(packing: str) -> None:
    scan = picture_pdf(b"fax", **image_entries(100, 100, "DeviceGray", Filter=name(packing)))
    assert read(scan) == Reading("", "no text; looks scanned")


def test_pages_without_text_among_others_are_named() -> None:
    assert read(pdf("one", "", "three")) == Reading("one\n\nthree", "pages without text: 2")


def test_a_pdf_of_nothing() -> None:
    assert read(pdf("")) == Reading(note="no text")


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-256"])
def test_an_encrypted_pdf_is_noted(algorithm: str) -> None:
    writer = PdfWriter()
    add_page(writer, "secret")
    writer.encrypt("password", algorithm=algorithm)
    assert read(pdf_bytes(writer)) == Reading(note="can't be read: protected by a password")


def test_a_pdf_that_only_forbids_printing_is_read() -> None:
    writer = PdfWriter()
    add_page(writer, "open")
    writer.encrypt("", "owner", algorithm="AES-256")
    assert read(pdf_bytes(writer)) == Reading("open")


def test_a_broken_picture_does_not_cost_the_form() -> None:
    writer = PdfWriter()
    page = writer.add_blank_page(300, 300)
    page[name("/Resources")] = dictionary(XObject=NumberObject(1))
    writer.root_object[name("/AcroForm")] = dictionary(Fields=ArrayObject([field("Tx", "Name")]))
    found = read(pdf_bytes(writer))
    assert found.text == "Form fields (1, none of them filled in):\nName = (empty)"
    assert found.note == "no text"
