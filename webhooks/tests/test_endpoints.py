"""When an endpoint gets nothing any more, what becomes of its events, and how they are sent after all."""

from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings

from cases import work
from cases.factories import CaseFactory
from cases.models import Case, Status
from webhooks import endpoints, replay, sender, tasks
from webhooks.errors import StillWaiting
from webhooks.models import Delivery, DeliveryState, Endpoint
from webhooks.tests.test_listeners import ask, fail

pytestmark = [pytest.mark.django_db, pytest.mark.engine]
GOOD = sender.Outcome(200, 5)
BAD = sender.Outcome(503, 5)
GONE = sender.Outcome(410, 5)


def running(**fields: Any) -> Case:
    return CaseFactory(status=Status.RUNNING, **{"client_webhook_url": "https://hooks.example/a", **fields})


def attempt(delivery: Delivery, outcome: sender.Outcome) -> Delivery:
    tasks.record_attempt(delivery.pk, work.now(), outcome)
    delivery.refresh_from_db()
    return delivery


def states(**only: Any) -> list[str]:
    rows = Delivery.objects.filter(**only).order_by("created_at", "sequence")
    return list(rows.values_list("state", flat=True))


def test_failures_are_counted_from_the_first_and_one_success_clears_the_clock() -> None:
    ask(case := running())
    delivery = Delivery.objects.get()
    before = work.now()
    attempt(delivery, BAD)
    first = Endpoint.objects.get().failing_since
    assert first is not None
    assert before <= first
    attempt(delivery, sender.Outcome(None, 5, error="timed out"))
    endpoint = Endpoint.objects.get()
    assert (endpoint.failures, endpoint.failing_since, endpoint.last_success_at) == (2, first, None)
    assert endpoint.last_failure_at is not None
    assert endpoint.last_failure_at >= first
    attempt(delivery, GOOD)
    endpoint = Endpoint.objects.get()
    assert (endpoint.failures, endpoint.failing_since, endpoint.parked_at) == (0, None, None)
    assert endpoint.last_success_at is not None
    assert not case.events.filter(type="webhook.parked").exists()


def test_an_event_of_parking_is_true_until_the_endpoint_is_taken_back() -> None:
    ask(case := running())
    attempt(Delivery.objects.get(), GONE)
    event = case.events.get(type="webhook.parked")
    assert endpoints.is_still_parked(event)
    endpoints.unpark(Endpoint.objects.get().pk)
    assert not endpoints.is_still_parked(event)


def test_an_endpoint_that_is_gone_is_parked_with_all_that_waits_for_it() -> None:
    ask(first := running())
    fail(first)
    fail(running(client=first.client))
    elsewhere = fail(running(client=first.client, client_webhook_url="https://other.example/"))
    attempt(Delivery.objects.get(case=first, sequence=1), GONE)
    endpoint = Endpoint.objects.get(origin="https://hooks.example:443")
    assert endpoint.is_parked
    assert endpoint.parked_reason == "It answered 410 Gone."
    assert states(endpoint=endpoint) == [DeliveryState.PARKED] * 3
    assert not Delivery.objects.filter(endpoint=endpoint, due_at__isnull=False).exists()
    assert Delivery.objects.get(case=elsewhere).due_at is not None
    assert work.due("delivery").count() == 1


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        ("https://hooks.example:443", "https://hooks.example"),
        ("http://hooks.example:80", "http://hooks.example"),
        ("https://hooks.example:80", "https://hooks.example:80"),
        ("https://[2001:db8::443]:8443", "https://[2001:db8::443]:8443"),
        ("", "an address that is none"),
    ],
)
def test_an_endpoint_is_shown_without_the_port_that_it_has_anyway(origin: str, words: str) -> None:
    assert str(Endpoint(origin=origin)) == words


def test_five_days_of_failure_park_it_and_not_a_minute_less() -> None:
    ask(running())
    delivery = attempt(Delivery.objects.get(), BAD)
    Endpoint.objects.update(failing_since=work.now() - timedelta(days=5) + timedelta(minutes=1))
    delivery = attempt(delivery, BAD)
    assert (delivery.state, Endpoint.objects.get().parked_at) == (DeliveryState.WAITING, None)
    Endpoint.objects.update(failing_since=work.now() - timedelta(days=5))
    delivery = attempt(delivery, BAD)
    assert delivery.state == DeliveryState.PARKED
    assert Endpoint.objects.get().parked_reason == "Every attempt has failed for 5 days, 3 of them."


def test_what_waits_behind_a_parked_one_for_another_endpoint_goes_on() -> None:
    ask(case := running())
    Case.objects.filter(pk=case.pk).update(client_webhook_url="https://other.example/")
    fail(case)
    first, second = Delivery.objects.order_by("sequence")
    assert second.due_at is None
    attempt(first, GONE)
    second.refresh_from_db()
    assert (second.state, second.due_at) == (DeliveryState.WAITING, second.next_attempt_at)


def test_staff_are_told_once(settings: Settings) -> None:
    ask(case := running())
    delivery = attempt(Delivery.objects.get(), GONE)
    attempt(delivery, GONE)
    event = case.events.get(type="webhook.parked")
    endpoint = Endpoint.objects.get()
    assert event.data == {
        "origin": "https://hooks.example:443",
        "reason": "It answered 410 Gone.",
        "page": f"/admin/webhooks/endpoint/{endpoint.pk}/change/",
    }
    assert "outreach.notices.tell_staff_of_parking" in settings.OFFLOAD_EVENT_LISTENERS["webhook.parked"]


def test_what_happens_meanwhile_is_kept_and_never_tried() -> None:
    ask(case := running())
    endpoints.park(Endpoint.objects.get().pk, "On request.")
    fail(case)
    fail(running(client=case.client))
    assert states() == [DeliveryState.PARKED] * 3
    assert [delivery.attempts.count() for delivery in Delivery.objects.all()] == [0, 0, 0]
    assert not work.due("delivery").exists()
    assert not endpoints.park(Endpoint.objects.get().pk, "Again.")
    assert Endpoint.objects.get().parked_reason == "On request."


def test_taken_back_it_gets_what_happens_next_and_if_asked_what_was_kept_in_order() -> None:
    ask(case := running())
    endpoint = Endpoint.objects.get()
    endpoints.park(endpoint.pk, "On request.")
    ask(case, "And this?")
    assert endpoints.unpark(endpoint.pk)
    assert not endpoints.unpark(endpoint.pk)
    assert states() == [DeliveryState.PARKED] * 2
    fail(case)
    assert states() == [DeliveryState.PARKED, DeliveryState.PARKED, DeliveryState.WAITING]
    assert replay.replay_all(replay.kept_for(endpoint)) == 2
    assert states() == [DeliveryState.WAITING] * 3
    assert [row.due_at is not None for row in Delivery.objects.order_by("sequence")] == [True, False, False]
    for sequence in (1, 2, 3):
        assert [row.sequence for row in work.due("delivery")] == [sequence]
        attempt(Delivery.objects.get(sequence=sequence), GOOD)
    assert states() == [DeliveryState.DELIVERED] * 3


def test_an_attempt_that_was_asked_for_takes_a_parked_endpoint_back_or_leaves_it() -> None:
    ask(case := running())
    ask(case, "And this?")
    first, second = Delivery.objects.order_by("sequence")
    attempt(first, GONE)
    replay.replay(second.pk)
    assert [row.pk for row in work.due("delivery")] == [second.pk]
    assert attempt(second, BAD).state == DeliveryState.PARKED
    assert Endpoint.objects.get().is_parked
    assert case.events.filter(type="webhook.parked").count() == 1
    replay.replay(second.pk)
    assert attempt(second, GOOD).state == DeliveryState.DELIVERED
    assert not Endpoint.objects.get().is_parked
    assert states() == [DeliveryState.PARKED, DeliveryState.DELIVERED]  # the other was not asked for


def test_an_event_sent_again_has_the_whole_schedule_before_it() -> None:
    fail(running())
    delivery = Delivery.objects.get()
    body, event_id = bytes(delivery.body), delivery.event_id
    for _ in range(10):
        delivery = attempt(delivery, BAD)
    assert delivery.state == DeliveryState.EXHAUSTED
    delivery = replay.replay(delivery.pk)
    assert delivery.due_at == delivery.next_attempt_at <= work.now()
    for number in range(1, 10):
        delivery = attempt(delivery, BAD)
        assert delivery.state == DeliveryState.WAITING
        wait = delivery.next_attempt_at - work.now()
        assert tasks.SCHEDULE[number] - timedelta(seconds=5) < wait <= tasks.SCHEDULE[number] * 1.1
    delivery = attempt(delivery, BAD)
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.EXHAUSTED, 20)
    assert (bytes(delivery.body), delivery.event_id) == (body, event_id)


def test_what_is_on_its_way_is_not_repeated() -> None:
    fail(running())
    delivery = Delivery.objects.get()
    with pytest.raises(StillWaiting):
        replay.replay(delivery.pk)
    assert replay.replay_all(Delivery.objects.all()) == 0


def test_replaying_since_a_time_leaves_what_was_before() -> None:
    fail(old := running())
    fail(new := running(client=old.client))
    for delivery in Delivery.objects.all():
        attempt(delivery, GOOD)
    moment = work.now() - timedelta(hours=1)
    Delivery.objects.filter(case=old).update(created_at=moment - timedelta(seconds=1))
    assert replay.replay_all(replay.since(Delivery.objects.all(), moment)) == 1
    assert states(case=new) == [DeliveryState.WAITING]
    assert states(case=old) == [DeliveryState.DELIVERED]


@pytest.mark.parametrize(("asked", "least"), [("600", 600), ("1", 300), ("999999999", 86400)])
def test_retry_after_only_lengthens_the_wait(asked: str, least: int) -> None:
    fail(running())
    delivery = attempt(Delivery.objects.get(), BAD)
    before = work.now()
    delivery = attempt(delivery, sender.Outcome(429, 5, headers={"Retry-After": asked}))
    assert timedelta(seconds=least) <= delivery.next_attempt_at - before
    assert delivery.next_attempt_at - work.now() <= timedelta(seconds=max(least, 330))
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.WAITING, 2)  # it counts like any other


def test_the_cap_is_that_of_the_settings(settings: Settings) -> None:
    settings.OFFLOAD_WEBHOOK_CONCURRENCY = 2
    client = running().client
    for _ in range(4):
        fail(running(client=client))
    fail(running(client=client, client_webhook_url="https://other.example/"))
    held = work.claim("delivery", 10)
    origins = sorted(Delivery.objects.get(pk=each.pk).endpoint.origin for each in held)
    assert origins == ["https://hooks.example:443"] * 2 + ["https://other.example:443"]
    assert not work.due("delivery").exists()


# --- Rests ----------------------------------------------------------------------------------------

HUNG = sender.Outcome(None, 15_000, error="timed out")


def due_now() -> set[Any]:
    """The deliveries that a claim would take if nothing but rests kept it from them."""
    Delivery.objects.filter(due_at__isnull=False).update(due_at=work.now() - timedelta(seconds=1))
    return set(work.due("delivery").values_list("pk", flat=True))


def test_an_endpoint_that_hangs_twice_rests_and_the_others_do_not() -> None:
    ask(case := running())
    ask(running(client=case.client))
    elsewhere = Delivery.objects.get(case=ask(running(client=case.client, client_webhook_url="https://other.example/")))
    delivery = attempt(Delivery.objects.get(case=case), HUNG)
    assert Endpoint.objects.get(pk=delivery.endpoint_id).rests_until is None
    assert len(due_now()) == 3
    before = work.now()
    attempt(delivery, HUNG)
    rests_until = Endpoint.objects.get(pk=delivery.endpoint_id).rests_until
    assert rests_until is not None
    assert before <= rests_until - timedelta(seconds=60) <= work.now()  # 15 s, doubled twice
    assert due_now() == {elsewhere.pk}
    assert [held.pk for held in work.claim("delivery", 9)] == [elsewhere.pk]


@pytest.mark.parametrize(("failures", "seconds"), [(1, 60), (2, 120), (3, 240), (4, 300), (1000, 300)])
def test_each_long_wait_in_vain_makes_the_rest_longer_up_to_five_minutes(failures: int, seconds: int) -> None:
    ask(running())
    Endpoint.objects.update(failures=failures, failing_since=work.now())
    before = work.now()
    attempt(Delivery.objects.get(), HUNG)
    rests_until = Endpoint.objects.get().rests_until
    assert rests_until is not None
    assert before <= rests_until - timedelta(seconds=seconds) <= work.now()


def test_one_that_fails_at_once_does_not_rest() -> None:
    ask(running())
    for _ in range(5):
        delivery = attempt(Delivery.objects.get(), sender.Outcome(500, 999))
    assert Endpoint.objects.get().rests_until is None
    assert due_now() == {delivery.pk}


def test_after_the_rest_one_delivery_tries_it_and_the_others_wait() -> None:
    ask(running())
    Endpoint.objects.update(failures=2, rests_until=work.now() - timedelta(seconds=1))
    pk = Endpoint.objects.get().pk
    assert len(due_now()) == 1
    assert endpoints.may_try(pk)
    assert not endpoints.may_try(pk)
    assert due_now() == set()
    rests_until = Endpoint.objects.get().rests_until
    assert rests_until is not None
    assert work.now() + timedelta(seconds=15) < rests_until <= work.now() + timedelta(seconds=20)


def test_a_step_that_is_not_the_one_to_try_sends_nothing_and_stays_due(monkeypatch: pytest.MonkeyPatch) -> None:
    ask(case := running())
    ask(running(client=case.client))
    called: list[str] = []

    def post(url: str, *args: Any, **kwargs: Any) -> sender.Outcome:
        called.append(url)
        return HUNG

    monkeypatch.setattr(sender, "post", post)
    Endpoint.objects.update(failures=2, failing_since=work.now(), rests_until=work.now() - timedelta(seconds=1))
    claims = work.claim("delivery", 9)
    for held in claims:
        tasks.deliver(held)
    work.release(claims)
    assert len(claims) == 2
    assert len(called) == 1
    assert sorted(Delivery.objects.values_list("attempt_count", flat=True)) == [0, 1]
    assert Delivery.objects.get(attempt_count=0).due_at is not None
    assert due_now() == set()


def test_a_success_or_somebody_who_asks_ends_the_rest() -> None:
    ask(case := running())
    fail(running(client=case.client))
    first = Delivery.objects.get(case=case)
    resting = {"failures": 3, "failing_since": work.now(), "rests_until": work.now() + timedelta(minutes=5)}
    Endpoint.objects.update(**resting)
    assert due_now() == set()
    attempt(first, GOOD)
    assert Endpoint.objects.get().rests_until is None
    assert len(due_now()) == 1
    Endpoint.objects.update(**resting)
    replay.replay(first.pk)
    endpoint = Endpoint.objects.get()
    assert (endpoint.rests_until, endpoint.failures) == (None, 3)
    assert first.pk in due_now()
