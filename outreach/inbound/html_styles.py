"""What the styles of an HTML mail say of its text: whether a person sees it, and in which quote it stands."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

MAX_QUOTE_DEPTH = 5
MAX_RULES = 500

_NUMBER = re.compile(r"\s*([+-]?(?:\d{1,9}\.?\d{0,9}|\.\d{1,9}))\s*(px|pt|em|rem|ex|ch|vw|vh|in|cm|mm|pc|%)?\s*")
_WHITE_NAMES = {"white": (255, 255, 255), "black": (0, 0, 0)} | dict.fromkeys(
    ("snow", "ivory", "ghostwhite", "whitesmoke", "floralwhite", "azure", "mintcream"), (250, 250, 250)
)
_WHITE = (255, 255, 255)

Color = tuple[int, int, int] | str
Declarations = dict[str, str]


@dataclass(frozen=True)
class Style:
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


def hides_subtree(styles: Declarations) -> bool:
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


def inherited(parent: Style, tag: str, attributes: dict[str, str], styles: Declarations) -> Style:
    """The style of an element within `parent`."""
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


def stylesheet(sheets: list[str]) -> dict[str, Declarations]:
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


def styles_of(tag: str, attributes: dict[str, str], rules: dict[str, Declarations]) -> Declarations:
    """The declarations that hold for an element: the rules' by tag, class and id, then its own."""
    styles: Declarations = {}
    if rules:
        classes = attributes.get("class", "").lower().split()[:20]
        names = [tag, *(f".{name}" for name in classes), *(f"{tag}.{name}" for name in classes)]
        names += [f"#{attributes.get('id', '').lower()}", f"{tag}#{attributes.get('id', '').lower()}"]
        for name in names:
            styles |= rules.get(name, {})
    return styles | _declarations(attributes.get("style", ""))


def _without(css: str, opening: str, closing: str) -> str:
    kept, position = [], 0
    while (start := css.find(opening, position)) >= 0:
        kept.append(css[position:start])
        end = css.find(closing, start + len(opening))
        if end < 0:
            return "".join(kept)
        position = end + len(closing)
    return "".join([*kept, css[position:]])
