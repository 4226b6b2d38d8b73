"""What must not stand in a mail."""

from typing import Any

import pytest

from cases.factories import ApiKeyFactory, CaseFactory, MessageFactory
from cases.models import Direction
from outreach.agents.guard import leaks

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("metadata", "text", "found"),
    [
        ({"a": "secret-margin"}, "Our SECRET-margin.", ["the value of metadata.a"]),
        ({"a": "secret margin"}, "Our secret\n  margin.", ["the value of metadata.a"]),
        ({"a": {"b": ["x", "tenant-north"]}}, "For tenant-north:", ["the value of metadata.a.b[1]"]),
        ({"a": 1234567}, "No. 1234567", ["the value of metadata.a"]),
        ({"a": 12345.75}, "12345.75", ["the value of metadata.a"]),
        ({"a": "EUR"}, "5 EUR", []),
        ({"a": True, "b": None, "c": []}, "True", []),
        ({"secret-name": "x"}, "secret-name", []),
        ({"a": "secret-margin"}, "Nothing.", []),
        (None, "Nothing.", []),
    ],
)
def test_metadata(metadata: Any, text: str, found: list[str]) -> None:
    assert leaks(CaseFactory(metadata=metadata), text) == found


def test_what_the_client_or_the_counterparty_said_anyway_may_be_said() -> None:
    case = CaseFactory(
        metadata={"order": "order 4711", "company": "Supplier Ltd", "said": "blue-chairs", "mine": "only-ours"},
        goal={"objective": "Ask for Order 4711."},
        counterparty={"address": "ann@supplier.example", "name": "Ann", "company": "Supplier Ltd"},
    )
    MessageFactory(case=case, direction=Direction.IN, text="About the blue-chairs")
    MessageFactory(case=case, text="only-ours")
    text = "Supplier Ltd, order 4711: blue-chairs, only-ours"
    assert leaks(case, text) == ["the value of metadata.mine"]


def test_neighbouring_texts_do_not_allow_what_they_only_make_together() -> None:
    case = CaseFactory(metadata={"a": "march. ann@", "b": "buyer what"}, goal={"objective": "Invoice of March."})
    MessageFactory(case=case, direction=Direction.IN, text="What?")
    assert leaks(case, "march. ann@") == ["the value of metadata.a"]
    assert leaks(case, "Buyer what") == ["the value of metadata.b"]


def test_keys() -> None:
    found = ["something that looks like a secret key"]
    case = CaseFactory()
    assert leaks(case, f"Use {ApiKeyFactory().key}.") == found
    assert leaks(case, f"Use {ApiKeyFactory(is_test=True).key}.") == found
    assert leaks(case, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") == found
    assert leaks(case, "sk-proj-abcdefghijklmnopqrstuvwxyz") == found
    assert leaks(case, "offload_test_ is how keys begin; I am-not one, nor is task-manager.") == []


def test_other_cases() -> None:
    case, other = CaseFactory(), CaseFactory()
    assert leaks(case, f"As in {str(other.pk).upper()}") == ["the id of another case"]
    assert leaks(case, f"As in {case.pk}, or 00000000-0000-4000-8000-000000000000") == []


def test_the_leak_is_not_repeated() -> None:
    case = CaseFactory(metadata={"a": "secret-margin"})
    assert "secret-margin" not in " ".join(leaks(case, "secret-margin"))
