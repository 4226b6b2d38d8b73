"""What we make of a foreign file: a name that is safe to show and store, its real type, its digest.

Nothing is unpacked.
"""

import hashlib
import mimetypes
import re
import unicodedata

import puremagic

from outreach.inbound import mime

MAX_NAME_CHARS = 150
MAX_EXTENSION_CHARS = 20
UNKNOWN = "application/octet-stream"

_HEAD_BYTES = 64 * 1024
_FORBIDDEN = re.compile(r'[<>:"|?*]')
# The tables of the interpreter only: what /etc/mime.types says differs from machine to machine.
_TYPES = mimetypes.MimeTypes()
_OFFICE = "application/vnd.openxmlformats-officedocument."
_ZIP_TYPES = (
    (b"word/document", _OFFICE + "wordprocessingml.document", "application/vnd.ms-word.document.macroEnabled.12"),
    (b"xl/workbook", _OFFICE + "spreadsheetml.sheet", "application/vnd.ms-excel.sheet.macroEnabled.12"),
    (
        b"ppt/presentation",
        _OFFICE + "presentationml.presentation",
        "application/vnd.ms-powerpoint.presentation.macroEnabled.12",
    ),
)
_OLE_TYPES = {
    ".doc": "application/msword",
    ".xls": "application/vnd.ms-excel",
    ".ppt": "application/vnd.ms-powerpoint",
    ".msg": "application/vnd.ms-outlook",
}
_MARKUP_START = re.compile(r"<(?:[a-z][\w:-]*|!doctype\s+\w+)(?=[\s/>]|\Z)", re.IGNORECASE | re.ASCII)
_HTML_TAGS = mime.names(
    "html head body script iframe h1 h2 h3 div font table a style title b br p span meta link img form center"
)
_TEXT_LIKE = re.compile(r"text/.+|application/(?:json|xml|javascript|.+\+(?:json|xml))|image/svg\+xml")


def tell(name: str, declared_type: str, content: bytes) -> tuple[str, str]:
    """The file's safe name, and its type by its bytes. Named in settings.OFFLOAD_FILE_TELLER."""
    shown = safe_name(name)
    return shown, sniff_type(content, shown, declared_type)


def safe_name(name: str) -> str:
    """A file name to show, store and offer for download: no path, no control or bidi characters, no leading dots,
    at most 150 characters with its extension kept, never empty."""
    name = unicodedata.normalize("NFC", mime.clean(name[:5000]))
    name = re.split(r"[/\\\u2044\u2215\uff0f\uff3c]", name.rstrip("/\\"))[-1]
    # Cc, Cf (bidi overrides, zero width), Zl, Zp, private use and unassigned ones: nothing that shows as a letter
    name = "".join(" " if c.isspace() else c for c in name if c.isspace() or unicodedata.category(c)[0] != "C")
    name = re.sub(r" +", " ", _FORBIDDEN.sub("_", name)).lstrip(". ").rstrip(". ")
    if len(name) > MAX_NAME_CHARS:
        stem, dot, extension = name.rpartition(".")
        suffix = dot + extension if stem and len(extension) <= MAX_EXTENSION_CHARS else ""
        name = name[: MAX_NAME_CHARS - len(suffix)].rstrip(". ") + suffix
    return name or "attachment"


def digest(content: bytes) -> str:
    """SHA-256 of `content` as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def sniff_type(content: bytes, name: str, declared: str) -> str:
    """The MIME type that `content` shows, lower case.

    Active markup (HTML, SVG) is recognised whatever is declared; for text without a signature the name and then the
    declaration decide between text types; anything else unknown is application/octet-stream.
    """
    if not content:
        return UNKNOWN
    extension = _extension(name)
    if content.startswith(b"PK\x03\x04"):
        return _zip_type(content)
    if content.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _OLE_TYPES.get(extension, "application/x-ole-storage")
    text = _as_text(content)
    if text is not None:
        return _markup_type(text) or _signature_type(content, extension, text=True) or _named_type(extension, declared)
    return _signature_type(content, extension, text=False) or UNKNOWN


def _extension(name: str) -> str:
    _, dot, extension = name.lower().rpartition(".")
    return dot + extension.strip() if dot else ""


def _zip_type(content: bytes) -> str:
    """By the names in the local headers and the central directory, which is read and not unpacked."""
    if content[30:38] == b"mimetype":  # OpenDocument and EPUB: first entry, stored uncompressed
        found = re.match(rb"application/[\w.+-]{1,100}?(?=PK|[^\w.+-])", content[38:150])
        return found.group().decode("ascii").lower() if found else "application/zip"
    edges = content[: 4 * _HEAD_BYTES] + content[-4 * _HEAD_BYTES :]
    if b"[Content_Types].xml" in edges:
        for entry, plain, with_macros in _ZIP_TYPES:
            if entry in edges:
                return with_macros.lower() if b"vbaProject.bin" in edges else plain
    return "application/zip"


def _as_text(content: bytes) -> str | None:
    """The beginning of `content` as text, None where it is binary."""
    head = content[:_HEAD_BYTES]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head[: len(head) // 2 * 2].decode("utf-16", "replace").lstrip("\ufeff")
    if re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]", head):
        return None
    try:
        return head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start >= len(head) - 3 and len(content) > len(head):
            return head[: error.start].decode("utf-8-sig")
    high = sum(byte > 0x7F for byte in head)
    return head.decode("latin-1") if high * 3 < len(head) else None


def _markup_type(text: str) -> str:
    """text/html or image/svg+xml if the first element is theirs (WHATWG MIME Sniffing §7.1, widened), else ""."""
    position = 0
    for _ in range(50):
        rest = text[position : position + 200].lstrip()
        position += len(text[position : position + 200]) - len(rest) if rest else 200
        if rest.startswith(("<?", "<!--")):
            end = text.find("-->" if rest.startswith("<!--") else ">", position)
            if end < 0:
                return "text/html" if rest.startswith("<!--") else ""
            position = end + (3 if rest.startswith("<!--") else 1)
        elif rest:
            break
    found = _MARKUP_START.match(text, position)
    if not found:
        return ""
    element = found.group()[1:].lower().split()[-1].rpartition(":")[2]
    if element == "svg":
        return "image/svg+xml"
    return "text/html" if element in _HTML_TAGS else ""


def _signature_type(content: bytes, extension: str, *, text: bool) -> str:
    try:
        # Never with the name: puremagic 2 opens a local file of that name for a closer look.
        matches = puremagic.magic_string(content[:_HEAD_BYTES] + content[_HEAD_BYTES:][-_HEAD_BYTES:])
    except (puremagic.PureError, ValueError):
        return ""
    # Two letters prove nothing in a text ("BM", "MZ"), and a footer nothing anywhere.
    least = 4 if text else 2
    typed = [m for m in matches if m.mime_type and m.offset >= 0 and len(m.byte_match) >= least]
    best = next((m for m in typed if m.extension.lower() == extension), typed[0] if typed else None)
    return best.mime_type.lower() if best else ""


def _named_type(extension: str, declared: str) -> str:
    by_name = _TYPES.guess_type("file" + extension)[0] or ""
    declared = declared.split(";")[0].strip().lower()
    for candidate in (by_name, declared):
        if _TEXT_LIKE.fullmatch(candidate) and len(candidate) <= 100 and candidate.isascii() and " " not in candidate:
            return candidate
    return "text/plain"
