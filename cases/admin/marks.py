"""Passages that a result rests on, marked where they stand in a mail."""

import re
from collections.abc import Iterable, Iterator

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

Spans = list[tuple[int, int]]


def marked(text: str, quotes: Iterable[str]) -> SafeString:
    """The text as HTML, each quote in a <mark> wherever it stands; case and white space may differ."""
    return format_html_join("", "{}", ((piece,) for piece in _pieces(text, _spans(text, quotes))))


def _pieces(text: str, spans: Spans) -> Iterator[str | SafeString]:
    end = 0
    for start, stop in spans:
        yield text[end:start]
        yield format_html("<mark>{}</mark>", text[start:stop])
        end = stop
    yield text[end:]


def _spans(text: str, quotes: Iterable[str]) -> Spans:
    """Where the quotes stand, in order, those that overlap as one."""
    patterns = (r"\s+".join(map(re.escape, quote.split())) for quote in dict.fromkeys(quotes) if quote.strip())
    # Not within a word or a number: the 12 of a total is not that of 2012.
    found = sorted(
        match.span() for pattern in patterns for match in re.finditer(rf"(?<!\w){pattern}(?!\w)", text, re.IGNORECASE)
    )
    spans: Spans = []
    for start, stop in found:
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(stop, spans[-1][1]))
        else:
            spans.append((start, stop))
    return spans
