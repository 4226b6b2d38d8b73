"""What must not stand in a mail, whoever wrote it. Looks; the caller asks a human."""

import re
from collections.abc import Iterator
from typing import Any

from cases.models import Case

SHORTEST_SECRET = 6  # shorter metadata values ("EUR", "42") occur by chance
_KEYS = re.compile(r"offload_(?:live|test)_[\w-]{20,}|whsec_[\w+/=-]{16,}|\b(?:sk|am)[-_][\w-]{20,}")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


def leaks(case: Case, text: str) -> list[str]:
    """What the text gives away, named without repeating it; empty if nothing.

    Looks for values of the case's metadata (unless the goal, the counterparty or a person said them too), for anything
    shaped like a key, and for the ids of other cases.
    """
    return [*_keys(text), *_metadata(case, text), *_other_cases(case, text)]


def _keys(text: str) -> Iterator[str]:
    if _KEYS.search(text):
        yield "something that looks like a secret key"


def _metadata(case: Case, text: str) -> Iterator[str]:
    said_by_client = [case.goal, case.counterparty, case.sender_persona, case.constraints or []]
    said_by_them = case.messages.filter(direction="IN").values_list("text", flat=True)
    allowed = "\n".join(map(_fold, (*_strings(said_by_client), *said_by_them)))  # a folded text holds no line break
    folded = _fold(text)
    for path, value in _named_strings(case.metadata or {}, "metadata"):
        if len(value) >= SHORTEST_SECRET and _fold(value) in folded and _fold(value) not in allowed:
            yield f"the value of {path}"


def _other_cases(case: Case, text: str) -> Iterator[str]:
    ids = {found.lower() for found in _UUID.findall(text)} - {str(case.pk)}
    if ids and Case.objects.filter(pk__in=ids).exists():
        yield "the id of another case"


def _strings(value: Any) -> Iterator[str]:
    return (text for _, text in _named_strings(value, ""))


def _named_strings(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _named_strings(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _named_strings(item, f"{path}[{index}]")
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield path, str(value)


def _fold(text: str) -> str:
    return " ".join(text.split()).casefold()
