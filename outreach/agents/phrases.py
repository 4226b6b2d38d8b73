"""The fixed words of the form agent's mails, in the languages of `wording/`; English for every other."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FILES = Path(__file__).parent / "wording"
FALLBACK = "en"


@dataclass(frozen=True)
class Phrases:
    """The phrases of one language by name, with `{…}` for what is filled in."""

    language: str
    texts: dict[str, Any]

    def say(self, key: str, /, **values: object) -> str:
        """The phrase with the values in it."""
        return str(self.texts[key]).format(**values)

    def listed(self, words: list[str], last: str = "and") -> str:
        """`a, b and c`, or with `or`."""
        return f" {self.texts[last]} ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else ""

    def month(self, number: int) -> str:
        """The name of a month, 1 to 12, as it stands in a date."""
        return str(self.texts["months"][number - 1])


def phrases_in(language: str | None) -> Phrases:
    """The phrases for a language tag (BCP 47), by its first part."""
    primary = (language or FALLBACK).split("-")[0].lower()
    return _read(primary if primary in languages() else FALLBACK)


@cache
def languages() -> frozenset[str]:
    """The languages that there are phrases in."""
    return frozenset(path.stem for path in FILES.glob("*.toml"))


@cache
def _read(language: str) -> Phrases:
    return Phrases(language, tomllib.loads((FILES / f"{language}.toml").read_text(encoding="utf-8")))
