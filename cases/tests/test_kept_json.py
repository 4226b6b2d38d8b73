import pytest

from cases.factories import CaseFactory
from cases.models import Case

pytestmark = [pytest.mark.django_db, pytest.mark.engine]


def test_keys_keep_the_order_in_which_they_were_sent() -> None:
    properties = {"zeta": {"type": "string"}, "alpha": {"type": "number"}, "mu": {"type": "boolean"}}
    case = CaseFactory(result_schema={"type": "object", "properties": properties}, metadata=None, result="a \\ text")
    stored = Case.objects.get(pk=case.pk)
    assert stored.result_schema is not None
    assert list(stored.result_schema["properties"]) == ["zeta", "alpha", "mu"]
    assert (stored.metadata, stored.result) == (None, "a \\ text")


def test_a_value_inside_can_still_be_looked_up() -> None:
    case = CaseFactory(counterparty={"address": "ann@supplier.example", "name": "Ann Supplier"})
    CaseFactory(counterparty={"address": "bob@supplier.example", "name": "Bob"})
    assert list(Case.objects.filter(counterparty__name__icontains="supplier")) == [case]
