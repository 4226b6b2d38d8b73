"""What a person finds in a mail: its bodies and its files, out of whatever tree of parts they came in."""

import mimetypes
from dataclasses import dataclass, field

from outreach.inbound import attachments, mime, quotes
from outreach.inbound.mime import Part

MAX_ATTACHMENTS = 100
MAX_BODY_CHARS = 1_000_000

_EXTENSIONS = {
    "text/plain": ".txt",
    "text/html": ".html",
    "text/calendar": ".ics",
    "message/rfc822": ".eml",
    "image/jpeg": ".jpg",
    "application/ms-tnef": ".dat",
    "application/pgp-signature": ".asc",
    "application/pkcs7-signature": ".p7s",
    "application/x-pkcs7-signature": ".p7s",
    "application/pkcs7-mime": ".p7m",
}
_NAMES = {"text/calendar": "invitation", "message/rfc822": "message", "application/ms-tnef": "winmail"}
# Renderings of the same words for other screens.
_OTHER_RENDERINGS = frozenset({"text/x-amp-html", "text/watch-html"})
# In a multipart/report these belong to the report (RFC 6522); nobody attached them.
_REPORT_PARTS = mime.names(
    "message/delivery-status message/global-delivery-status message/feedback-report message/disposition-notification"
    " message/rfc822 message/global message/global-headers text/rfc822-headers message/rfc822-headers"
)


@dataclass(frozen=True)
class InboundAttachment:
    """A file in a mail. `name` is safe to show, `declared_type` is what the sender says (sniff it), `content_id` is
    without brackets, `inline` marks what the HTML body shows itself."""

    name: str
    declared_type: str
    content: bytes
    content_id: str = ""
    inline: bool = False


@dataclass(frozen=True)
class Content:
    """`text` and `html` as they came, `said` the plain text to read, where each passage is taken from the alternative
    that has it."""

    text: str
    html: str
    said: str
    attachments: tuple[InboundAttachment, ...]


@dataclass
class _Passage:
    """One stretch of the mail, as text, as HTML, or as both alternatives."""

    text: list[str] = field(default_factory=list)
    html: list[str] = field(default_factory=list)


@dataclass
class _Collector:
    is_report: bool
    passages: list[_Passage] = field(default_factory=list)
    attachments: list[InboundAttachment] = field(default_factory=list)

    def visit(self, part: Part, passage: _Passage | None, *, related: bool = False) -> None:
        if part.content_type == "multipart/alternative" and passage is None:
            passage = self._new_passage()
        for child in part.children:
            self.visit(child, passage, related=related or part.content_type == "multipart/related")
        if not part.children and not part.content_type.startswith("multipart/"):
            self._take(part, passage, related=related)

    def _new_passage(self) -> _Passage:
        self.passages.append(_Passage())
        return self.passages[-1]

    def _take(self, part: Part, passage: _Passage | None, *, related: bool) -> None:
        if part.content_type in _OTHER_RENDERINGS or (self.is_report and part.content_type in _REPORT_PARTS):
            return
        if part.content_type not in ("text/plain", "text/html") or self._is_file(part):
            self._attach(part, related=related)
            return
        passage = passage or self._new_passage()
        (passage.text if part.content_type == "text/plain" else passage.html).append(part.text[:MAX_BODY_CHARS])
        if len(part.content) > MAX_BODY_CHARS:
            self._attach(part, related=False)  # the words behind the cut must not be lost

    def _is_file(self, part: Part) -> bool:
        kind, parameters = part.disposition
        if kind == "attachment" or parameters.get("filename"):
            return True
        return bool(part.parameters.get("name")) and bool(self.passages)

    def _attach(self, part: Part, *, related: bool) -> None:
        if len(self.attachments) >= MAX_ATTACHMENTS:
            return
        kind = part.disposition[0]
        content_id = mime.one_line(part.get("content-id"), 500).strip("<> ")
        self.attachments.append(
            InboundAttachment(
                name=_name(part, len(self.attachments) + 1),
                declared_type=part.content_type,
                content=part.content,
                content_id=content_id,
                inline=kind == "inline" or (kind != "attachment" and bool(content_id) and related),
            )
        )


def read(tree: Part) -> Content:
    """The bodies and attachments of a message. At most 100 attachments, a million characters a body."""
    collector = _Collector(is_report=tree.content_type == "multipart/report")
    collector.visit(tree, None)
    passages = [("\n".join(passage.text), "\n".join(passage.html)) for passage in collector.passages]
    text = "\n".join(text for text, _ in passages if text)[:MAX_BODY_CHARS]
    html = "\n".join(html for _, html in passages if html)[:MAX_BODY_CHARS]
    return Content(text, html, _said(passages), tuple(collector.attachments))


def _said(passages: list[tuple[str, str]]) -> str:
    """A mailing list's plain footer below an HTML body must not hide that body, so each passage counts by itself."""
    said: list[str] = []
    budget = MAX_BODY_CHARS
    for text, html in passages:
        said.append(quotes.said(text, html[: max(budget, 0)])[:MAX_BODY_CHARS])
        budget -= len(html)
    return "\n".join(passage for passage in said if passage.strip())


def _name(part: Part, number: int) -> str:
    given = part.disposition[1].get("filename") or part.parameters.get("name") or ""
    if given.strip():
        return attachments.safe_name(given)
    if part.content_type == "message/rfc822":
        subject = mime.decode_words(mime.read_headers(part.content).get("subject"))
        return attachments.safe_name(f"{subject[:100] or 'message'}.eml")
    extension = _EXTENSIONS.get(part.content_type) or mimetypes.guess_extension(part.content_type) or ".bin"
    fallback = "image" if part.content_type.startswith("image/") else "attachment"
    return f"{_NAMES.get(part.content_type, fallback)}-{number}{extension}"
