"""Queries that are compiled once give what Django's own give."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.db.models.functions import Coalesce, Now
from pytest_django import DjangoAssertNumQueries

from cases.factories import ApiKeyFactory, CaseFactory, MessageFactory
from cases.models import ApiKey, Message
from cases.prepared import Prepared

pytestmark = pytest.mark.django_db


def test_rows_joined_rows_and_annotations_come_in_one_statement(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    first, second = (ApiKeyFactory(client__name=name, scopes=["cases"]) for name in ("First", "Second"))
    keys = ApiKey.objects.select_related("client").annotate(its_name=F("client__name"), at=Now())
    by_hash: Prepared[Any] = Prepared(keys, "key_hash", "nobody")
    for key in (first, second, first):
        with django_assert_num_queries(1):
            [found] = by_hash(key.key_hash)
            assert (found, found.client, found.its_name) == (key, key.client, key.client.name)
            assert (found.scopes, found.created_at, found.at.tzinfo) == (
                ["cases"],
                key.created_at,
                key.created_at.tzinfo,
            )
    assert by_hash("unknown") == []


def test_order_and_deferred_columns_are_kept(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    case, other = CaseFactory(), CaseFactory()
    messages = [MessageFactory(case=case, text=f"{number}") for number in range(3)]
    for number, message in enumerate(messages):
        Message.objects.filter(pk=message.pk).update(created_at=case.created_at - timedelta(days=number))
    MessageFactory(case=other)
    rows = (
        Message.objects.annotate(moment=Coalesce("sent_at", "created_at")).defer("html", "text").order_by("created_at")
    )
    by_case = Prepared(rows, "case", case.client_id)
    found = by_case(case.pk)
    assert found == messages[::-1] == list(rows.filter(case=case))
    assert [message.get_deferred_fields() for message in found] == 3 * [{"html", "text"}]
    with django_assert_num_queries(1):
        assert found[0].text == "2"


def test_it_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    compile_ = Prepared._compile

    def counted(self: Prepared[Any], connection: Any) -> Any:
        compiled.append(connection.vendor)
        return compile_(self, connection)

    monkeypatch.setattr(Prepared, "_compile", counted)
    case = CaseFactory()
    by_case = Prepared(Message.objects.order_by(), "case", case.client_id)
    for count in range(3):
        assert len(by_case(case.pk)) == count
        MessageFactory(case=case, status="SENT")
    assert len(compiled) == 1
