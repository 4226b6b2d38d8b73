"""Whether a text gives a value away in any of the forms in which it could still be read off it."""

import base64
import codecs
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

LEAST_CHARACTERS = 6  # letters and digits of a value that is looked for in other forms than its own
LEAST_LETTERS = 10  # of one without a digit, whose letters can stand together by chance


def bare(text: str) -> str:
    """Letters and digits alone, so that white space, hyphens and invisible characters between them do not matter."""
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", text).casefold())


def holds(text: str, value: str) -> bool:
    """Whether the value stands in the text: as it is, split, reversed, percent-encoded, in base64, hex or ROT13."""
    if _fold(value) in _fold(text):
        return True
    core = bare(value)
    if len(core) < (LEAST_CHARACTERS if re.search(r"\d", core) else LEAST_LETTERS):
        return False
    stripped = bare(text)
    if any(form in stripped for form in (core, core[::-1], codecs.encode(core, "rot13"))):
        return True
    if core in bare(unquote(text)):
        return True
    joined = re.sub(r"\s", "", text)
    return any(form in stripped for form in _hexadecimal(value)) or any(form in joined for form in _base64(value))


def _forms(value: str) -> set[bytes]:
    """The value as it may have been encoded: as written, and in capital or small letters."""
    return {form.encode() for form in (value, value.lower(), value.upper(), value.strip())}


def _hexadecimal(value: str) -> Iterator[str]:
    return (form.hex() for form in _forms(value))


def _base64(value: str) -> Iterator[str]:
    """What stands in any base64 of a text with the value in it: at each of three offsets, without the edges."""
    for form in _forms(value):
        for offset in range(3):
            encoded = base64.b64encode(b"\0" * offset + form).decode()
            whole = 4 * ((offset + len(form)) // 3)  # what follows depends on what stands behind the value
            inner = encoded[(0, 2, 3)[offset] : whole]
            yield from {inner, inner.replace("+", "-").replace("/", "_")}


def _fold(text: str) -> str:
    return " ".join(text.split()).casefold()
