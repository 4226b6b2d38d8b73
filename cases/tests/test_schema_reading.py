from typing import Any

import pytest

from cases.schema_reading import in_words, target

ROOT: Any = {"$defs": {"a/b": {"type": "string"}, "m~n": [{"x": 1}, {"y": 2}]}, "type": "object"}


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("#", ROOT),
        ("#/$defs/a~1b", {"type": "string"}),
        ("#/$defs/m~0n/1", {"y": 2}),
        ("#/$defs/m~0n/2", None),
        ("#/$defs/nowhere/at/all", None),
        ("#anchor", None),
        ("other.json#/$defs/a~1b", None),
        (7, None),
    ],
)
def test_a_reference_within_the_document_is_followed(reference: Any, found: Any) -> None:
    assert target(ROOT, reference) == found


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("invoiceNumber", "Invoice number"),
        ("VAT_id", "VAT id"),
        ("due-on.date", "Due on date"),
        ("Straße", "Straße"),
        ("__", ""),
    ],
)
def test_names_are_written_in_words(name: str, words: str) -> None:
    assert in_words(name) == words
