"""Word documents: what a person would read, and which form fields are still empty."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from docx import Document
from docx.document import Document as DocxDocument
from docx.oxml.ns import qn
from lxml import etree

from outreach.reading import archives
from outreach.reading.bounds import Reading

EMPTY = "(empty)"

_BREAKS = {qn("w:tab"): "\t", qn("w:br"): "\n", qn("w:cr"): "\n", qn("w:noBreakHyphen"): "-"}
_ENDS = {qn("w:p"): "\n", qn("w:tc"): "\t", qn("w:tr"): "\n"}
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"  # the same words once more
_OFF = ("0", "false", "off")


def read_docx(content: bytes) -> Reading:
    document = Document(archives.opened(content))
    return Reading("\n\n".join(part for part in map(_text, _parts(document)) if part))


def _parts(document: DocxDocument) -> Iterator[etree._Element]:
    """The body, then each header and footer of its own."""
    yield document.element.body
    for section in list(document.sections)[:20]:
        for part in (section.header, section.footer):
            if not part.is_linked_to_previous:
                yield part._element


def _text(root: etree._Element) -> str:
    """The words below `root` in order; cells of a table stand apart by a tab, rows and paragraphs by a line end.

    Deleted words of tracked changes (w:delText) and hidden ones (w:vanish) are left out.
    """
    page = _Page()
    skipped: etree._Element | None = None
    for event, element in etree.iterwalk(root, events=("start", "end")):
        if skipped is not None:
            skipped = None if event == "end" and element is skipped else skipped
        elif event == "end":
            page.close(element.tag)
        elif element.tag == _FALLBACK or _is_hidden(element):
            skipped = element
        elif _is_placeholder(element):
            page.out.append(EMPTY + _end_of(element))
            skipped = element
        else:
            page.open(element)
    return "".join(page.out).strip()


@dataclass
class _Page:
    out: list[str] = field(default_factory=list)
    form_field_at: int | None = None  # where the text of a Word 97 form field begins

    def open(self, element: etree._Element) -> None:
        parent = element.getparent()
        if element.tag == qn("w:t"):
            self.out.append(element.text or "")
        elif element.tag == qn("w:checkBox"):
            self.out.append(_box(element))
        elif element.tag == qn("w:textInput"):
            self.form_field_at = len(self.out)
        elif element.tag == qn("w:fldChar") and element.get(qn("w:fldCharType")) == "end":
            self._end_form_field()
        elif element.tag in _BREAKS and parent is not None and parent.tag == qn("w:r"):  # not a style's tab stop
            self.out.append(_BREAKS[element.tag])

    def _end_form_field(self) -> None:
        if self.form_field_at is not None and not "".join(self.out[self.form_field_at :]).strip():
            self.out.append(EMPTY)  # what it shows is a row of blanks
        self.form_field_at = None

    def close(self, tag: str) -> None:
        if tag == qn("w:tc"):  # the cell's last paragraph ends with the cell
            while self.out and self.out[-1] == "\n":
                self.out.pop()
        if tag == qn("w:tr") and self.out[-1:] == ["\t"]:
            self.out.pop()
        if tag in _ENDS:
            self.out.append(_ENDS[tag])


def _is_hidden(element: etree._Element) -> bool:
    if element.tag != qn("w:r"):
        return False
    vanish = element.find(f"{qn('w:rPr')}/{qn('w:vanish')}")
    return vanish is not None and vanish.get(qn("w:val")) not in _OFF


def _is_placeholder(element: etree._Element) -> bool:
    """Whether this is what a content control shows ("Click here to enter text") until somebody fills it in."""
    if element.tag != qn("w:sdtContent") or element.getparent() is None:
        return False
    return element.getparent().find(f"{qn('w:sdtPr')}/{qn('w:showingPlcHdr')}") is not None


def _end_of(control: etree._Element) -> str:
    """What ends the words of a content control, which may stand for a few words, paragraphs or a cell."""
    return next((end for tag, end in _ENDS.items() if control.find(tag) is not None), "")


def _box(element: etree._Element) -> str:
    """The box of a Word 97 form, which Word draws by its state."""
    state = element.find(qn("w:checked"))
    state = element.find(qn("w:default")) if state is None else state
    return "[x] " if state is not None and state.get(qn("w:val")) not in _OFF else "[ ] "
