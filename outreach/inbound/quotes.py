"""The new words of a reply, told from the history that it quotes. Where that is in doubt, more is kept."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import quotequail

from outreach.inbound import mime
from outreach.inbound.visible import html_text, without_invisible

__all__ = ["html_text", "reply_text", "said", "without_quotes"]

MAX_SCANNED_LINES = 3000
MAX_INTRO_CHARS = 500
# Without a line that introduces it, a shorter run of ">" lines may be somebody's way of writing (quotequail's number).
MIN_QUOTED_LINES = 3

_FORWARD = re.compile(
    r"forward|weitergeleitet|transf[ée]r|réexpédié|reenviado|doorgestuurd|vidarebefordrat|пересылаемое", re.IGNORECASE
)
_SEPARATOR = re.compile(r"[\s_*=-]*")
# Beyond quotequail's: Italian, Polish, Danish and Norwegian, Portuguese, and "X <x@y> wrote on …:"
_MORE_INTROS = re.compile(
    r"(?:Il .{3,300} ha scritto|W dniu .{3,300} (?:pisze|napisał(?:\(a\)|a)?)|(?:Den|På) .{3,300} skrev"
    r"|(?:Em|No dia) .{3,300} escreveu"
    r"|(?-i:(?![.!?] [A-ZÀ-Þ]).){0,200}@.{0,200} (?:wrote|schrieb|a écrit|escribió)\b.{0,60}) ?:"
    r"|-{2,} ?\S.{0,300}\S (?:wrote|schrieb|a écrit|escribió|skrev|schreef) ?-{2,}",
    re.IGNORECASE,
)
# "4 Jan 2027 10:00 Ann <a@b.test>:" in any language, over as many lines as senders wrap it to.
MAX_INTRO_LINES = 3
_CLOCK = re.compile(r"\d{1,2}[:.]\d{2}(?!\d)")
_DATED_SENDER = re.compile(
    r"(?=.{0,60}\b(?:19|20)\d\d\b)(?P<lead>.{0,40}?)\d{1,2}[:.]\d{2}(?::\d{2})?(?!\d)"
    r"(?P<between>[^<>@]{0,150}(?:\"[^\"]{0,150}\")?\s?)"
    r"[<(]\s?(?:mailto:)?[^\s<>()]{1,200}@[^\s<>()]{1,200}[>)](?P<tail>[^.!?\d<>@]{0,40})[:：]",
)
_WROTE = re.compile(
    r"\b(?:wrote|sent|schrieb|écrit|escribió|escreveu|scritto|skrev|schreef|geschreven|pisze|napisał|napsal|пишет|написал"
    r"|написав|viết|kirjoitti|írta|yazdı|scris|έγραψε|写道|寫道|작성)",
    re.IGNORECASE,
)
_BEFORE_NAMES = frozenset(
    ["от", "пользователь", "użytkownik", "uživatel", "från", "fra", "von", "de", "da", "van", "by"]
)
# Some programs put that line behind the last words of the reply.
_SHARED_LINE = re.compile(
    r"(?P<own>\S.{0,400}?)(?:\s|-{2,}\s?)"
    r"(?P<intro>On (?:[A-Z][a-z]{2,8}, )?(?:[A-Z][a-z]{2,8} \d{1,2}|\d{1,2} [A-Z][a-z]{2,8}),?"
    r" (?:19|20)\d\d,? at \d{1,2}:\d{2}.{0,200}@.{0,200} wrote:)"
)
_HEADER_NAMES = {
    "from": "from, von, de, da, od, från, fra, van, от, від, lähettäjä, kimden, feladó, de la"
    ", 差出人, 发件人, 寄件者, 보낸 사람",
    "date": "date, sent, datum, gesendet, envoyé, fecha, enviado, enviada em, data, inviato, skickat, sendt, verzonden"
    ", дата, отправлено, wysłano, odesláno, lähetetty, gönderildi, elküldve, trimis"
    ", 送信日時, 发送时间, 寄件日期, 보낸 날짜",
    "to": "to, an, à, para, pour, a, till, til, aan, do, кому, komu, vastaanottaja, kime, címzett, către"
    ", 宛先, 收件人, 收件者, 받는 사람",
    "subject": "subject, betreff, objet, sujet, asunto, oggetto, assunto, ämne, emne, onderwerp, temat, тема, předmět"
    ", aihe, konu, tárgy, subiect, 件名, 主题, 主旨, 제목",
}
_HEADER_KINDS = {name: kind for kind, names in _HEADER_NAMES.items() for name in names.split(", ")}
_HEADER_LINE = re.compile(r"\s*[*_]{0,2}([^\W\d_]{1,12}(?: [^\W\d_]{1,4})?)[*_]{0,2}\s?[:：][*_]{0,2}\s*(\S.{0,400})")


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
        return any(not _SEPARATOR.fullmatch(line) for line in self.lines)


def without_quotes(text: str) -> str:
    """`text` (plain, lines ended by "\\n") without quoted history; see `reply_text`."""
    segments = [segment for segment in _segments(_lines(text)) if segment.quoted or segment.has_words]
    new = [index for index, segment in enumerate(segments) if not segment.quoted]
    if not new:
        return text.strip()
    quotes = [index for index, segment in enumerate(segments) if segment.quoted]
    if quotes and any(quotes[0] < index < quotes[-1] for index in new):
        return text.strip()  # answers between the lines mean nothing without the lines
    return "\n\n".join("\n".join(segments[index].lines).strip() for index in new).strip()


def _lines(text: str) -> list[str]:
    """The lines of `text`; an introducing line that stands behind words of the sender's becomes one of its own."""
    lines: list[str] = []
    for line in text.split("\n"):
        shared = _SHARED_LINE.fullmatch(line) if len(lines) < MAX_SCANNED_LINES and line[:1] != ">" else None
        lines += [shared["own"].rstrip("- "), shared["intro"]] if shared else [line]
    return lines


@dataclass(frozen=True)
class _Intro:
    """A line (wrapped: several) that introduces a quote; `end` is the index behind it."""

    start: int
    end: int
    line: str

    @property
    def is_dated(self) -> bool:
        return self.is_strong or bool(re.search(r"\b(?:19|20)\d\d\b", self.line))

    @property
    def is_strong(self) -> bool:
        """A date or time together with an address or a clock: nobody writes that by hand."""
        return bool(re.search(r"\d", self.line) and re.search(r"@|\d{1,2}[:.h]\d{2}", self.line))

    @property
    def is_separator(self) -> bool:
        return self.line.startswith("-") or bool(_SEPARATOR.fullmatch(self.line))


def _segments(lines: list[str]) -> Iterator[_Segment]:
    """New and quoted stretches of `lines`, in order."""
    intros = {intro.start: intro for intro in _intros(lines[:MAX_SCANNED_LINES])}
    new = _Segment(quoted=False)
    least_lines = MIN_QUOTED_LINES
    index = 0
    while index < len(lines):
        intro = intros.get(index)
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


def _begins_forward(lines: list[str], index: int, intro: _Intro | None) -> bool:
    if intro:
        return bool(_FORWARD.search(intro.line))
    is_label = len(lines[index]) < 80 and lines[index].rstrip().endswith((":", "-")) and _FORWARD.search(lines[index])
    return bool(is_label) and _header_block_end(lines, _next_text(lines, index + 1)) is not None


def _quote_end(lines: list[str], index: int, intro: _Intro | None, least_lines: int) -> int | None:
    """Where the quote that begins at `index` ends; None where none begins."""
    if intro and not (intro.is_dated or intro.is_separator):
        return None  # "As for what you wrote:" are the sender's own words
    if lines[index].startswith(">"):
        end = _run_end(lines, index)
        return end if sum(line.startswith(">") for line in lines[index:end]) >= least_lines else None
    header_end = _header_block_end(lines, _next_text(lines, intro.end) if intro else index)
    if intro is None and header_end is None:
        return None
    behind = _next_text(lines, header_end or (intro.end if intro else index))
    if behind < len(lines) and lines[behind].startswith(">"):
        return _run_end(lines, behind)
    # History that is not marked line by line goes on to the end. Where no new words stand above it, they are somewhere
    # in it, and `without_quotes` keeps everything.
    is_history = header_end is not None or (intro is not None and intro.is_strong) or _is_original_message(intro)
    return len(lines) if is_history else None


def _is_original_message(intro: _Intro | None) -> bool:
    return intro is not None and intro.is_separator and not _SEPARATOR.fullmatch(intro.line)


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


def _header_block_end(lines: list[str], index: int) -> int | None:
    """The index behind a "From: … Sent: … To: … Subject: …" block as Outlook writes above a quote; None: none begins.

    Not quotequail's reading, to which two lines such as "To: Berlin" and "Date: 5 January" are a forwarded message:
    they may be the answer. Here it takes a sender and two more, with an address or a subject among them.
    """
    kinds: dict[str, str] = {}
    end = index
    for position in range(index, min(index + 12, len(lines))):
        found = _HEADER_LINE.match(lines[position][:MAX_INTRO_CHARS])
        kind = _HEADER_KINDS.get(found.group(1).lower()) if found else None
        if found and kind:
            kinds.setdefault(kind, found.group(2))
            end = position + 1
        elif position == index or not lines[position].strip():
            break
    is_block = "from" in kinds and len(kinds) >= 3 and ("subject" in kinds or "@" in kinds["from"])
    return end if is_block else None


def _intros(lines: list[str]) -> Iterator[_Intro]:
    """The lines that introduce quotes, outside of quotes."""
    shadow = [_shadow(line) for line in lines]
    position = 0
    while position < len(lines):
        rest = shadow[position:]
        parts = quotequail.quote("\n".join(rest), limit=len(rest) + 1, quote_intro_line=True)
        start = position + len(rest) - (parts[1][1].count("\n") + 1) if len(parts) > 1 else len(lines)
        for index in range(position, min(start + 1, len(lines))):
            more = _more_intro(shadow, index)
            if more:
                yield more
        if start >= len(lines):
            return
        ahead = shadow[start : start + 2]
        wrapped = quotequail.quote("\n".join(ahead), limit=3)[0][1].count("\n") + 1
        intro = _Intro(start, start + wrapped, " ".join(ahead[:wrapped]).strip())
        position = start + 1
        # A sentence that begins with "On" above the introducing line looks to quotequail like its first half.
        if wrapped == 1 or (intro.is_strong and not _begins_intro(ahead[1])):
            yield intro
            position = intro.end


def _more_intro(shadow: list[str], index: int) -> _Intro | None:
    """The introducing line, of those that quotequail doesn't know, that begins at `index`."""
    most_lines = MAX_INTRO_LINES if _CLOCK.search(shadow[index]) else 1
    for end in range(index + 1, min(index + most_lines, len(shadow)) + 1):
        line = " ".join(shadow[index:end]).strip()
        is_next = end > index + 1 and _CLOCK.search(shadow[end - 1])
        if is_next or not shadow[end - 1].strip() or len(line) > MAX_INTRO_CHARS:
            return None
        if (end == index + 1 and _MORE_INTROS.fullmatch(line)) or _names_sender_and_time(line):
            return _Intro(index, end, line)
    return None


def _names_sender_and_time(line: str) -> bool:
    """Whether a program introduces a quote: with "wrote", or with nothing beside date, time, name and address."""
    found = _DATED_SENDER.fullmatch(line)
    if not found:
        return False
    if _WROTE.search(found["tail"]):
        return True
    words = re.findall(r"[^\W\d_][\w.'’-]*", found["lead"] + found["between"])
    return not found["tail"].strip() and all(not word[0].islower() or word in _BEFORE_NAMES for word in words)


def _begins_intro(line: str) -> bool:
    return len(quotequail.quote(line, limit=2, quote_intro_line=True)) > 1


def _shadow(line: str) -> str:
    """What quotequail gets to see: nothing within quotes, and nothing on which its patterns would take for ever."""
    if line.startswith(">"):
        return ""
    if len(line) > MAX_INTRO_CHARS or line.count("<") > 2 or line.count("@") > 4:
        return "x"
    return line
