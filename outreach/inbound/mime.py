"""Raw bytes to a tree of MIME parts (RFC 5322, RFC 2045–2047, RFC 2231), for input that keeps to none of them.

Not the standard library's parser: that one recurses without a limit and costs depth × lines, so a few kilobytes of
nested parts stop it with a RecursionError and a few megabytes with hours of work. Here every step is one pass over the
bytes with a cap, and parts are ranges of the one buffer, so that nesting copies nothing.
"""

import base64
import binascii
import codecs
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from urllib.parse import unquote_to_bytes

MAX_DEPTH = 110
MAX_PARTS = 1000
MAX_BOUNDARY_PROBES = 100_000
MAX_HEADER_BYTES = 256 * 1024
MAX_HEADERS = 1000
MAX_VALUE_CHARS = 16 * 1024
MAX_PARAMETER_CHARS = 8 * 1024


def names(text: str) -> frozenset[str]:
    """The words of `text` as a set."""
    return frozenset(text.split())


KNOWN_HEADERS = names(
    "received return-path from to cc bcc date subject sender reply-to message-id in-reply-to references mime-version"
    " content-type content-transfer-encoding content-disposition content-id delivered-to dkim-signature auto-submitted"
    " arc-seal authentication-results precedence list-id"
)

_BLANK_LINES = re.compile(rb"(?:[ \t]*+\r*+\n)*+")
_HEADER_LINE = re.compile(rb"([!-9;-~]{1,200})[ \t]*:(.*)", re.DOTALL)
_ENCODED_WORD = re.compile(
    r"=\?([\w.:+-]{1,40})(?:\*[\w-]{0,20})?\?([qQbB])\?((?:[^?\r\n]|\?(?!=)){0,2000}?)\?=(\s+(?==\?))?"
)
_PARAMETER = re.compile(r';\s*+([^\s=;"]{1,100})\s*+=\s*+("(?:[^"\\]|\\.)*+"?|[^;]*+)')
_CONTINUATION = re.compile(r"(.+?)\*(\d{1,3})(\*?)")
_CHARSET_NAME = re.compile(r"[A-Za-z0-9][\w.:+-]{0,39}")

# Wider sets that contain the named one: what senders mean, and what browsers and mail programs read (WHATWG Encoding).
_WIDER_CODECS = {
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
}
_CODEC_ALIASES = {"iso-8859-8-i": "iso8859-8", "windows-874": "cp874", "x-sjis": "cp932", "cp-850": "cp850"}
# Text encodings for Python, never for mail; two of them take quadratic time.
_NO_MAIL_CODECS = frozenset({"punycode", "idna", "unicode_escape", "raw_unicode_escape", "undefined"})


def clean(text: str) -> str:
    """`text` without NUL and lone surrogates, neither of which PostgreSQL stores, and with "\\n" for every line end."""
    if not text.isascii():
        text = text.encode("utf-8", "ignore").decode("utf-8")
    return text.replace("\x00", "").replace("\r\n", "\n").replace("\r", "\n")


def one_line(text: str, limit: int) -> str:
    """`text` on one line: control characters and line separators become spaces, at most `limit` characters."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", clean(text)).strip()[:limit].strip()


@dataclass(frozen=True)
class Part:
    """One MIME part. `headers` are (lower-case name, unfolded value) pairs in order; a multipart has no `raw_body`."""

    headers: tuple[tuple[str, str], ...]
    content_type: str
    parameters: Mapping[str, str]
    raw_body: bytes = b""
    children: tuple["Part", ...] = ()

    def get(self, name: str) -> str:
        """The first value of header `name` (lower case), encoded words not yet decoded; "" where there is none."""
        return next((value for key, value in self.headers if key == name), "")

    def has(self, name: str) -> bool:
        """Whether header `name` (lower case) stands there at all, be it empty."""
        return any(key == name for key, _ in self.headers)

    @cached_property
    def content(self) -> bytes:
        """The body without its transfer encoding; as it is where the encoding is unknown or not what it says."""
        encoding = self.get("content-transfer-encoding").split(";")[0].strip().lower()
        if encoding == "base64":
            return _from_base64(self.raw_body)
        if encoding == "quoted-printable":
            return binascii.a2b_qp(self.raw_body)
        return self.raw_body

    @cached_property
    def text(self) -> str:
        """The content as clean text, in its charset or what comes nearest."""
        return clean(decode_bytes(self.content, self.parameters.get("charset", "")).removeprefix("\ufeff"))

    @cached_property
    def disposition(self) -> tuple[str, Mapping[str, str]]:
        """Content-Disposition (RFC 2183): the lower-case word and its parameters."""
        return read_parameters(self.get("content-disposition"))

    def walk(self) -> Iterator["Part"]:
        """This part and all below it, in order."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass
class _Budget:
    parts: int = MAX_PARTS
    probes: int = MAX_BOUNDARY_PROBES


@dataclass(frozen=True)
class _Source:
    raw: bytes
    budget: _Budget = field(default_factory=_Budget)


def read(raw: bytes) -> Part:
    """The tree of the message `raw`. Any bytes are a message: nothing is raised, what can't be split stays one part."""
    if b"\n" not in raw:
        raw = raw.replace(b"\r", b"\n")
    start = _message_start(raw)
    headers, body_start = _header_block(raw, start, len(raw))
    if not any(name in KNOWN_HEADERS for name, _ in headers):
        headers, body_start = (), 0  # somebody's words, of which the first happen to look like a header
    return _part(_Source(raw), headers, body_start, len(raw), default_type="text/plain", depth=0)


def read_headers(raw: bytes) -> Part:
    """The header fields at the beginning of `raw`, as a part without a body."""
    headers, _ = _header_block(raw.lstrip(b"\r\n"), 0, len(raw))
    return Part(headers, "text/plain", MappingProxyType({}))


def _message_start(raw: bytes) -> int:
    """Where the headers begin: behind blank lines and an mbox "From " line, if headers follow there."""
    found = _BLANK_LINES.match(raw)
    start = found.end() if found else 0
    is_mbox = raw.startswith((b"From ", b">From "), start)
    if is_mbox:
        start = raw.find(b"\n", start) + 1 or start
    found = _HEADER_LINE.match(raw[start : start + 200].split(b"\n", 1)[0])
    name = found.group(1).decode("ascii").lower() if found else ""
    return start if name in KNOWN_HEADERS or name.startswith("x-") or (name and is_mbox) else 0


def _header_block(raw: bytes, start: int, end: int) -> tuple[tuple[tuple[str, str], ...], int]:
    """Header fields from `start`, and where the body begins."""
    fields: list[tuple[str, list[bytes]]] = []
    position, limit = start, min(end, start + MAX_HEADER_BYTES)
    while position < end:
        if position >= limit or len(fields) >= MAX_HEADERS:
            return _fields(fields), _behind_blank_line(raw, position, end)
        line_end = raw.find(b"\n", position, end)
        next_position = end if line_end < 0 else line_end + 1
        line = raw[position : min(next_position, position + MAX_VALUE_CHARS)].rstrip(b"\r\n")
        if not line.strip(b" \t"):
            if line and fields and raw[next_position : next_position + 1] in (b" ", b"\t"):
                position = next_position  # a folded line of nothing but white space (RFC 5322 §4.2)
                continue
            return _fields(fields), next_position
        found = _HEADER_LINE.match(line)
        if line[:1] in (b" ", b"\t") and fields:
            fields[-1][1].append(line.strip(b" \t"))
        elif found:
            fields.append((found.group(1).decode("ascii").lower(), [found.group(2).strip(b" \t")]))
        elif not (fields and _is_known_header(raw, next_position, end)):
            return _fields(fields), position  # the blank line is missing: nothing of the body may be lost
        position = next_position
    return _fields(fields), end


def _behind_blank_line(raw: bytes, position: int, end: int) -> int:
    found = re.compile(rb"\n[ \t\r]*\n").search(raw, max(position - 1, 0), end)
    return found.end() if found else end


def _is_known_header(raw: bytes, position: int, end: int) -> bool:
    found = _HEADER_LINE.match(raw[position : min(end, position + 300)].split(b"\n", 1)[0])
    return found is not None and found.group(1).decode("ascii").lower() in KNOWN_HEADERS


def _fields(fields: list[tuple[str, list[bytes]]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, _header_text(b" ".join(lines)[:MAX_VALUE_CHARS])) for name, lines in fields)


def _header_text(value: bytes) -> str:
    try:
        return clean(value.decode("utf-8"))
    except UnicodeDecodeError:
        return clean(value.decode("latin-1"))


def _part(
    source: _Source,
    headers: tuple[tuple[str, str], ...],
    start: int,
    end: int,
    *,
    default_type: str,
    depth: int,
) -> Part:
    source.budget.parts -= 1
    raw_type = next((value for name, value in headers if name == "content-type"), "")
    content_type, parameters = read_parameters(raw_type)
    if not re.fullmatch(r"[\w.+-]{1,100}/[\w.+-]{1,100}", content_type, re.ASCII):
        content_type = "text/plain" if raw_type else default_type  # RFC 2045 §5.2
    boundary = parameters.get("boundary", "").rstrip()
    if content_type.startswith("multipart/"):
        if boundary and depth < MAX_DEPTH:
            child_type = "message/rfc822" if content_type == "multipart/digest" else "text/plain"
            children = []
            for child_start, child_end in _between_boundaries(source, boundary, start, end):
                child_headers, body_start = _header_block(source.raw, child_start, child_end)
                children.append(
                    _part(source, child_headers, body_start, child_end, default_type=child_type, depth=depth + 1)
                )
            if children:
                return Part(headers, content_type, parameters, children=tuple(children))
        # Nothing to split it by: shown as it stands, so that its words are not lost.
        content_type = "text/plain" if depth < MAX_DEPTH else "application/octet-stream"
    return Part(headers, content_type, parameters, raw_body=source.raw[start:end])


def _between_boundaries(source: _Source, boundary: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The ranges between the delimiter lines (RFC 2046 §5.1.1); a missing last delimiter ends with the range."""
    raw, budget = source.raw, source.budget
    delimiter = b"\n--" + boundary.encode("utf-8", "surrogateescape")
    open_at = -1
    position = max(start - 1, 0)  # the line end before the first delimiter may be that of the header block
    while budget.probes > 0:
        found = raw.find(delimiter, position, end)
        if found < 0:
            break
        budget.probes -= 1
        position = found + len(delimiter)
        line_end = raw.find(b"\n", position, end)
        line_end = end if line_end < 0 else line_end
        rest = raw[position : min(line_end, position + 100)].strip()
        if rest not in (b"", b"--"):
            continue  # a longer boundary that begins like ours
        if open_at >= 0:
            yield open_at, max(open_at, found - (raw[found - 1 : found] == b"\r"))
            if budget.parts <= 0:
                return
        if rest == b"--":
            return
        open_at = min(line_end + 1, end)
        position = line_end
    if 0 <= open_at < end:
        yield open_at, end


def read_parameters(value: str) -> tuple[str, Mapping[str, str]]:
    """`type/subtype; name=value` to the lower-case type and its parameters, RFC 2231 and RFC 2047 decoded."""
    value = value[:MAX_PARAMETER_CHARS]
    word = value.split(";", 1)[0].strip().lower()
    found: dict[str, str] = {}
    pieces: dict[str, dict[int, tuple[str, bool]]] = {}
    for match in _PARAMETER.finditer(value):
        name, content = match.group(1).lower(), _unquoted(match.group(2))
        continuation = _CONTINUATION.fullmatch(name)
        if continuation:
            numbered = pieces.setdefault(continuation.group(1), {})
            numbered.setdefault(int(continuation.group(2)), (content, bool(continuation.group(3))))
        elif name.endswith("*"):
            pieces.setdefault(name[:-1], {}).setdefault(0, (content, True))
        else:
            found.setdefault(name, decode_words(content))
    for name, numbered in pieces.items():
        found[name] = _from_rfc2231([numbered[index] for index in sorted(numbered)])
    return word, MappingProxyType(found)


def _unquoted(value: str) -> str:
    value = value.strip()
    if not value.startswith('"'):
        return value
    # Only \" and \\ are undone: senders write Windows paths without escaping them.
    return re.sub(r'\\(["\\])', r"\1", value[1:].removesuffix('"'))


def _from_rfc2231(pieces: list[tuple[str, bool]]) -> str:
    charset = ""
    first, extended = pieces[0]
    if extended and first.count("'") >= 2:
        charset, _, first = first.split("'", 2)
        pieces = [(first, True), *pieces[1:]]
    content = b"".join(
        unquote_to_bytes(piece) if extended else piece.encode("utf-8", "ignore") for piece, extended in pieces
    )
    return clean(decode_bytes(content, charset))


def decode_words(value: str) -> str:
    """A header value with its RFC 2047 encoded words decoded; a word that can't be decoded stays as it is."""
    found = list(_ENCODED_WORD.finditer(value[:MAX_VALUE_CHARS]))
    out, position, pending, charset = [], 0, b"", ""
    for match in found:
        between = value[position : match.start()]
        content = _word_bytes(match.group(2), match.group(3))
        # Joined before decoding: many senders cut a character in two between words of one charset.
        if pending and (between or match.group(1).lower() != charset):
            out.append(decode_bytes(pending, charset))
            pending = b""
        out.append(between)
        if content is None:
            out.append(decode_bytes(pending, charset) + match.group(0))
            pending = b""
        else:
            pending += content
            charset = match.group(1).lower()
        position = match.end()
    return clean("".join([*out, decode_bytes(pending, charset), value[position:]]))


def _word_bytes(encoding: str, word: str) -> bytes | None:
    if encoding in "qQ":
        return binascii.a2b_qp(word.encode("utf-8", "ignore"), header=True)
    try:
        return base64.b64decode(word.rstrip("=") + "=" * (-len(word.rstrip("=")) % 4))
    except ValueError:
        return None


def decode_bytes(content: bytes, charset: str) -> str:
    """`content` in `charset`; an unknown charset is UTF-8 if it can be, else Windows Latin. Never raises."""
    codec = _codec(charset)
    if codec not in ("", "ascii", "utf-8"):
        try:
            return content.decode(codec, "replace")
        except UnicodeError:  # some codecs raise whatever `errors` says
            pass
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        pass
    if codec == "utf-8":
        text = content.decode("utf-8", "replace")
        if text.count("\ufffd") * 4 <= sum(character > "\x7f" for character in text):
            return text  # UTF-8 with a scar (a cut character, one bad byte), not another charset
    try:
        return content.decode("cp1252")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _codec(charset: str) -> str:
    """Python's name of a mail charset, "" where it is none."""
    charset = charset.strip().strip("\"'").lower()
    if not _CHARSET_NAME.fullmatch(charset):
        return ""
    try:
        name = codecs.lookup(_CODEC_ALIASES.get(charset, charset)).name
        "".encode(name)  # raises LookupError for bytes-to-bytes codecs such as zlib
    except (LookupError, UnicodeError):
        return ""
    return "" if name.replace("-", "_") in _NO_MAIL_CODECS else _WIDER_CODECS.get(name, name)


def _from_base64(body: bytes) -> bytes:
    compact = b"".join(body.split())
    alphabet = re.sub(rb"[^A-Za-z0-9+/=]", b"", compact)
    if not alphabet or (len(compact) - len(alphabet)) * 10 > len(compact):
        return body  # labelled base64, but plain words
    pieces = [piece for piece in re.split(rb"=+", alphabet, maxsplit=1000) if piece]
    return b"".join(_base64_piece(piece.replace(b"=", b"")) for piece in pieces)


def _base64_piece(piece: bytes) -> bytes:
    usable = piece if len(piece) % 4 != 1 else piece[:-1]  # a single sextet holds no byte
    return base64.b64decode(usable + b"=" * (-len(usable) % 4))
