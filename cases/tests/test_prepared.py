"""Queries that are compiled once give what Django's own give."""

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce, Now
from django.db.transaction import TransactionManagementError
from pytest_django import DjangoAssertNumQueries

from cases.factories import ApiKeyFactory, CaseFactory, MessageFactory
from cases.models import ApiKey, Case, Message
from cases.prepared import LONGEST, Change, Prepared, PreparedUpdate

pytestmark = pytest.mark.django_db


def test_rows_joined_rows_and_annotations_come_in_one_statement(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    first, second = (ApiKeyFactory(client__name=name, scopes=["cases"]) for name in ("First", "Second"))
    keys: Any = ApiKey.objects.select_related("client").annotate(its_name=F("client__name"), at=Now())
    by_hash: Prepared[[str], Any] = Prepared(lambda digest: keys.filter(key_hash=digest))
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
    assert by_hash.first("unknown") is None


def test_order_and_deferred_columns_are_kept(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    case, other = CaseFactory(), CaseFactory()
    messages = [MessageFactory(case=case, text=f"{number}") for number in range(3)]
    for number, message in enumerate(messages):
        Message.objects.filter(pk=message.pk).update(created_at=case.created_at - timedelta(days=number))
    MessageFactory(case=other)
    rows = (
        Message.objects.annotate(moment=Coalesce("sent_at", "created_at")).defer("html", "text").order_by("created_at")
    )

    @Prepared
    def by_case(case: uuid.UUID) -> QuerySet[Any]:
        return rows.filter(case=case)

    found = by_case(case.pk)
    assert found == messages[::-1] == list(rows.filter(case=case))
    assert [message.get_deferred_fields() for message in found] == 3 * [{"html", "text"}]
    with django_assert_num_queries(1):
        assert found[0].text == "2"


def test_it_is_compiled_once() -> None:
    asked = []

    @Prepared
    def by_case(case: uuid.UUID) -> QuerySet[Message]:
        asked.append(case)
        return Message.objects.filter(case=case)

    case = CaseFactory()
    for count in range(3):
        assert len(by_case(case.pk)) == count
        MessageFactory(case=case, status="SENT")
    assert len(asked) == 1
    assert asked != [case.pk]


def test_rows_refer_to_the_instance_that_they_were_asked_by(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    @Prepared
    def mail_of(case: Case) -> QuerySet[Message]:
        return case.messages.all()

    for case in (CaseFactory(), CaseFactory()):
        message = MessageFactory(case=case)
        with django_assert_num_queries(1):
            [found] = mail_of(case)
            assert found == message
            assert found.case is case


def test_lists_times_and_slices_are_values_too() -> None:
    case = CaseFactory()
    messages = [MessageFactory(case=case, subject=f"{number}", status="SENT") for number in range(10)]
    for number, message in enumerate(messages):
        Message.objects.filter(pk=message.pk).update(created_at=case.created_at + timedelta(days=number))

    @Prepared
    def subjects(cases: list[uuid.UUID], words: list[str], since: datetime) -> QuerySet[Message, Any]:
        rows = Message.objects.filter(case__in=cases, subject__in=words, created_at__gte=since)
        return rows.order_by("-created_at").values_list("subject", "created_at")[:2]

    day = timedelta(days=1)
    assert subjects([case.pk], ["0", "1", "2"], case.created_at) == [
        ("2", case.created_at + 2 * day),
        ("1", case.created_at + day),
    ]
    assert subjects([uuid.uuid4(), case.pk], ["0", "7", "2"], case.created_at + 3 * day) == [
        ("7", case.created_at + 7 * day)
    ]
    assert subjects([case.pk], [], case.created_at) == []
    for count in (9, 10, LONGEST, LONGEST + 1):
        words = [f"{number}" for number in range(count)]
        assert [word for word, _ in subjects([case.pk], words, case.created_at)] == words[:10][:-3:-1]


def lowered(word: str) -> QuerySet[Message]:
    return Message.objects.filter(subject=word.lower())


def contained(word: str) -> QuerySet[Message]:
    return Message.objects.filter(subject=word, text__contains=word)


def left_out(word: str) -> QuerySet[Message]:
    return Message.objects.all()


@pytest.mark.parametrize("query", [lowered, contained, left_out])
def test_a_value_is_used_as_it_is_or_the_query_can_not_be_asked(query: Callable[[str], QuerySet[Message]]) -> None:
    with pytest.raises(ValueError, match="value 1 is not looked up as it is"):
        Prepared(query)("word")


@pytest.mark.parametrize(
    "rows", [Message.objects.values("subject"), Message.objects.prefetch_related("attachments")], ids=["dicts", "more"]
)
def test_what_can_not_be_had_is_refused(rows: QuerySet[Any, Any]) -> None:
    with pytest.raises(ValueError, match="only rows"):
        Prepared(lambda: rows)()


def test_of_an_instance_no_more_than_its_key_can_be_used() -> None:
    by_client: Prepared[[Case], Any] = Prepared(lambda case: Case.objects.filter(client=case.client_id))
    with pytest.raises(Case.DoesNotExist):
        by_client(CaseFactory())


@pytest.mark.django_db(transaction=True)
def test_rows_are_not_locked_outside_of_a_transaction() -> None:
    case = CaseFactory()
    rows = Case.objects.select_for_update()
    locked: Prepared[[uuid.UUID], Any] = Prepared(lambda pk: rows.filter(pk=pk))
    with transaction.atomic():
        assert locked(case.pk) == [case]
    if connection.features.has_select_for_update:
        with pytest.raises(TransactionManagementError):
            locked(case.pk)
    else:
        assert locked(case.pk) == [case]


def test_changes_are_prepared_too(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    @PreparedUpdate
    def answer(case: Case, by: Message, at: datetime) -> Change:
        return case.messages.filter(direction="IN", read_at__isnull=True), {"read_at": at, "answered_by": by}

    case, other = CaseFactory(), CaseFactory()
    asked = [MessageFactory(case=one, direction="IN") for one in (case, case, other)]
    reply = MessageFactory(case=case, status="SENT")
    with django_assert_num_queries(1):
        assert answer(case, reply, case.created_at) == 2
    assert answer(case, reply, case.created_at + timedelta(days=1)) == 0
    rows = Message.objects.filter(direction="IN").values_list("pk", "read_at", "answered_by")
    assert set(rows) == {
        (asked[0].pk, case.created_at, reply.pk),
        (asked[1].pk, case.created_at, reply.pk),
        (asked[2].pk, None, None),
    }
