"""Whether a result may be believed: every value has a source, and the source really says so. For every agent."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from cases import result_schema
from outreach.agents import spelling
from outreach.agents.base import CaseView, Source

SHORTEST_IN_GROUPS = 8  # characters: in a shorter value, groups may be words of their own


def errors(case: CaseView, result: Any, sources: tuple[Source, ...]) -> list[str]:
    """What speaks against completing with this result: schema violations first, then values without evidence."""
    found = result_schema.errors(case.result_schema, result)
    violations = [f"{error['path'] or 'result'}: {error['message']}" for error in found]
    return violations or list(_unsourced(case, result, sources))


def _unsourced(case: CaseView, result: Any, sources: tuple[Source, ...]) -> Iterator[str]:
    texts = source_texts(case)
    by_path: dict[str, list[Source]] = {}
    for source in sources:
        by_path.setdefault(source.path, []).append(source)
    for path, value in leaves(result):
        if value is None or value == "":
            continue  # says that there is nothing; nothing needs a source
        candidates = by_path.get(path, [])
        if not candidates:
            yield f"{path or 'result'}: no source is given"
        elif not any(_proves(source, value, texts, _is_choice(case.result_schema, path)) for source in candidates):
            yield f"{path or 'result'}: the quoted source does not say {json.dumps(value, ensure_ascii=False)}"


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every scalar of a JSON value with its JSON Pointer (RFC 6901)."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}/{index}")
    else:
        yield path, value


def source_texts(case: CaseView) -> dict[str, str]:
    """What can be quoted, by id: mail and files from the other side, our humans' answers, the goal; not our mail."""
    texts = {mail.id: mail.text for mail in case.from_counterparty}
    texts |= {file.id: file.text for mail in case.from_counterparty for file in mail.files}
    texts |= {answer.id: answer.text for answer in case.answers}
    texts["goal"] = json.dumps(case.goal, ensure_ascii=False)
    return texts


def _proves(source: Source, value: Any, texts: dict[str, str], is_choice: bool) -> bool:
    quote = fold(source.quote)
    if not quote or quote not in fold(texts.get(source.source_id, "")):
        return False
    if isinstance(value, bool) or is_choice:
        return True  # "we can't make it" is a no: the choice need not occur, but what was said can be looked at
    if isinstance(value, int | float):
        return Decimal(str(value)) in spelling.numbers(source.quote)
    return fold(value) in quote or _is_date_in(value, source.quote) or _is_spaced_in(value, quote)


def _is_date_in(value: str, quote: str) -> bool:
    return bool(re.fullmatch(r"\d{4}-\d\d-\d\d", value)) and bool(spelling.dates(value) & spelling.dates(quote))


def _is_spaced_in(value: str, quote: str) -> bool:
    """Whether the quote has the value in groups, as people write an IBAN: `DE89 3704 0044 0532 0130 00`."""
    if len(value) < SHORTEST_IN_GROUPS or re.search(r"\s", value):
        return False
    return bool(re.search(rf"(?<!\w){r' ?'.join(map(re.escape, fold(value)))}(?!\w)", quote))


def _is_choice(schema: Any, path: str) -> bool:
    """Whether the schema lists the values that may stand at the path (`enum` or `const`)."""
    for step in path.split("/")[1:]:
        if not isinstance(schema, dict):
            return False
        key = step.replace("~1", "/").replace("~0", "~")
        is_item = step.isdecimal() and "items" in schema
        schema = schema["items"] if is_item else schema.get("properties", {}).get(key)
    return isinstance(schema, dict) and ("enum" in schema or "const" in schema)


def fold(text: str) -> str:
    """The text without differences that do not matter: white space and case."""
    return " ".join(text.split()).casefold()
