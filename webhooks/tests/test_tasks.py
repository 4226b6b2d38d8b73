import hashlib
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from pytest_django import Settings
from pytest_httpserver import HTTPServer
from standardwebhooks import Webhook
from werkzeug import Request, Response

from cases import leases, pump, work
from cases.factories import CaseFactory
from cases.models import Case, Status
from webhooks import batches, sender, signing, tasks
from webhooks.models import Attempt, Delivery, DeliveryState
from webhooks.tests.test_listeners import ask, fail

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("loopback_allowed"), pytest.mark.engine]


def work_off() -> int:
    """Do what is due, as a pump would, one row after the other; the number of steps."""
    claims = work.claim("delivery", 100)
    for held in claims:
        error: BaseException | None = None
        try:
            pump.run_step(held)
        except Exception as raised:  # noqa: BLE001 (the pump's business is to judge it)
            error = raised
        pump.settle({held: error})
    return len(claims)


def let_time_pass() -> None:
    """Move the rows instead of the clock: what is planned for later is due now."""
    with work.transaction():
        for pk in Delivery.objects.filter(due_at__isnull=False).values_list("pk", flat=True):
            row = Delivery.objects.locked(pk)
            row.next_attempt_at, row.retry_at = row.now, None
            work.reschedule(row)
            row.save()


class Endpoint:
    """An endpoint whose answers a test chooses, one after the other; the last one stays."""

    def __init__(self, httpserver: HTTPServer) -> None:
        self.url = f"http://127.0.0.1:{httpserver.port}/hook"
        self.statuses = [200]
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.meanwhile: Callable[[], Any] = lambda: None
        httpserver.expect_request("/hook", method="POST").respond_with_handler(self._answer)

    def _answer(self, request: Request) -> Response:
        self.requests.append((dict(request.headers), request.get_data()))
        self.meanwhile()
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return Response("said", status=status)

    @property
    def event_ids(self) -> list[str]:
        return [headers["Webhook-Id"] for headers, _ in self.requests]


@pytest.fixture
def endpoint(httpserver: HTTPServer) -> Endpoint:
    return Endpoint(httpserver)


@pytest.fixture
def case(endpoint: Endpoint) -> Case:
    return CaseFactory(status=Status.RUNNING, client_webhook_url=endpoint.url)


def test_it_is_signed_in_the_databases_time(case: Case, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or every event of a machine whose clock is wrong by five minutes is refused as too old, or as forged."""
    fail(case)
    at = work.now() - timedelta(minutes=5)
    read = batches._letter
    monkeypatch.setattr(batches, "_letter", lambda row: replace(read(row), read_at=at))  # by the database's clock
    assert work_off() == 1
    assert endpoint.requests[0][0]["Webhook-Timestamp"] == str(int(at.timestamp()))


def test_a_delivery_is_signed_sent_and_recorded(case: Case, endpoint: Endpoint) -> None:
    fail(case)
    assert work_off() == 1
    delivery = Delivery.objects.get()
    [(headers, body)] = endpoint.requests
    assert body == bytes(delivery.body)
    assert headers["Content-Type"] == "application/json"
    [secret] = signing.secrets_for(case.client)
    assert Webhook(secret).verify(body, headers)["event_id"] == headers["Webhook-Id"] == delivery.event_id
    assert (delivery.state, delivery.attempt_count, delivery.due_at) == (DeliveryState.DELIVERED, 1, None)
    assert delivery.delivered_at is not None
    assert (delivery.lease_token, delivery.lost_leases, delivery.failures) == (None, 0, 0)
    attempt = delivery.attempts.get()
    assert (attempt.number, attempt.status, attempt.response_body, attempt.error) == (1, 200, "said", "")
    assert attempt.response_headers["Content-Length"] == "4"
    assert attempt.started_at <= delivery.delivered_at
    assert work_off() == 0


def test_the_schedule_is_that_of_the_standard() -> None:
    hours = [wait / timedelta(hours=1) for wait in tasks.SCHEDULE]
    assert hours == [0, 5 / 3600, 5 / 60, 0.5, 2, 5, 10, 14, 20, 24]
    assert sum(tasks.SCHEDULE, timedelta()) == timedelta(hours=75, minutes=35, seconds=5)


def test_each_wait_is_the_planned_one_or_up_to_a_tenth_longer(case: Case, endpoint: Endpoint) -> None:
    endpoint.statuses = [500]
    fail(case)
    for number in range(1, 10):
        before = work.now()
        assert work_off() == 1
        after = work.now()
        delivery = Delivery.objects.get()
        assert (delivery.state, delivery.attempt_count) == (DeliveryState.WAITING, number)
        wait = tasks.SCHEDULE[number]
        assert before + wait - timedelta(milliseconds=2) <= delivery.next_attempt_at <= after + wait * 1.1
        assert delivery.due_at == delivery.next_attempt_at
        assert (delivery.retry_at, delivery.failures) == (None, 0)  # the endpoint's failure is not ours
        assert work_off() == 0
        let_time_pass()
    assert work_off() == 1
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempt_count, delivery.due_at) == (DeliveryState.EXHAUSTED, 10, None)
    assert [attempt.status for attempt in delivery.attempts.all()] == [500] * 10
    let_time_pass()
    assert work_off() == 0
    assert len(endpoint.requests) == 10


def test_every_attempt_has_the_same_bytes_and_id_and_a_time_of_its_own(
    case: Case, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint.statuses = [500, 302, 503, 200]
    fail(case)
    Case.objects.filter(pk=case.pk).update(metadata={"changed": True})
    secret = signing.secrets_for(case.client)[0]
    for _ in range(4):
        work_off()
        let_time_pass()
        signing.rotate(case.client)
    assert len({hashlib.sha256(body).hexdigest() for _, body in endpoint.requests}) == 1
    assert len(set(endpoint.event_ids)) == 1
    for headers, body in endpoint.requests:
        Webhook(secret).verify(body, headers)
    assert [len(headers["Webhook-Signature"].split(" ")) for headers, _ in endpoint.requests] == [1, 2, 3, 4]
    assert Delivery.objects.get().state == DeliveryState.DELIVERED


def test_the_events_of_a_case_arrive_in_order_though_the_first_fails(case: Case, endpoint: Endpoint) -> None:
    endpoint.statuses = [500, 500, 500, 200]
    for number in range(4):
        ask(case, f"Question {number}?")
    fail(case)
    in_order = list(Delivery.objects.order_by("sequence").values_list("event_id", flat=True))
    for _ in range(3):
        assert work_off() == 1
        assert work_off() == 0  # those behind it are not due, however old they are
        let_time_pass()
    for _ in range(5):
        assert work_off() == 1
    assert endpoint.event_ids == in_order[:1] * 3 + in_order
    assert set(Delivery.objects.values_list("state", flat=True)) == {DeliveryState.DELIVERED}


def test_another_case_of_the_same_client_does_not_wait(case: Case, endpoint: Endpoint) -> None:
    endpoint.statuses = [500, 200]
    ask(case)
    work_off()
    fail(CaseFactory(status=Status.RUNNING, client=case.client, client_webhook_url=endpoint.url))
    assert work_off() == 1
    assert Delivery.objects.filter(state=DeliveryState.DELIVERED).count() == 1


def test_an_exhausted_delivery_lets_the_next_one_go(case: Case, endpoint: Endpoint) -> None:
    endpoint.statuses = [500, 200]
    ask(case)
    fail(case)
    Delivery.objects.filter(sequence=1).update(attempt_count=9)
    assert work_off() == 1
    first, second = Delivery.objects.order_by("sequence")
    assert (first.state, first.due_at) == (DeliveryState.EXHAUSTED, None)
    assert second.due_at == second.created_at
    assert work_off() == 1
    second.refresh_from_db()
    assert second.state == DeliveryState.DELIVERED


def test_an_endpoint_that_was_down_for_three_days_gets_it(case: Case, endpoint: Endpoint) -> None:
    endpoint.statuses = [503] * 9 + [200]
    fail(case)
    planned = timedelta()
    for _ in range(10):
        work_off()
        delivery = Delivery.objects.get()
        if delivery.due_at:
            planned += delivery.due_at - work.now()
        let_time_pass()
    assert planned > timedelta(hours=75)
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.DELIVERED, 10)


def test_a_refused_address_is_an_attempt_like_any_other(settings: Settings) -> None:
    settings.OFFLOAD_WEBHOOK_ALLOW_CIDRS = []
    fail(CaseFactory(status=Status.RUNNING, client_webhook_url="http://127.0.0.1:9/"))
    work_off()
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.failures) == (DeliveryState.WAITING, 0)
    attempt = delivery.attempts.get()
    assert (attempt.status, attempt.error) == (None, "127.0.0.1 is not a public address.")


# --- What the engine asks of a step ---------------------------------------------------------------


def test_no_transaction_and_no_connection_while_the_endpoint_is_called(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(case)
    done: list[str] = []

    def post(*args: Any, **kwargs: Any) -> sender.Outcome:
        done.append("post")
        return sender.Outcome(200, 1)

    monkeypatch.setattr(work, "let_go_of_connection", lambda: done.append("let go"))
    monkeypatch.setattr(sender, "post", post)
    work_off()
    assert done == ["let go", "post"]


def test_a_row_whose_lease_was_not_renewed_is_not_sent(case: Case, endpoint: Endpoint) -> None:
    fail(case)
    [held] = work.claim("delivery", 1)
    held.held_until -= 25
    pump.run_step(held)
    pump.settle({held: None})
    assert endpoint.requests == []
    assert Attempt.objects.count() == 0
    assert work_off() == 1


def test_an_answer_counts_even_if_somebody_else_holds_the_row_by_then(case: Case, endpoint: Endpoint) -> None:
    fail(case)
    taken: list[Any] = []

    def post(*args: Any, **kwargs: Any) -> sender.Outcome:
        Delivery.objects.update(lease_until=work.now())
        taken.extend(work.claim("delivery", 1))
        return sender.Outcome(200, 5)

    [held] = work.claim("delivery", 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sender, "post", post)
        pump.run_step(held)
    pump.settle({held: None})
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.DELIVERED, 1)
    assert delivery.lease_token == taken[0].token  # which is not ours to give back
    pump.run_step(taken[0])
    assert endpoint.requests == []


def test_a_late_failure_does_not_undo_a_success(case: Case) -> None:
    fail(case)
    delivery = Delivery.objects.get()
    tasks.record_attempt(delivery.pk, work.now(), sender.Outcome(200, 5))
    delivered = Delivery.objects.get()
    Delivery.objects.update(attempt_count=9)
    tasks.record_attempt(delivery.pk, work.now(), sender.Outcome(None, 5, error="timed out"))
    tasks.record_attempt(delivery.pk, work.now(), sender.Outcome(200, 5))
    delivery.refresh_from_db()
    assert (delivery.state, delivery.due_at) == (DeliveryState.DELIVERED, None)
    assert (delivery.delivered_at, delivery.next_attempt_at) == (delivered.delivered_at, delivered.next_attempt_at)
    assert [attempt.number for attempt in delivery.attempts.all()] == [1, 10, 11]


def test_a_late_success_counts_though_it_was_given_up(case: Case) -> None:
    fail(case)
    Delivery.objects.update(state=DeliveryState.EXHAUSTED, due_at=None)
    tasks.record_attempt(Delivery.objects.get().pk, work.now(), sender.Outcome(204, 5))
    assert Delivery.objects.get().state == DeliveryState.DELIVERED


def test_a_write_that_fails_is_tried_again_and_nothing_is_sent_twice(
    case: Case, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(case)
    failures = [OperationalError("database is locked")] * 2
    original = tasks.record_attempt

    def flaky(*args: Any) -> None:
        if failures:
            raise failures.pop()
        original(*args)

    monkeypatch.setattr(tasks, "record_attempt", flaky)
    assert work_off() == 1
    assert len(endpoint.requests) == 1
    assert Delivery.objects.get().state == DeliveryState.DELIVERED


def test_a_secret_that_cannot_be_read_is_our_failure_and_not_the_endpoints(
    case: Case, endpoint: Endpoint, settings: Settings
) -> None:
    ask(case)
    fail(case)
    signing.new_secret(case.client)
    settings.SECRET_KEY = "another key"
    assert work_off() == 1
    delivery = Delivery.objects.get(sequence=1)
    assert (delivery.state, delivery.attempt_count, delivery.failures) == (DeliveryState.WAITING, 0, 1)
    assert delivery.last_error.startswith("SecretUnreadable: ")
    assert delivery.retry_at is not None
    assert delivery.due_at == delivery.retry_at > work.now() + timedelta(seconds=50)
    assert endpoint.requests == []

    Delivery.objects.filter(pk=delivery.pk).update(failing_since=work.now() - leases.FAILING_AT_MOST, due_at=work.now())
    work_off()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.due_at, delivery.lease_token) == (DeliveryState.FAILED, None, None)
    assert "SecretUnreadable" in delivery.note
    assert Delivery.objects.get(sequence=2).due_at is not None  # it does not wait for staff


def test_a_row_that_kills_processes_is_handed_to_staff(case: Case, endpoint: Endpoint) -> None:
    ask(case)
    fail(case)
    Delivery.objects.filter(sequence=1).update(lost_leases=leases.HANDED_OVER_AT)
    [held] = leases.claim("delivery", 1, alone=True)
    pump.run_step(held)
    pump.settle({held: None})
    first, second = Delivery.objects.order_by("sequence")
    assert (first.state, first.lost_leases) == (DeliveryState.FAILED, 0)
    assert "10 times" in first.note
    assert second.due_at is not None
    assert endpoint.requests == []


def test_the_step_is_registered() -> None:
    kind = leases.kinds()["delivery"]
    assert kind is tasks.DELIVERIES
    assert (kind.step, kind.task, kind.turns_by) == (tasks.deliver, "webhooks.tasks.pump_deliveries", "client_id")


@pytest.mark.django_db(transaction=True)
def test_an_event_that_happens_while_the_one_before_it_ends_is_not_left_behind(case: Case) -> None:
    ask(case)
    first = Delivery.objects.get()
    looked, failed = threading.Event(), threading.Event()

    def fail_meanwhile() -> None:
        looked.wait(10)
        fail(case)
        failed.set()
        work.let_go_of_connection()

    other = threading.Thread(target=fail_meanwhile)
    other.start()
    with work.transaction():
        tasks.record_attempt(first.pk, work.now(), sender.Outcome(200, 5))  # has looked for a successor: none yet
        looked.set()
        failed.wait(0.5)  # it waits for the row, and goes on when this has committed
    other.join(10)
    assert failed.is_set()
    second = Delivery.objects.get(sequence=2)
    assert second.due_at == second.next_attempt_at


@pytest.mark.django_db(transaction=True)
def test_the_pump_delivers(case: Case, endpoint: Endpoint) -> None:
    for number in range(3):
        ask(case, f"Question {number}?")
    Case.objects.update(due_at=None)  # only deliveries are of interest here
    tasks.pump_deliveries()
    assert endpoint.event_ids == list(Delivery.objects.order_by("sequence").values_list("event_id", flat=True))
    assert set(Delivery.objects.values_list("state", flat=True)) == {DeliveryState.DELIVERED}
