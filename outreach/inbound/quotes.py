"""The new words of a reply, told from the history that it quotes. Where that is in doubt, more is kept."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from outreach.inbound import mime
from outreach.inbound.html_lines import without_invisible
from outreach.inbound.introductions import (
    MAX_SCANNED_LINES,
    SEPARATOR,
    Intro,
    header_block_end,
    intros,
    split_lines,
)
from outreach.inbound.visible import html_text

__all__ = ["html_text", "reply_text", "said", "without_quotes"]

# Without a line that introduces it, a shorter run of ">" lines may be somebody's way of writing (quotequail's number).
MIN_QUOTED_LINES = 3

_FORWARD = re.compile(
    r"forward|weitergeleitet|transf[ée]r|réexpédié|reenviado|doorgestuurd|vidarebefordrat|пересылаемое", re.IGNORECASE
)


def reply_text(text: str | None, html: str | None) -> str:
    """The words that the sender of a mail with these bodies wrote himself, "" where there are none. Never raises.

    Answers between quoted lines come with those lines; text above and below one quote without it. A mail that is all
    quote is given whole, since somebody may have written into it; so is a forwarded message.
    """
    return without_quotes(said(text, html))


def said(text: str | None, html: str | None) -> str:
    """The body to read of a plain and an HTML alternative: the plain one, unless it is empty or a mere stand-in."""
    plain = without_invisible(mime.clean(text or ""))
    if not html or (plain.strip() and len(plain.split()) >= 40):
        return plain
    visible = html_text(html)
    if not plain.strip():
        return visible
    # "Your program can't show HTML": few words, none of which the HTML begins with.
    is_stand_in = len(visible.split()) > 2 * len(plain.split()) + 20 and _folded(plain) not in _folded(visible)
    return visible if is_stand_in else plain


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


@dataclass
class _Segment:
    quoted: bool
    lines: list[str] = field(default_factory=list)

    @property
    def has_words(self) -> bool:
        return any(not SEPARATOR.fullmatch(line) for line in self.lines)


def without_quotes(text: str) -> str:
    """`text` (plain, lines ended by "\\n") without quoted history; see `reply_text`."""
    segments = [segment for segment in _segments(split_lines(text)) if segment.quoted or segment.has_words]
    new = [index for index, segment in enumerate(segments) if not segment.quoted]
    if not new:
        return text.strip()
    quotes = [index for index, segment in enumerate(segments) if segment.quoted]
    if quotes and any(quotes[0] < index < quotes[-1] for index in new):
        return text.strip()  # answers between the lines mean nothing without the lines
    return "\n\n".join("\n".join(segments[index].lines).strip() for index in new).strip()


def _segments(lines: list[str]) -> Iterator[_Segment]:
    """New and quoted stretches of `lines`, in order."""
    found = {intro.start: intro for intro in intros(lines[:MAX_SCANNED_LINES])}
    new = _Segment(quoted=False)
    least_lines = MIN_QUOTED_LINES
    index = 0
    while index < len(lines):
        intro = found.get(index)
        if _begins_forward(lines, index, intro):
            new.lines += lines[index:]  # foreign words, sent on as the sender's own message
            break
        end = _quote_end(lines, index, intro, least_lines)
        if end is None:
            new.lines.append(lines[index])
            index += 1
            continue
        yield new
        yield _Segment(quoted=True, lines=lines[index:end])
        least_lines = 1  # who quotes once, quotes
        new = _Segment(quoted=False)
        index = end
    yield new


def _begins_forward(lines: list[str], index: int, intro: Intro | None) -> bool:
    if intro:
        return bool(_FORWARD.search(intro.line))
    is_label = len(lines[index]) < 80 and lines[index].rstrip().endswith((":", "-")) and _FORWARD.search(lines[index])
    return bool(is_label) and header_block_end(lines, _next_text(lines, index + 1)) is not None


def _quote_end(lines: list[str], index: int, intro: Intro | None, least_lines: int) -> int | None:
    """Where the quote that begins at `index` ends; None where none begins."""
    if intro and not (intro.is_dated or intro.is_separator):
        return None  # "As for what you wrote:" are the sender's own words
    if lines[index].startswith(">"):
        end = _run_end(lines, index)
        return end if sum(line.startswith(">") for line in lines[index:end]) >= least_lines else None
    header_end = header_block_end(lines, _next_text(lines, intro.end) if intro else index)
    if intro is None and header_end is None:
        return None
    behind = _next_text(lines, header_end or (intro.end if intro else index))
    if behind < len(lines) and lines[behind].startswith(">"):
        return _run_end(lines, behind)
    # History that is not marked line by line goes on to the end. Where no new words stand above it, they are somewhere
    # in it, and `without_quotes` keeps everything.
    is_history = header_end is not None or (intro is not None and intro.is_strong) or _is_original_message(intro)
    return len(lines) if is_history else None


def _is_original_message(intro: Intro | None) -> bool:
    return intro is not None and intro.is_separator and not SEPARATOR.fullmatch(intro.line)


def _next_text(lines: list[str], index: int) -> int:
    while index < len(lines) and not lines[index].strip():
        index += 1
    return index


def _run_end(lines: list[str], index: int) -> int:
    """The index behind the ">" lines from `index`; blank lines between two of them belong to them."""
    end = index
    while index < len(lines):
        if lines[index].startswith(">"):
            end = index + 1
        elif lines[index].strip():
            break
        index += 1
    return end
