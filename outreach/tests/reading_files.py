"""Small real files for tests, made by the libraries that such files are made with."""

from io import BytesIO
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from docx import Document
from openpyxl import Workbook
from pypdf import PdfWriter
from pypdf.generic import (
    ArrayObject,
    DecodedStreamObject,
    DictionaryObject,
    FloatObject,
    NameObject,
    NumberObject,
    TextStringObject,
)

PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def name(word: str) -> NameObject:
    return NameObject(word)


def dictionary(**entries: Any) -> DictionaryObject:
    return DictionaryObject({NameObject(f"/{key}"): value for key, value in entries.items()})


def stream(content: bytes, **entries: Any) -> DecodedStreamObject:
    made = DecodedStreamObject()
    made.set_data(content)
    made.update(dictionary(**entries))
    return made


def pdf_bytes(writer: PdfWriter) -> bytes:
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def add_page(writer: PdfWriter, words: str) -> Any:
    """A page with those words, in Helvetica."""
    page = writer.add_blank_page(300, 300)
    font = dictionary(Type=name("/Font"), Subtype=name("/Type1"), BaseFont=name("/Helvetica"))
    page[name("/Resources")] = dictionary(Font=dictionary(F1=writer._add_object(font)))
    content = stream(f"BT /F1 12 Tf 20 200 Td ({words}) Tj ET".encode("latin-1"))
    page[name("/Contents")] = writer._add_object(content)
    return page


def pdf(*pages: str) -> bytes:
    """A PDF with a page for each text."""
    writer = PdfWriter()
    for words in pages:
        add_page(writer, words)
    return pdf_bytes(writer)


def field(kind: str, title: str, **entries: Any) -> DictionaryObject:
    """A form field: kind is Tx, Btn, Ch or Sig."""
    box = ArrayObject(FloatObject(number) for number in (0, 0, 50, 20))
    return dictionary(
        Type=name("/Annot"),
        Subtype=name("/Widget"),
        FT=name(f"/{kind}"),
        T=TextStringObject(title),
        Rect=box,
        **entries,
    )


def form_pdf(*fields: DictionaryObject, words: str = "Please fill in and sign.", **form: Any) -> bytes:
    writer = PdfWriter()
    page = add_page(writer, words)
    references = ArrayObject(writer._add_object(made) for made in fields)
    page[name("/Annots")] = references
    writer.root_object[name("/AcroForm")] = dictionary(Fields=references, **form)
    return pdf_bytes(writer)


def picture_pdf(content: bytes, pages: int = 1, **entries: Any) -> bytes:
    """Pages that hold that picture and no words; entries are those of the image (Filter, ColorSpace …)."""
    writer = PdfWriter()
    for _ in range(pages):
        page = writer.add_blank_page(300, 300)
        image = stream(content, Type=name("/XObject"), Subtype=name("/Image"), **entries)
        page[name("/Resources")] = dictionary(XObject=dictionary(Im0=writer._add_object(image)))
        page[name("/Contents")] = writer._add_object(stream(b"q 300 0 0 300 0 0 cm /Im0 Do Q"))
    return pdf_bytes(writer)


def image_entries(width: int, height: int, space: str, **entries: Any) -> dict[str, Any]:
    return {
        "Width": NumberObject(width),
        "Height": NumberObject(height),
        "BitsPerComponent": NumberObject(8),
        "ColorSpace": name(f"/{space}"),
        **entries,
    }


def docx(*paragraphs: str, rows: tuple[tuple[str, ...], ...] = ()) -> bytes:
    document = Document()
    for words in paragraphs:
        document.add_paragraph(words)
    if rows:
        table = document.add_table(len(rows), len(rows[0]))
        for row, cells in zip(table.rows, rows, strict=True):
            for cell, words in zip(row.cells, cells, strict=True):
                cell.text = words
    return saved(document)


def saved(document: Any) -> bytes:
    """The bytes of a document or workbook."""
    out = BytesIO()
    document.save(out)
    return out.getvalue()


def xlsx(*rows: tuple[Any, ...]) -> bytes:
    workbook = Workbook()
    for row in rows:
        workbook.active.append(row)
    return saved(workbook)


def repacked(archive: bytes, **replaced: bytes) -> bytes:
    """An Office file with other content in some of its parts; `word__document_xml` means word/document.xml."""
    out = BytesIO()
    with ZipFile(BytesIO(archive)) as old, ZipFile(out, "w", ZIP_DEFLATED) as new:
        for part in old.namelist():
            new.writestr(part, replaced.get(part.replace("/", "__").replace(".", "_"), old.read(part)))
    return out.getvalue()
