"""How many mails go out within an hour, of one client and to one address."""

from datetime import timedelta
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries, Settings

from cases import work
from cases.factories import CaseFactory, ClientFactory, reschedule
from cases.models import Case, Event, Message, MessageStatus, Status
from cases.testing import run_due
from outreach import limits
from outreach.tests.memory import Outbox

pytestmark = [pytest.mark.django_db, pytest.mark.engine]


def case_to(address: str, **fields: Any) -> Case:
    case: Case = CaseFactory(transport="memory", counterparty={"address": address, "name": "Ann"}, **fields)
    return case


def sent_to_ann(outbox: Outbox) -> set[str]:
    return {mail.case_id for mail in outbox.sent if mail.to_address == "ann@supplier.example"}


def in_turn(address: str) -> list[str]:
    """The cases whose mails to the address were queued, in that order."""
    mails = Message.objects.filter(to_address=address).order_by("created_at")
    return [str(case_id) for case_id in mails.values_list("case_id", flat=True)]


def an_hour_passes() -> None:
    """For all sends so far, and for all that waits."""
    hour = timedelta(hours=1, seconds=1)
    for message in Message.objects.all():
        begun = message.send_started_at
        Message.objects.filter(pk=message.pk).update(send_started_at=begun and begun - hour)
    for case in Case.objects.all():
        Case.objects.filter(pk=case.pk).update(retry_at=case.retry_at and case.retry_at - hour)
        reschedule(case)
    run_due()


def test_many_cases_to_one_address_do_not_flood_it(outbox: Outbox, settings: Settings) -> None:
    settings.OFFLOAD_MAX_MAILS_PER_RECIPIENT_HOUR = 3
    for _ in range(8):
        case_to("ann@supplier.example", client=ClientFactory())
    case_to("carl@other.example")
    run_due()
    cases = in_turn("ann@supplier.example")
    assert [mail.to_address for mail in outbox.sent].count("carl@other.example") == 1
    assert sent_to_ann(outbox) == set(cases[:3])
    waiting = Message.objects.filter(status=MessageStatus.QUEUED)
    assert {message.waits_for for message in waiting} == {"recipient"}
    assert {case.status for case in Case.objects.filter(messages__in=waiting)} == {Status.CREATED}
    assert Event.objects.filter(type="message.waits").count() == 5
    an_hour_passes()
    assert sent_to_ann(outbox) == set(cases[:6])
    an_hour_passes()
    assert sent_to_ann(outbox) == set(cases)
    assert Event.objects.filter(type="message.waits").count() == 5


def test_a_client_sends_so_many_and_others_all_the_same(outbox: Outbox, settings: Settings) -> None:
    settings.OFFLOAD_MAX_MAILS_PER_CLIENT_HOUR = 2
    busy, quiet = ClientFactory(), ClientFactory()
    for number in range(4):
        case_to(f"ann{number}@supplier.example", client=busy)
    run_due()
    case_to("carl@other.example", client=quiet)
    run_due()
    assert [mail.to_address for mail in outbox.sent] == [
        "ann0@supplier.example",
        "ann1@supplier.example",
        "carl@other.example",
    ]


def test_a_client_may_have_a_limit_of_its_own_for_a_day(outbox: Outbox, settings: Settings) -> None:
    settings.OFFLOAD_MAX_MAILS_PER_CLIENT_DAY = 1
    free, held, more = ClientFactory(daily_send_limit=0), ClientFactory(), ClientFactory(daily_send_limit=2)
    for number in range(3):
        for client in (free, held, more):
            case_to(f"{client.pk.hex[:8]}.{number}@supplier.example", client=client)
    run_due()
    senders = [mail.to_address.partition(".")[0] for mail in outbox.sent]
    assert [senders.count(client.pk.hex[:8]) for client in (free, held, more)] == [3, 1, 2]
    waiting = Message.objects.filter(status=MessageStatus.QUEUED)
    assert {message.waits_for for message in waiting} == {"client_day"}
    an_hour_passes()
    assert len(outbox.sent) == 6
    turn = Case.objects.filter(messages__in=waiting, client=more).get().retry_at
    assert turn is not None
    assert timedelta(hours=21) < turn - work.now() < timedelta(hours=24)


def test_mails_that_wait_for_one_address_do_not_hold_up_the_clients_others(outbox: Outbox, settings: Settings) -> None:
    settings.OFFLOAD_MAX_MAILS_PER_RECIPIENT_HOUR, settings.OFFLOAD_MAX_MAILS_PER_CLIENT_HOUR = 1, 3
    client = ClientFactory()
    for _ in range(5):
        case_to("ann@supplier.example", client=client)
    run_due()
    case_to("carl@other.example", client=client)
    run_due()
    assert [mail.to_address for mail in outbox.sent] == ["ann@supplier.example", "carl@other.example"]


def test_those_that_wait_come_up_one_by_one(outbox: Outbox, settings: Settings) -> None:
    settings.OFFLOAD_MAX_MAILS_PER_RECIPIENT_HOUR = 2
    for _ in range(6):
        case_to("ann@supplier.example")
    run_due()
    waiting = [Case.objects.get(pk=case) for case in in_turn("ann@supplier.example")[2:]]
    assert [round((case.due_at - case.created_at) / timedelta(hours=1)) for case in waiting if case.due_at] == [
        1,
        1,
        2,
        2,
    ]


def test_nothing_is_limited_where_the_limit_is_0_nor_in_the_sandbox(outbox: Outbox, settings: Settings) -> None:
    settings.OFFLOAD_MAX_MAILS_PER_RECIPIENT_HOUR = 0
    for _ in range(5):
        case_to("ann@supplier.example")
    settings.OFFLOAD_MAX_MAILS_PER_CLIENT_HOUR = 0
    run_due()
    assert len(outbox.sent) == 5
    settings.OFFLOAD_MAX_MAILS_PER_RECIPIENT_HOUR = settings.OFFLOAD_MAX_MAILS_PER_CLIENT_HOUR = 1
    client = ClientFactory()
    for _ in range(3):
        CaseFactory(client=client)
    run_due()
    assert Case.objects.filter(client=client, status=Status.RUNNING).count() == 3


def test_a_send_that_has_begun_is_repeated_without_waiting(outbox: Outbox, settings: Settings) -> None:
    settings.OFFLOAD_MAX_MAILS_PER_RECIPIENT_HOUR = 1
    case_to("ann@supplier.example")
    run_due()
    again = Message.objects.get(status=MessageStatus.SENT)
    again.status = MessageStatus.QUEUED
    assert limits.wait(Case.objects.locked(again.case_id), again) is None


def test_a_wait_is_told_by_four_queries(outbox: Outbox, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    case = Case.objects.locked(case_to("ann@supplier.example").pk)
    message = Message(case=case, created_at=work.now(), status=MessageStatus.QUEUED)
    with django_assert_num_queries(4):
        assert limits.wait(case, message) is None
