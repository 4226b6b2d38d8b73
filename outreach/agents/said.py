"""Phrases of everyday mail in the major European languages, from `said.toml`: courtesies, evasions, conditions."""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

_PHRASES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def _any(patterns: Iterable[str]) -> str:
    """A pattern for any of them in folded text, in which "ß" is "ss"."""
    return f"(?:{'|'.join(patterns)})".replace("ß", "ss")


GREETING = re.compile(rf"{_any(_PHRASES['greeting'])}\b", re.IGNORECASE)  # at the beginning of a clause
THANKS = re.compile(_any(_PHRASES["thanks"]))  # this and the next two: a whole clause
CLOSING = re.compile(_any(_PHRASES["closing"]))
COURTESY = re.compile("|".join(_any(_PHRASES[kind]) for kind in ("thanks", "pointer", "wish", "closing")))
FOOTER = re.compile(_any(_PHRASES["footer"]))  # somewhere in a paragraph
TITLES = frozenset(_PHRASES["titles"].split())
DOUBTFUL = re.compile(rf"\?|\b{_any(_PHRASES['doubtful'])}\b")  # anywhere in a line
_EVASIVE = re.compile(_any(_PHRASES["evasive"]))


def is_evasive(text: str) -> bool:
    """Whether there is no value in the text: nothing but signs, "see attachment", "I don't know", "tbd"."""
    words = re.sub(r"^[\W_]+|[\W_]+$", "", " ".join(text.split()).casefold())
    return not words or _EVASIVE.fullmatch(words) is not None
