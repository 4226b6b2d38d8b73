"""Rows that are saved by statements which are kept are stored as Django stores them."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import F
from django.forms.models import model_to_dict
from pytest_django import DjangoAssertNumQueries

from cases.factories import CaseFactory, MessageFactory
from cases.models import Case, Event, Message

pytestmark = pytest.mark.django_db


def stored(row: Any) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def test_all_that_is_saved_comes_back(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    case = CaseFactory(metadata={"zeta": [1, None, "ä"], "alpha": {}}, result_schema=None)
    assert stored(Case.objects.get(pk=case.pk)) == stored(case)
    case.goal, case.metadata, case.thread_id = {"objective": "Ask again"}, None, "thread-1"
    case.next_action_at, case.deadline_at = case.created_at + timedelta(days=1), None
    case.version += 1
    with django_assert_num_queries(1):
        case.save()
    assert stored(Case.objects.get(pk=case.pk)) == stored(case)
    assert list(Case.objects.filter(metadata__isnull=True)) == [case]


def test_only_named_fields_are_saved() -> None:
    case = CaseFactory()
    case.thread_id, case.our_address = "thread-1", "other@example.com"
    case.save(update_fields=["thread_id"])
    found = Case.objects.get(pk=case.pk)
    assert (found.thread_id, found.our_address == "other@example.com") == ("thread-1", False)


def test_a_row_that_gets_its_key_from_the_database_has_it() -> None:
    case = CaseFactory()
    first, second = (Event.objects.create(case=case, type="note", actor="me", at=case.created_at) for _ in range(2))
    assert second.pk > first.pk
    assert model_to_dict(Event.objects.get(pk=second.pk)) == model_to_dict(second)


def test_expressions_are_left_to_django() -> None:
    case = CaseFactory()
    case.model_calls = F("model_calls") + 2
    case.save(update_fields=["model_calls"])
    assert Case.objects.get(pk=case.pk).model_calls == 2


def test_a_row_that_is_gone_is_not_saved_in_silence() -> None:
    case = CaseFactory()
    Case.objects.filter(pk=case.pk).delete()
    with pytest.raises(DatabaseError), transaction.atomic():
        case.save(update_fields=["thread_id"])
    assert not Case.objects.exists()


def test_what_the_database_refuses_is_raised() -> None:
    message = MessageFactory()
    with pytest.raises(IntegrityError):
        Message.objects.create(
            pk=message.pk, case=message.case, direction="IN", status="RECEIVED", created_at=message.created_at
        )
