"""The text of an HTML mail that a person sees: hidden text removed, lines, cells, lists and quotes kept apart."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from selectolax.lexbor import LexborHTMLParser, LexborNode

from outreach.inbound import mime

MAX_HTML_CHARS = 1_000_000
# HTML5 tree building costs the square of the open elements and of one tag's attributes, and unclosed formatting
# elements are copied into every later paragraph. So a big document is read in pieces, each of which is small enough.
PIECE_CHARS = 200_000
PIECE_TAGS = 10_000
MAX_COPIES = 2_000_000
MAX_QUOTE_DEPTH = 5
MAX_HREF_CHARS = 2000
MAX_RULES = 500

_SKIPPED = mime.names("script style head title template iframe object noframes noembed -comment")
_BLOCKS = mime.names(
    "address article aside blockquote body center dd details div dl dt fieldset figcaption figure footer form header hr"
    " html legend li main nav ol option p pre section summary table tbody tfoot thead tr ul caption"
    " h1 h2 h3 h4 h5 h6"
)
_SPACED = mime.names("p h1 h2 h3 h4 h5 h6 ul ol table pre blockquote")
_FORMATTING = re.compile(r"<(/?)(a|b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)(?=[\s/>])", re.IGNORECASE)
_NUMBER = re.compile(r"\s*([+-]?(?:\d{1,9}\.?\d{0,9}|\.\d{1,9}))\s*(px|pt|em|rem|ex|ch|vw|vh|in|cm|mm|pc|%)?\s*")
# Zero-width and other characters that show nothing; U+E0000 to E007F spell invisible ASCII. The two joiners stay: they
# shape emoji, Persian and Indic words.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060-\u2064\ufeff\U000e0000-\U000e007f]"
)
_WHITE_NAMES = {"white": (255, 255, 255), "black": (0, 0, 0)} | dict.fromkeys(
    ("snow", "ivory", "ghostwhite", "whitesmoke", "floralwhite", "azure", "mintcream"), (250, 250, 250)
)
_WHITE = (255, 255, 255)

Color = tuple[int, int, int] | str
Declarations = dict[str, str]


def html_text(html: str) -> str:
    """The visible text of `html`, at most its first million characters. Never raises.

    Blocks and <br> end lines, cells of a table row stand apart by a tab, quotes of a reply begin with "> ", a link is
    followed by its address in parentheses where that says something else. Text that is not shown (display, visibility,
    size, opacity, position, colour of its background, hidden attribute, comments, scripts) is left out.
    """
    html, sheets = _without_comments_and_styles(mime.clean(html)[:MAX_HTML_CHARS])
    rules = _stylesheet(sheets)
    for element in ("script", "template"):
        html = _without_element(html, element)
    html = re.sub(r"data:[^\s\"'<>]{100,}", "data:", html)
    page = _Page()
    for piece in _pieces(html):
        _render(piece, rules, page)
    return page.text()


def without_invisible(text: str) -> str:
    """`text` without characters that show nothing, and with no-break spaces made plain."""
    return _INVISIBLE.sub("", text).replace("\xa0", " ")


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


def _without(css: str, opening: str, closing: str) -> str:
    kept, position = [], 0
    while (start := css.find(opening, position)) >= 0:
        kept.append(css[position:start])
        end = css.find(closing, start + len(opening))
        if end < 0:
            return "".join(kept)
        position = end + len(closing)
    return "".join([*kept, css[position:]])


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


# ------------------------------------------------------------------------------------------------ style


@dataclass(frozen=True)
class _Style:
    """What an element hands down to the text in it."""

    color: Color = (0, 0, 0)
    background: Color = _WHITE
    invisible: bool = False
    tiny: bool = False
    preformatted: bool = False
    quote_depth: int = 0

    @property
    def hides_text(self) -> bool:
        return self.invisible or self.tiny or _alike(self.color, self.background)


def _alike(color: Color, background: Color) -> bool:
    if color == "transparent":
        return True
    if isinstance(color, str) or isinstance(background, str):
        return color == background
    return all(abs(one - other) <= 12 for one, other in zip(color, background, strict=True))


def _color(value: str) -> Color | None:
    """An RGB triple, "transparent", another name as it stands, or None for what is no colour of its own."""
    value = value.strip().lower()
    if value in _WHITE_NAMES:
        return _WHITE_NAMES[value]
    if re.fullmatch(r"#?[0-9a-f]{3}[0-9a-f]?", value) and value.startswith("#"):
        red, green, blue = (int(digit * 2, 16) for digit in value[1:4])
        return red, green, blue
    if re.fullmatch(r"#?(?:[0-9a-f]{6}|[0-9a-f]{8})", value):
        value = value.lstrip("#")
        if value[6:] == "00":
            return "transparent"
        return int(value[0:2], 16), int(value[2:4], 16), int(value[4:6], 16)
    found = re.match(r"rgba?\(\s*(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})(?:[\s,/]+([\d.]{1,8}%?))?\s*\)", value)
    if found:
        alpha = (_length(found.group(4)) or (0.0, ""))[0] if found.group(4) else 1.0
        return "transparent" if alpha == 0 else (int(found.group(1)), int(found.group(2)), int(found.group(3)))
    if re.fullmatch(r"[a-z]{3,30}", value) and value not in ("inherit", "initial", "unset", "currentcolor", "none"):
        return value
    return None


def _declarations(style: str) -> Declarations:
    found: Declarations = {}
    for declaration in re.sub(r"/\*[^*]*\*/", "", style[:8000]).split(";")[:200]:
        name, colon, value = declaration.partition(":")
        if colon:
            found[name.strip().lower()] = value.lower().replace("!important", "").strip()
    return found


def _length(value: str) -> tuple[float, str] | None:
    found = _NUMBER.fullmatch(value)
    return (float(found.group(1)), found.group(2) or "") if found else None


def _is_nothing(value: str, at_most: float = 0.0) -> bool:
    length = _length(value)
    if length is None:
        return False
    number, unit = length
    return number <= (at_most if unit in ("px", "pt", "") else 0.0)


def _is_far_out(value: str) -> bool:
    length = _length(value)
    if length is None:
        return False
    number, unit = length
    return number <= {"em": -40, "rem": -40, "%": -100, "vw": -100, "vh": -100}.get(unit, -400)


def _hides_subtree(styles: Declarations) -> bool:
    """Whether nothing within such an element is shown, whatever its children say."""
    get = styles.get
    if get("display", "").split(" ")[0] == "none" or _is_nothing(get("opacity", ""), 0.05):
        return True
    if re.search(r"opacity\(\s*0(?:\.0+)?%?\s*\)", get("filter", "")) or "scale(0)" in get("transform", ""):
        return True
    sizes = (get(name, "") for name in ("width", "height", "max-width", "max-height"))
    if get("overflow", "").startswith(("hidden", "clip")) and any(_is_nothing(size, 1) for size in sizes):
        return True
    if get("position", "") in ("absolute", "fixed", "relative"):
        if any(_is_far_out(get(side, "")) for side in ("left", "top", "right", "bottom")):
            return True
        if re.match(r"rect\(\s*[01](?:px)?[\s,]+[01](?:px)?[\s,]+[01](?:px)?[\s,]+[01](?:px)?\s*\)", get("clip", "")):
            return True
    if re.match(r"inset\(\s*(?:50|100)%|circle\(\s*0", get("clip-path", "")):
        return True
    return any(_is_far_out(get(name, "")) for name in ("text-indent", "margin-left", "margin-top"))


def _inherited(parent: _Style, tag: str, attributes: dict[str, str], styles: Declarations) -> _Style:
    style = parent
    color = _color(styles.get("color", "")) or _color(attributes.get("color", "") if tag != "hr" else "")
    background = _background(attributes, styles)
    if color or background:
        style = replace(style, color=color or style.color, background=background or style.background)
    if "visibility" in styles:
        style = replace(style, invisible=styles["visibility"] in ("hidden", "collapse"))
    size = styles.get("font-size") or _shorthand_size(styles.get("font", ""))
    if size:
        length = _length(size)
        relative = length is not None and length[1] in ("em", "%", "ex", "ch")
        style = replace(style, tiny=_is_nothing(size, 1) or (style.tiny and relative))
    if tag == "pre" or styles.get("white-space", "").startswith("pre"):
        style = replace(style, preformatted=True)
    if _is_quote(tag, attributes):
        style = replace(style, quote_depth=min(style.quote_depth + 1, MAX_QUOTE_DEPTH))
    return style


def _background(attributes: dict[str, str], styles: Declarations) -> Color | None:
    if attributes.get("background") or "url(" in styles.get("background", "") + styles.get("background-image", ""):
        return "image"  # what stands behind the text is not known: it counts as shown
    if "gradient(" in styles.get("background", "") + styles.get("background-image", ""):
        return "image"
    for value in (styles.get("background-color", ""), styles.get("background", ""), attributes.get("bgcolor", "")):
        color = _color(value) or next((c for c in map(_color, value.split()) if c), None)
        if color and color != "transparent":
            return color
    return None


def _shorthand_size(font: str) -> str:
    found = re.search(r"(?:^|\s)([\d.]{1,8}(?:px|pt|em|rem|%)?)(?=[\s/])", font)
    return found.group(1) if found else ""


def _is_quote(tag: str, attributes: dict[str, str]) -> bool:
    """A mail program's quote; a plain <blockquote> is how Gmail and Outlook indent one's own words."""
    if tag != "blockquote":
        return False
    classes = attributes.get("class", "").lower()
    return attributes.get("type", "").lower() == "cite" or "quote" in classes


def _stylesheet(sheets: list[str]) -> dict[str, Declarations]:
    """Rules for single tags, classes, ids and tag.class of `sheets`; at-rules (@media …) are left out, since
    they hold for some screens only."""
    rules: dict[str, Declarations] = {}
    for css in sheets[:20]:
        css = css[:200_000].replace("<!--", "").replace("-->", "")
        for selectors, body in _css_blocks(_without(css, "/*", "*/")):
            for selector in selectors.split(",")[:50]:
                selector = selector.strip().lower()
                is_simple = re.fullmatch(r"[a-z][a-z0-9]{0,20}|[a-z0-9]{0,20}[.#][\w-]{1,100}", selector)
                if is_simple and (len(rules) < MAX_RULES or selector in rules):
                    rules.setdefault(selector, {}).update(_declarations(body))
    return rules


def _css_blocks(css: str) -> Iterator[tuple[str, str]]:
    depth, start, selectors = 0, 0, ""
    for found in re.finditer(r"[{}]", css):
        if found.group() == "{":
            if depth == 0:
                selectors, start = css[start : found.start()].strip(), found.end()
            depth += 1
        elif depth:
            depth -= 1
            if depth == 0:
                yield selectors, css[start : found.start()]
                start = found.end()


def _styles_of(tag: str, attributes: dict[str, str], rules: dict[str, Declarations]) -> Declarations:
    styles: Declarations = {}
    if rules:
        classes = attributes.get("class", "").lower().split()[:20]
        names = [tag, *(f".{name}" for name in classes), *(f"{tag}.{name}" for name in classes)]
        names += [f"#{attributes.get('id', '').lower()}", f"{tag}#{attributes.get('id', '').lower()}"]
        for name in names:
            styles |= rules.get(name, {})
    return styles | _declarations(attributes.get("style", ""))


# ------------------------------------------------------------------------------------------------ text


@dataclass
class _Page:
    """Lines as they are written. A break waits until text follows, so that no block leaves an empty line by itself."""

    lines: list[tuple[int, str]] = field(default_factory=list)
    current: list[str] = field(default_factory=list)
    depth: int = 0
    pending_lines: int = 0
    bullet: str = ""
    link: list[str] | None = None

    def add(self, text: str, style: _Style) -> None:
        text = without_invisible(text)
        if style.preformatted:
            for index, line in enumerate(text.split("\n")):
                if index:
                    self.line_break()
                self._write(line.replace("\t", "    "), style)
        else:
            self._write(re.sub(r"[ \t\n\f]+", " ", text), style)

    def _write(self, text: str, style: _Style) -> None:
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


@dataclass
class _Open:
    """An element being rendered: what to do when it ends."""

    tag: str
    style: _Style
    href: str = ""
    counter: int = 0
    row_started: bool = False


def _render(html: str, rules: dict[str, Declarations], page: _Page) -> None:
    """Walk the tree without recursion: it is as deep as its author likes."""
    node: LexborNode | None = LexborHTMLParser(html).root
    opened: list[_Open] = [_Open("", _Style())]
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


def _enter(node: LexborNode, rules: dict[str, Declarations], opened: list[_Open], page: _Page) -> LexborNode | None:
    """Write what the node itself shows. Its first child, now with an entry in `opened`, or None: go on beside it."""
    tag, parent = (node.tag or "").lower().removeprefix("x-"), opened[-1]
    if tag == "-text":
        if not parent.style.hides_text:
            page.add(node.text_content or "", parent.style)
        return None
    if tag in _SKIPPED or tag.startswith("-"):
        return None
    attributes = {name.lower(): value or "" for name, value in node.attributes.items()}
    styles = _styles_of(tag, attributes, rules)
    if "hidden" in attributes or _hides_subtree(styles):
        return None
    if tag == "br":
        page.line_break()
        return None
    element = _Open(tag, _inherited(parent.style, tag, attributes, styles))
    _begin(element, parent, attributes, page)
    if node.first_child is None:
        _leave(element, page)
        return None
    opened.append(element)
    return node.first_child


def _begin(element: _Open, parent: _Open, attributes: dict[str, str], page: _Page) -> None:
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


def _leave(element: _Open, page: _Page) -> None:
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
