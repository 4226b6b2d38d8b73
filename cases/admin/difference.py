"""What somebody has changed in a text, word by word."""

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

MAX_WORDS = 4000  # of both texts together; more are compared line by line


@dataclass(frozen=True)
class Piece:
    """A stretch of text that is `kept`, was `taken` out, or `added`."""

    kind: str
    text: str


def between(before: str, after: str) -> list[Piece]:
    """The pieces of which both texts are made, in their order: without `added` they are `before`, without `taken`
    `after`."""
    old, new = _words(before), _words(after)
    if len(old) + len(new) > MAX_WORDS:
        old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    pieces = []
    for _, start, end, new_start, new_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        taken, added = "".join(old[start:end]), "".join(new[new_start:new_end])
        if taken == added:
            pieces.append(Piece("kept", taken))
        else:
            pieces += [Piece("taken", taken)] if taken else []
            pieces += [Piece("added", added)] if added else []
    return pieces


def _words(text: str) -> list[str]:
    return re.findall(r"\s+|[^\s]+", text)
