"""PDF documents: the words of their pages, their form fields and whether those are filled in, a scan's first page."""

import logging
import time
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from pypdf import PageObject, PdfReader
from pypdf.errors import FileNotDecryptedError

from outreach.reading import pdf_fields, pdf_images
from outreach.reading.bounds import MAX_PAGES, MAX_TEXT_CHARS, SOFT_SECONDS, Reading, Unreadable

MAX_REMARKS = 200

logging.disable()  # pypdf tells of every oddity, and nobody reads this process's log


@dataclass
class _Pages:
    texts: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)  # what somebody wrote upon the pages
    drawn_marks: int = 0
    damaged: list[int] = field(default_factory=list)
    bare: list[int] = field(default_factory=list)  # pages without a word

    @property
    def have_text(self) -> bool:
        return any(text.strip() for text in self.texts)


def read_pdf(content: bytes) -> Reading:
    """At most the first 50 pages. The form fields come first, so that no cut drops them."""
    end = time.monotonic() + SOFT_SECONDS
    try:
        reader = PdfReader(BytesIO(content))
        count = len(reader.pages)
    except FileNotDecryptedError as error:
        raise Unreadable("protected by a password") from error
    notes: list[str] = []
    form = _form(reader, notes)
    pages = _read_pages(reader, min(count, MAX_PAGES), end)
    image = b""
    if not pages.have_text and count:
        note, image = _scan(reader, count)
        notes.append(note)
    elif pages.bare:
        notes.append(f"pages without text: {', '.join(map(str, pages.bare))}")
    if pages.damaged:
        notes.append(f"damaged pages: {', '.join(map(str, pages.damaged))}")
    if len(pages.texts) < count:
        notes.append(f"only the first {len(pages.texts)} of {count} pages were read")
    return Reading("\n\n".join(filter(None, [form, _remarks(pages), *pages.texts])), "; ".join(notes), image)


def _form(reader: PdfReader, notes: list[str]) -> str:
    # A broken form must not cost the words of the pages; what the library raises here is not documented.
    try:
        if pdf_fields.is_xfa(reader):
            notes.append("a form for Adobe Reader (XFA), of which not everything may be here")
        return pdf_fields.described(pdf_fields.form_fields(reader))
    except Exception:  # noqa: BLE001
        notes.append("its form fields can't be read")
        return ""


def _read_pages(reader: PdfReader, count: int, end: float) -> _Pages:
    pages = _Pages()
    length = 0
    for number in range(1, count + 1):
        if time.monotonic() > end or length > MAX_TEXT_CHARS:
            break
        # One page may be damaged in any way, and the others whole.
        try:
            page = reader.pages[number - 1]
            text = page.extract_text().strip()
            _add_annotations(page, pages)
        except Exception:  # noqa: BLE001
            pages.damaged.append(number)
            text = ""
        else:
            pages.bare += [] if text else [number]
        length += len(text)
        pages.texts.append(text)
    return pages


def _scan(reader: PdfReader, count: int) -> tuple[str, bytes]:
    """Of a document without a word: what to say of it, and the picture that its first page is."""
    # A broken picture must not cost the form fields.
    try:
        page = reader.pages[0]
        if not pdf_images.has_pictures(page):
            return "no text", b""
        image = pdf_images.page_image(page)
    except Exception:  # noqa: BLE001
        return "no text", b""
    which = f" (the picture is the first of {count} pages)" if image and count > 1 else ""
    return f"no text; looks scanned{which}", image


def _add_annotations(page: PageObject, pages: _Pages) -> None:
    """Words and ink put upon the page with a PDF program: how many people fill in and sign what is no form."""
    found: Any = page.get("/Annots")
    found = found.get_object() if found is not None else None
    for reference in (found or [])[:MAX_REMARKS]:
        annotation = reference.get_object()
        kind = annotation.get("/Subtype")
        if kind in ("/FreeText", "/Text") and len(pages.remarks) < MAX_REMARKS:
            remark = " ".join(str(annotation.get("/Contents", "")).split())
            pages.remarks += [remark] if remark else []
        pages.drawn_marks += kind in ("/Ink", "/Stamp")


def _remarks(pages: _Pages) -> str:
    lines = [f"Written upon the pages: {remark}" for remark in pages.remarks]
    if pages.drawn_marks:
        lines.append(f"Drawn or stamped upon the pages: {pages.drawn_marks} marks (what they show is not known)")
    return "\n".join(lines)
