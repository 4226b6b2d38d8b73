"""Small PDF files for scenarios: lines of text, and form fields that are filled in or blank."""

from collections.abc import Mapping, Sequence

LINE_HEIGHT = 24


def pdf(lines: Sequence[str] = (), fields: Mapping[str, str] | None = None) -> bytes:
    """One page (PDF 1.4, ISO 32000-1) with the lines and, below them, a text field for each name; "" is a blank one."""
    fields = fields or {}
    page = _text_of([*lines, *(f"{name}:" for name in fields)])
    widgets = [
        _widget(name, value, 720 - LINE_HEIGHT * (len(lines) + number))
        for number, (name, value) in enumerate(fields.items())
    ]
    first_widget = 6
    references = b" ".join(b"%d 0 R" % (first_widget + number) for number in range(len(widgets)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [%s] /DA (/F1 12 Tf 0 g)"
        b" /DR << /Font << /F1 5 0 R >> >> >> >>" % references,
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Annots [%s]"
        b" /Resources << /Font << /F1 5 0 R >> >> >>" % references,
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(page), page),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        *widgets,
    ]
    return _file(objects)


def _text_of(lines: Sequence[str]) -> bytes:
    shown = [b"%s Tj 0 -%d Td" % (_string(line), LINE_HEIGHT) for line in lines]
    return b"BT /F1 12 Tf 72 720 Td " + b" ".join(shown) + b" ET"


def _widget(name: str, value: str, height: int) -> bytes:
    filled = b" /V %s" % _string(value) if value else b""
    return b"<< /Type /Annot /Subtype /Widget /FT /Tx /T %s%s /Rect [250 %d 500 %d] /P 3 0 R >>" % (
        _string(name),
        filled,
        height - 4,
        height + 14,
    )


def _string(text: str) -> bytes:
    encoded = text.encode("cp1252", "replace")
    for character in (b"\\", b"(", b")"):
        encoded = encoded.replace(character, b"\\" + character)
    return b"(" + encoded + b")"


def _file(objects: Sequence[bytes]) -> bytes:
    content, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(content))
        content += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    return (
        content
        + b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table)
        + b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(content))
    )
