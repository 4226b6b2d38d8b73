"""Many deliveries read and recorded at once: each as it would be alone."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cases import work
from cases.factories import CaseFactory
from cases.models import Case, Status
from webhooks import batches, sender, signing
from webhooks.models import Attempt, Delivery, DeliveryState, Endpoint
from webhooks.tests.test_listeners import ask, fail

pytestmark = [pytest.mark.django_db, pytest.mark.engine]


def running(**fields: Any) -> Case:
    return CaseFactory(status=Status.RUNNING, **{"client_webhook_url": "https://hooks.example/a", **fields})


def arrived(*deliveries: Delivery) -> list[batches.Success]:
    letters = batches._read_all([delivery.pk for delivery in deliveries])
    return [batches.Success(letter, sender.Outcome(204, 7, body=b"ta")) for letter in letters]


def test_letters_come_in_the_order_asked_for_with_the_secrets_in_use() -> None:
    fail(case := running())
    fail(running(client_webhook_url="https://other.example/"))
    old = signing.secrets_for(case.client)
    new = signing.rotate(case.client)
    case.client.signing_secrets.create(encrypted="retired", created_at=work.now(), retires_at=work.now())
    one, other = Delivery.objects.order_by("-created_at")
    letters = batches._read_all([one.pk, other.pk])
    assert [letter.pk for letter in letters] == [one.pk, other.pk]
    [letter] = [letter for letter in letters if letter.case_id == case.pk]
    delivery = Delivery.objects.get(case=case)
    assert (letter.event_id, letter.url, letter.body) == (delivery.event_id, delivery.url, bytes(delivery.body))
    assert signing.secrets_of(letter.client_id, letter.encrypted_secrets) == [new, *old]
    [without] = [letter for letter in letters if letter.case_id != case.pk]
    assert without.encrypted_secrets == []
    assert signing.secrets_of(without.client_id, []) == signing.secrets_for(Delivery.objects.get(pk=without.pk).client)


def test_a_letter_says_whether_its_endpoint_is_well() -> None:
    fail(running())
    [delivery] = Delivery.objects.all()
    assert batches.read(delivery.pk).is_endpoint_well
    for trouble in ({"failures": 1}, {"rests_until": work.now()}, {"parked_at": work.now()}):
        Endpoint.objects.update(**{"failures": 0, "rests_until": None, "parked_at": None, **trouble})
        assert not batches.read(delivery.pk).is_endpoint_well


def test_those_that_have_arrived_are_recorded_and_the_next_ones_of_their_cases_go() -> None:
    ask(first := running())
    fail(first)
    fail(second := running(client=first.client))
    ask(third := running(client=first.client))
    ahead = Delivery.objects.get(case=first, sequence=1)
    alone = Delivery.objects.get(case=second)
    batches._record_all(made := arrived(ahead, alone))
    for delivery, one in zip((ahead, alone), made, strict=True):
        delivery.refresh_from_db()
        assert (delivery.state, delivery.attempt_count, delivery.due_at) == (DeliveryState.DELIVERED, 1, None)
        assert delivery.delivered_at is not None
        attempt = delivery.attempts.get()
        assert (attempt.number, attempt.status, attempt.duration_ms, attempt.response_body) == (1, 204, 7, "ta")
        assert attempt.started_at == one.letter.read_at
    behind = Delivery.objects.get(case=first, sequence=2)
    assert (behind.state, behind.due_at) == (DeliveryState.WAITING, behind.next_attempt_at)
    untouched = Delivery.objects.get(case=third)
    assert (untouched.state, untouched.attempt_count) == (DeliveryState.WAITING, 0)


def test_two_answers_to_one_delivery_are_two_attempts_of_which_the_first_counts() -> None:
    fail(running())
    [delivery] = Delivery.objects.all()
    batches._record_all(arrived(delivery) * 2)
    delivery.refresh_from_db()
    before = delivery.delivered_at
    batches._record_all(arrived(delivery))
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.DELIVERED, 3)
    assert delivery.delivered_at == before
    assert [attempt.number for attempt in delivery.attempts.all()] == [1, 2, 3]


def test_one_that_is_gone_keeps_no_other_from_being_recorded() -> None:
    fail(running())
    fail(running())
    made = arrived(*Delivery.objects.all())
    Delivery.objects.filter(pk=made[0].letter.pk).delete()
    with pytest.raises(Delivery.DoesNotExist):
        batches._record_all(made)
    assert Attempt.objects.count() == 0
    batches.record(made[1])
    assert Delivery.objects.get().state == DeliveryState.DELIVERED


def test_a_success_clears_what_was_counted_against_the_endpoint_meanwhile() -> None:
    fail(running())
    made = arrived(*Delivery.objects.all())
    Endpoint.objects.update(failures=2, failing_since=work.now(), rests_until=work.now() + timedelta(minutes=1))
    batches._record_all(made)
    endpoint = Endpoint.objects.get()
    assert (endpoint.failures, endpoint.failing_since, endpoint.rests_until) == (0, None, None)
    assert endpoint.last_success_at is not None


def test_an_endpoint_that_is_well_is_told_so_every_ten_seconds_at_most() -> None:
    for _ in range(3):
        fail(running())
    at = work.now() - timedelta(seconds=8)
    Endpoint.objects.update(last_success_at=at)
    first, second, _ = Delivery.objects.all()
    batches._record_all(arrived(first))
    assert Delivery.objects.get(pk=first.pk).endpoint.last_success_at == at
    Endpoint.objects.update(last_success_at=at - timedelta(seconds=3))
    batches._record_all(arrived(second))
    assert Delivery.objects.get(pk=second.pk).endpoint.last_success_at > at


def test_what_it_asks_of_the_database_does_not_grow_with_their_number() -> None:
    def statements(number: int) -> int:
        client = running().client
        for _ in range(number):
            ask(case := running(client=client))
            fail(case)
        deliveries = Delivery.objects.filter(client=client, sequence=1)
        Endpoint.objects.filter(client=client).update(last_success_at=work.now())
        with CaptureQueriesContext(connection) as asked:
            batches._record_all(arrived(*deliveries))
        return len(asked)

    assert statements(12) <= statements(2)
