"""The lines that introduce quotes: "On Monday, Ann wrote:", "-----Original Message-----", "From: … Sent: … To: …"."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import quotequail

MAX_SCANNED_LINES = 3000
MAX_INTRO_CHARS = 500

SEPARATOR = re.compile(r"[\s_*=-]*")
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
    r"(?=.{0,60}\b(?:19|20)\d\d\b)(?P<lead>(?:(?![.!?] [A-ZÀ-Þ]).){0,40}?)\d{1,2}[:.]\d{2}(?::\d{2})?(?!\d)"
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


def split_lines(text: str) -> list[str]:
    """The lines of `text`; an introducing line that stands behind words of the sender's becomes one of its own."""
    lines: list[str] = []
    for line in text.split("\n"):
        shared = _SHARED_LINE.fullmatch(line) if len(lines) < MAX_SCANNED_LINES and line[:1] != ">" else None
        lines += [shared["own"].rstrip("- "), shared["intro"]] if shared else [line]
    return lines


@dataclass(frozen=True)
class Intro:
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
        return self.line.startswith("-") or bool(SEPARATOR.fullmatch(self.line))


def intros(lines: list[str]) -> Iterator[Intro]:
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
        intro = Intro(start, start + wrapped, " ".join(ahead[:wrapped]).strip())
        position = start + 1
        # A sentence that begins with "On" above the introducing line looks to quotequail like its first half.
        if wrapped == 1 or (intro.is_strong and not _begins_intro(ahead[1])):
            yield intro
            position = intro.end


def _more_intro(shadow: list[str], index: int) -> Intro | None:
    """The introducing line, of those that quotequail doesn't know, that begins at `index`."""
    most_lines = MAX_INTRO_LINES if _CLOCK.search(shadow[index]) else 1
    for end in range(index + 1, min(index + most_lines, len(shadow)) + 1):
        line = " ".join(shadow[index:end]).strip()
        is_next = end > index + 1 and _CLOCK.search(shadow[end - 1])
        if is_next or not shadow[end - 1].strip() or len(line) > MAX_INTRO_CHARS:
            return None
        if not line.endswith((":", "：", "-")):
            continue
        if (end == index + 1 and _MORE_INTROS.fullmatch(line)) or _names_sender_and_time(line):
            return Intro(index, end, line)
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


def header_block_end(lines: list[str], index: int) -> int | None:
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
