"""The text of a mail once more as HTML. It says the same: whatever a mail program shows, the reader reads one thing."""

import re
from html import escape

_STYLE = "font-family:sans-serif;font-size:14px;line-height:1.5;color:#222"
_LINK = re.compile(r"https?://[^\s<>\"]{1,2000}")
_LINK_ENDS_BEFORE = ".,;:!?)]}'"


def html_of(text: str) -> str:
    """The plain text as a page: paragraphs where it has blank lines, line breaks where it has them, links to click."""
    paragraphs = re.split(r"\n[ \t]*\n\s*", text.strip("\n"))
    written = "\n".join(f'<p style="margin:0 0 1em">{_lines(paragraph)}</p>' for paragraph in paragraphs)
    return f'<!DOCTYPE html>\n<html><body style="{_STYLE}">\n{written}\n</body></html>\n'


def _lines(paragraph: str) -> str:
    return "<br>\n".join(_spaced(_linked(line)) for line in paragraph.split("\n"))


def _linked(line: str) -> str:
    written, end = [], 0
    for found in _LINK.finditer(line):
        url = found.group().rstrip(_LINK_ENDS_BEFORE)
        written += [escape(line[end : found.start()]), f'<a href="{escape(url)}">{escape(url)}</a>']
        end = found.start() + len(url)
    return "".join([*written, escape(line[end:])])


def _spaced(line: str) -> str:
    """Runs of spaces, and those that a line begins with, which HTML would drop."""
    return re.sub(r"^ |(?<= ) ", "&nbsp;", line.replace("\t", "    "))
