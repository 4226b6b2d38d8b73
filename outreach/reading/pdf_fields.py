"""The form fields of a PDF (ISO 32000-1 §12.7): names, values, and above all which of them are empty.

Not pypdf's get_fields: that one gives up on the whole form for one button without an appearance.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pypdf import PdfReader
from pypdf.generic import ArrayObject, DictionaryObject, StreamObject

EMPTY = "(empty)"
MAX_FIELDS = 1000
MAX_NODES = 20_000
MAX_VALUE_CHARS = 2000

_PUSH_BUTTON, _RADIO, _PASSWORD = 1 << 16, 1 << 15, 1 << 13  # field flags, tables 226 and 228


@dataclass(frozen=True)
class FormField:
    name: str
    value: str  # in words; EMPTY where nothing was filled in
    is_filled: bool


def is_xfa(reader: PdfReader) -> bool:
    """Whether the form is one of Adobe's XML forms, which the pages and fields of the PDF may not show in full."""
    form = _dictionary(reader.root_object.get("/AcroForm"))
    return form is not None and "/XFA" in form


def form_fields(reader: PdfReader) -> Iterator[FormField]:
    """Every field that takes an answer, in the order of the form. Names are joined by dots as §12.7.3.2 has it."""
    form = _dictionary(reader.root_object.get("/AcroForm"))
    fields = _array(form.get("/Fields")) if form is not None else ArrayObject()
    stack: list[tuple[Any, str, dict[str, Any]]] = [(child, "", {}) for child in reversed(fields)]
    seen: set[int] = set()
    while stack and len(seen) < MAX_NODES:
        reference, above, inherited = stack.pop()
        node = _dictionary(reference)
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        name = ".".join(filter(None, (above, _words(node.get("/T")))))
        own = inherited | {key: node[key] for key in ("/FT", "/V", "/Ff", "/TU") if key in node}
        children = _array(node.get("/Kids"))
        named = [child for child in children if "/T" in (_dictionary(child) or {})]
        if named:
            stack += [(child, name, own) for child in reversed(named)]
        elif found := _field(name, own, [node, *children]):
            yield found


def described(fields: Iterator[FormField]) -> str:
    """The form in words, "" where there is none."""
    found = list(islice(fields, MAX_FIELDS))
    if not found:
        return ""
    filled = sum(field.is_filled for field in found)
    count = "none of them filled in" if not filled else f"{filled} of them filled in"
    lines = [f"{field.name} = {field.value}" for field in found]
    more = ["There are more fields."] if next(fields, None) else []
    return "\n".join([f"Form fields ({len(found)}, {count}):", *lines, *more])


def _field(name: str, attributes: dict[str, Any], widgets: list[Any]) -> FormField | None:
    kind, flags = attributes.get("/FT"), attributes.get("/Ff", 0)
    flags = flags if isinstance(flags, int) else 0
    label = _words(attributes.get("/TU"))
    name = f"{name} ({label})" if label and label != name else name or "(no name)"
    value = attributes.get("/V")
    value = value.get_object() if value is not None else None
    if kind == "/Sig":
        signed = _dictionary(value) is not None
        return FormField(name, "signed digitally (not verified)" if signed else f"{EMPTY}, not signed", signed)
    if kind == "/Btn":
        return None if flags & _PUSH_BUTTON else _button(name, value, widgets, is_radio=bool(flags & _RADIO))
    words = _words(value)
    if words and kind == "/Tx" and flags & _PASSWORD:
        words = "(hidden)"
    return FormField(name, words or EMPTY, bool(words))


def _button(name: str, value: Any, widgets: list[Any], *, is_radio: bool) -> FormField:
    """A check box or a group of radio buttons; some programs set only the appearance of its widgets (/AS)."""
    states = [value, *(widget.get("/AS") for widget in map(_dictionary, widgets) if widget is not None)]
    chosen = next((_words(state) for state in states if _words(state) not in ("", "/Off")), "")
    if not chosen:
        return FormField(name, f"{EMPTY}, nothing chosen" if is_radio else f"{EMPTY}, not ticked", is_filled=False)
    return FormField(name, f"{chosen.removeprefix('/')} (chosen)" if is_radio else "ticked", is_filled=True)


def _words(value: Any) -> str:
    """A value on one line; several choices with commas between."""
    value = value.get_object() if value is not None else None
    if isinstance(value, StreamObject):
        value = value.get_data().decode("utf-8", "replace")
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, list):
        return ", ".join(filter(None, map(_words, value[:50])))
    return " ".join(str(value).split())[:MAX_VALUE_CHARS] if isinstance(value, str | int | float) else ""


def _dictionary(value: Any) -> DictionaryObject | None:
    value = value.get_object() if value is not None and hasattr(value, "get_object") else value
    return value if isinstance(value, DictionaryObject) else None


def _array(value: Any) -> ArrayObject:
    value = value.get_object() if value is not None else None
    return value if isinstance(value, ArrayObject) else ArrayObject()
