"""Lines of text as they come out of blocks, cells, lists and quotes."""

import re
from dataclasses import dataclass, field

from outreach.inbound.html_styles import Style

# Zero-width and other characters that show nothing; U+E0000 to E007F spell invisible ASCII. The two joiners stay: they
# shape emoji, Persian and Indic words.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060-\u2064\ufeff\U000e0000-\U000e007f]"
)


def without_invisible(text: str) -> str:
    """`text` without characters that show nothing, and with no-break spaces made plain."""
    return _INVISIBLE.sub("", text).replace("\xa0", " ")


@dataclass
class Page:
    """Lines as they are written. A break waits until text follows, so that no block leaves an empty line by itself."""

    lines: list[tuple[int, str]] = field(default_factory=list)
    current: list[str] = field(default_factory=list)
    depth: int = 0
    pending_lines: int = 0
    bullet: str = ""
    link: list[str] | None = None

    def add(self, text: str, style: Style) -> None:
        text = without_invisible(text)
        if style.preformatted:
            for index, line in enumerate(text.split("\n")):
                if index:
                    self.line_break()
                self._write(line.replace("\t", "    "), style)
        else:
            self._write(re.sub(r"[ \t\n\f]+", " ", text), style)

    def _write(self, text: str, style: Style) -> None:
        if not style.preformatted and (self.pending_lines or not self.current or self.current[-1][-1] in " \t"):
            text = text.lstrip(" ")
        if not text:
            return
        if style.quote_depth != self.depth:
            self.boundary(1)
        self._end_pending(style.quote_depth)
        self.depth = style.quote_depth
        if self.bullet:
            self.current.append(self.bullet)
            self.bullet = ""
        self.current.append(text)
        if self.link is not None:
            self.link.append(text)

    def _end_pending(self, next_depth: int) -> None:
        if self.pending_lines:
            self._flush()
            if self.pending_lines > 1 and self.lines and self.lines[-1][1]:
                self.lines.append((min(self.lines[-1][0], next_depth), ""))
            self.pending_lines = 0

    def _flush(self) -> None:
        if self.current:
            self.lines.append((self.depth, "".join(self.current).rstrip()))
            self.current = []

    def boundary(self, lines: int, *, always: bool = False) -> None:
        """A block begins or ends: a new line, or with 2 a blank one between, before the next text."""
        if self.current and (always or self.current[-1] != "\t"):
            self.pending_lines = max(self.pending_lines, lines)
        elif not self.current and lines > 1:
            self.pending_lines = 2

    def line_break(self) -> None:
        if self.current and not self.pending_lines:
            self._flush()
        else:
            self._end_pending(self.depth)
            self.lines.append((self.depth, ""))

    def next_cell(self) -> None:
        """The cell before ends; its paragraphs' last break gives way to the tab."""
        if self.current:
            self.pending_lines = 0
            self.current.append("\t")

    def text(self) -> str:
        self._flush()
        out: list[str] = []
        for depth, line in self.lines:
            quoted = ("> " * depth + line).rstrip()
            if line or (out and out[-1].strip("> ")):
                out.append(quoted)
        return "\n".join(out).strip("\n")
