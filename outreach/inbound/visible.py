"""The text of an HTML mail that a person sees: hidden text removed, lines, cells, lists and quotes kept apart."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from selectolax.lexbor import LexborHTMLParser, LexborNode

from outreach.inbound import mime
from outreach.inbound.html_lines import Page
from outreach.inbound.html_styles import Declarations, Style, hides_subtree, inherited, styles_of, stylesheet

MAX_HTML_CHARS = 1_000_000
# HTML5 tree building costs the square of the open elements and of one tag's attributes, and unclosed formatting
# elements are copied into every later paragraph. So a big document is read in pieces, each of which is small enough.
PIECE_CHARS = 200_000
PIECE_TAGS = 10_000
MAX_COPIES = 2_000_000
MAX_HREF_CHARS = 2000

_SKIPPED = mime.names("script style head title template iframe object noframes noembed -comment")
_BLOCKS = mime.names(
    "address article aside blockquote body center dd details div dl dt fieldset figcaption figure footer form header hr"
    " html legend li main nav ol option p pre section summary table tbody tfoot thead tr ul caption"
    " h1 h2 h3 h4 h5 h6"
)
_SPACED = mime.names("p h1 h2 h3 h4 h5 h6 ul ol table pre blockquote")
_FORMATTING = re.compile(r"<(/?)(a|b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)(?=[\s/>])", re.IGNORECASE)


def html_text(html: str) -> str:
    """The visible text of `html`, at most its first million characters. Never raises.

    Blocks and <br> end lines, cells of a table row stand apart by a tab, quotes of a reply begin with "> ", a link is
    followed by its address in parentheses where that says something else. Text that is not shown (display, visibility,
    size, opacity, position, colour of its background, hidden attribute, comments, scripts) is left out.
    """
    html, sheets = _without_comments_and_styles(mime.clean(html)[:MAX_HTML_CHARS])
    rules = stylesheet(sheets)
    for element in ("script", "template"):
        html = _without_element(html, element)
    html = re.sub(r"data:[^\s\"'<>]{100,}", "data:", html)
    page = Page()
    for piece in _pieces(html):
        _render(piece, rules, page)
    return page.text()


def _without_comments_and_styles(html: str) -> tuple[str, list[str]]:
    """`html` without both, and what the style elements outside of comments say (their own "<!--" is no comment)."""
    kept: list[str] = []
    sheets: list[str] = []
    position = 0
    opening, closing = re.compile(r"<!--|<style(?=[\s>])", re.IGNORECASE), re.compile(r"</style", re.IGNORECASE)
    while found := opening.search(html, position):
        kept.append(html[position : found.start()])
        if found.group() == "<!--":
            end = html.find("-->", found.start() + 2)  # "<!-->" is whole: it ends a conditional that is shown
            position = end + 3 if end >= 0 else len(html)
        else:
            end_tag = closing.search(html, found.end())
            end = end_tag.start() if end_tag else len(html)
            sheets.append(html[html.find(">", found.end()) + 1 : end])
            position = html.find(">", end) + 1 or len(html)
    return "".join([*kept, html[position:]]), sheets


def _without_element(html: str, name: str) -> str:
    kept, position = [], 0
    opening, closing = (re.compile(pattern + name + r"(?=[\s/>])", re.IGNORECASE) for pattern in ("<", "</"))
    while start := opening.search(html, position):
        kept.append(html[position : start.start()])
        end = closing.search(html, start.end())
        if not end:
            return "".join(kept)
        position = html.find(">", end.end()) + 1 or len(html)
    return "".join([*kept, html[position:]])


def _pieces(html: str) -> Iterator[str]:
    """`html`, cut before tags so that each piece is cheap to parse; an ordinary mail is one piece."""
    tags = _places_to_cut(html)
    if len(html) > PIECE_CHARS or len(tags) > PIECE_TAGS:
        cuts, last_index = [0], 0
        for index, start in enumerate(tags):
            if start - cuts[-1] > PIECE_CHARS // 2 or index - last_index >= PIECE_TAGS:
                cuts.append(start)
                last_index = index
        pieces = [html[start:end] for start, end in zip(cuts, [*cuts[1:], len(html)], strict=True)]
    else:
        pieces = [html]
    for piece in pieces:
        if len(_FORMATTING.findall(piece)) * piece.count("<") > MAX_COPIES:
            piece = _FORMATTING.sub(r"<\1x-\2", piece)  # elements that HTML5 does not copy
        yield piece


def _places_to_cut(html: str) -> list[int]:
    """Where tags begin, and every so often a word where none does: one tag may have a hundred thousand attributes."""
    places, last = [], 0
    for found in re.finditer("<", html):
        places += _words_every(html, last, found.start())
        places.append(last := found.start())
    return places + _words_every(html, last, len(html))


def _words_every(html: str, start: int, end: int, step: int = PIECE_CHARS // 4) -> list[int]:
    spaces = (re.compile(r"\s").search(html, position, end) for position in range(start + step, end, step))
    return sorted({space.end() for space in spaces if space})


@dataclass
class _Open:
    """An element being rendered: what to do when it ends."""

    tag: str
    style: Style
    href: str = ""
    counter: int = 0
    row_started: bool = False


def _render(html: str, rules: dict[str, Declarations], page: Page) -> None:
    """Walk the tree without recursion: it is as deep as its author likes."""
    node: LexborNode | None = LexborHTMLParser(html).root
    opened: list[_Open] = [_Open("", Style())]
    while node is not None:
        below = _enter(node, rules, opened, page)
        if below is not None:
            node = below
            continue
        while node is not None and node.next is None:
            node = node.parent if len(opened) > 1 else None
            if node is not None:
                _leave(opened.pop(), page)
        node = node.next if node is not None else None


def _enter(node: LexborNode, rules: dict[str, Declarations], opened: list[_Open], page: Page) -> LexborNode | None:
    """Write what the node itself shows. Its first child, now with an entry in `opened`, or None: go on beside it."""
    tag, parent = (node.tag or "").lower().removeprefix("x-"), opened[-1]
    if tag == "-text":
        if not parent.style.hides_text:
            page.add(node.text_content or "", parent.style)
        return None
    if tag in _SKIPPED or tag.startswith("-"):
        return None
    attributes = {name.lower(): value or "" for name, value in node.attributes.items()}
    styles = styles_of(tag, attributes, rules)
    if "hidden" in attributes or hides_subtree(styles):
        return None
    if tag == "br":
        page.line_break()
        return None
    element = _Open(tag, inherited(parent.style, tag, attributes, styles))
    _begin(element, parent, attributes, page)
    if node.first_child is None:
        _leave(element, page)
        return None
    opened.append(element)
    return node.first_child


def _begin(element: _Open, parent: _Open, attributes: dict[str, str], page: Page) -> None:
    tag = element.tag
    if tag in ("td", "th"):
        if parent.row_started:
            page.next_cell()
        parent.row_started = True
    elif tag in _BLOCKS:
        if "msonormal" in attributes.get("class", "").lower():
            element.tag = "div"  # Outlook makes every line a paragraph without a margin
        page.boundary(2 if element.tag in _SPACED else 1, always=tag in ("tr", "table"))
    if tag == "li":
        parent.counter += 1
        page.bullet = f"{parent.counter}. " if parent.tag == "ol" else "- "
    elif tag == "a":
        element.href = attributes.get("href", "").strip()
        page.link = []


def _leave(element: _Open, page: Page) -> None:
    if element.tag == "a":
        shown = "".join(page.link or []).strip()
        page.link = None
        address = _address_beside(element.href, shown)
        if address:
            page.add(f" ({address})", replace(element.style, preformatted=False))
    elif element.tag == "li":
        page.bullet = ""
    if element.tag in _BLOCKS:
        page.boundary(2 if element.tag in _SPACED else 1, always=element.tag in ("tr", "table"))


def _address_beside(href: str, shown: str) -> str:
    """The address of a link to write behind its text, "" where it says nothing more."""
    if not shown or not re.match(r"(?:https?|mailto|tel|ftp):", href, re.IGNORECASE):
        return ""
    if _bare(href) == _bare(shown):
        return ""
    return re.sub(r"\s+", "", href)[:MAX_HREF_CHARS]


def _bare(address: str) -> str:
    address = re.sub(r"^(?:https?://|mailto:|tel:|ftp://)(?:www\.)?|^www\.", "", address.strip().lower())
    return re.sub(r"[\s-]+", "", address).rstrip("/")
