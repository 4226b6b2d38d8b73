"""Where a quote stands in a text, and what that passage says. Only whole words, numbers and dates count.

All is compared as `plain` has it: case, the form of quotation marks and dashes, and what can't be seen do not matter.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache

from outreach.agents import spelling

MOST_PLACES = 20  # of one quote that are looked at
LEAST_LETTERS = 7  # of words taken from the middle of a sentence as evidence: "we agree"
LEAST_SQUEEZED = 8  # characters of a number such as an IBAN that may be grouped in any way

_ALIKE = str.maketrans(
    {
        **dict.fromkeys("“”„‟«»″", '"'),
        **dict.fromkeys("‘’‚‛′`´", "'"),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        **dict.fromkeys("\u00a0\u2007\u2009\u202f\u3000", " "),
        **dict.fromkeys("\u00ad\u200b\u200c\u200d\u2060\ufeff", ""),
    }
)
_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"  # scripts written without spaces
_LETTER = rf"[^\W{_UNSPACED}]"
_WORD = re.compile(r"[^\W\d_]+")
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_SENTENCE_ENDS = re.compile(r"(?:^|[\n.!?:;,。!?、])[\s\"'>*()\[\]•|-]*$")
_SENTENCE_BEGINS = re.compile(r"[\s\"'*()\[\]•|-]*(?:$|[\n.!?;,。!?、])")


def plain(text: str) -> str:
    """The text without differences that do not matter."""
    return text.translate(_ALIKE).casefold()


@lru_cache(maxsize=16)
def _numbers_in(text: str) -> list[spelling.Token[Decimal]]:
    return spelling.settled_numbers(text)


@lru_cache(maxsize=16)
def _dates_in(text: str) -> list[spelling.Token[date]]:
    return spelling.settled_dates(text)


@dataclass(frozen=True)
class Passage:
    """A part of a plain text that was quoted as evidence, with the text around it."""

    text: str
    start: int
    end: int

    @property
    def words(self) -> str:
        return self.text[self.start : self.end]

    def holds(self, value: str) -> bool:
        """Whether the value stands in it, whole: not as a part of a longer word, number or reference."""
        return any(
            self.start <= match.start() and match.end() <= self.end
            for pattern in _spellings(plain(value).strip())
            for match in pattern.finditer(self.text, self.start)
        )

    @property
    def numbers(self) -> set[Decimal]:
        """The numbers in it that can't be read in two ways."""
        return self._only(_numbers_in(self.text))

    @property
    def readable_numbers(self) -> set[Decimal]:
        """The numbers in it in all their readings."""
        return {reading for token in _numbers_in(self.text) if self._has(token) for reading in token.readings}

    @property
    def dates(self) -> set[date]:
        """The days in it that can't be read in two ways."""
        return self._only(_dates_in(self.text))

    def _only(self, tokens: list[spelling.Token[spelling.T]]) -> set[spelling.T]:
        return {token.only for token in tokens if self._has(token) and token.only is not None}

    def _has(self, token: spelling.Token[spelling.T]) -> bool:
        return self.start <= token.start and token.end <= self.end

    @property
    def is_statement(self) -> bool:
        """Whether it is enough to decide something by: a whole line, clause or sentence, or some words of one."""
        words = _WORD.findall(self.words)
        if _IS_UNSPACED.search(self.words):
            return self._stands_alone or len(self.words) >= 3
        if self._stands_alone:
            return any(len(word) >= 2 or spelling.yes_no(word) is not None for word in words)
        long = [word for word in words if len(word) >= 2]
        return len(long) >= 2 and sum(map(len, long)) >= LEAST_LETTERS and max(map(len, long)) >= 4

    @property
    def _stands_alone(self) -> bool:
        before = self.text[max(0, self.start - 40) : self.start]
        is_first = self.start == 0 or (self.start <= 40 and not before.strip())
        return bool(is_first or _SENTENCE_ENDS.search(before)) and bool(
            _SENTENCE_BEGINS.match(self.text, self.end) or self.words[-1] in ".!?。"
        )

    def yes_no(self) -> set[bool]:
        """Which plain words of yes or no stand in it."""
        return {answer for word in _WORD.findall(self.words) if (answer := spelling.yes_no(word)) is not None}


def passages(text: str, quote: str) -> Iterator[Passage]:
    """Where the quote stands in the plain text, as whole words; white space of any kind and length is the same."""
    words = plain(quote).split()
    if not words:
        return
    pattern = re.compile(_whole(words[0], words[-1], r"\s+".join(map(re.escape, words))))
    for count, match in enumerate(pattern.finditer(text)):
        if count == MOST_PLACES:
            return
        yield Passage(text, match.start(), match.end())


def _whole(first: str, last: str, inner: str) -> str:
    """The pattern between edges of words. A quote may begin or end in the middle of nothing."""
    before = f"(?<!{_LETTER})" if re.match(_LETTER, first) else ""
    behind = f"(?!{_LETTER})" if re.match(_LETTER, last[-1]) else ""
    return before + inner + behind


def _spellings(value: str) -> Iterator[re.Pattern[str]]:
    words = value.split()
    if not words:
        return
    before, behind = _edges(value)
    yield re.compile(before + _whole(words[0], words[-1], r"\s+".join(map(re.escape, words))) + behind)
    squeezed = "".join(words)
    if len(squeezed) >= LEAST_SQUEEZED and sum(map(str.isdigit, squeezed)) >= 4:
        inner = r"[^\S\n]?".join(map(re.escape, squeezed))
        yield re.compile(before + _whole(squeezed[0], squeezed, inner) + behind)


def _edges(value: str) -> tuple[str, str]:
    """What must not stand at the edges: a reference, number or address goes on after a hyphen, a slash or a dot."""
    if re.search(r"\s", value) or not re.search(r"[\d@]|://", value):
        return "", ""
    if value.isdigit():
        return r"(?<!\d[-/.,:])", r"(?![-/.,:]\d|[-/_]\w)"
    return r"(?<!\w[-/_.+@])", r"(?![-/_.@+]\w)"
