import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction as django_transaction

from cases import correspondence, payload_parts, services, transitions, work
from cases.factories import ApiKeyFactory, CaseFactory
from cases.models import Case, Draft, Purpose, ResultStatus, Status
from cases.testing import run_due
from cases.time_travel import bring_nearer
from webhooks import listeners
from webhooks.models import Delivery, DeliveryState, Endpoint
from webhooks.tests.receivers import receiver, says

pytestmark = pytest.mark.django_db
URL = "https://hooks.example/offload"


def ask(case: Case, question: str = "May we?") -> Case:
    with work.transaction():
        locked = Case.objects.locked(case.pk)
        transitions.ask(locked, question=question, reason="so")
    return locked


def fail(case: Case) -> Case:
    with work.transaction():
        locked = Case.objects.locked(case.pk)
        transitions.fail(locked, result_status=ResultStatus.MAX_RETRIES, reason="Nobody answered.")
    return locked


def running(**fields: Any) -> Case:
    return CaseFactory(status=Status.RUNNING, **{"client_webhook_url": URL, **fields})


def test_an_event_becomes_a_delivery_with_its_bytes() -> None:
    case = fail(running())
    [delivery] = Delivery.objects.all()
    body = json.loads(bytes(delivery.body))
    assert body["event_id"] == delivery.event_id
    assert body["data"]["failureReason"] == "Nobody answered."
    assert (delivery.url, delivery.event_type, delivery.sequence) == (URL, "case.failed", 1)
    assert delivery.timeline_event == case.events.get(type="case.failed")
    assert delivery.client == case.client
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.WAITING, 0)
    assert delivery.due_at == delivery.next_attempt_at == delivery.created_at == case.now
    assert delivery.endpoint.origin == "https://hooks.example:443"


def test_a_case_without_a_url_tells_nobody() -> None:
    fail(running(client_webhook_url=None))
    assert not Delivery.objects.exists()
    assert not Endpoint.objects.exists()


def test_only_the_three_events_are_told() -> None:
    key = ApiKeyFactory(is_test=True)
    services.create_case(
        key,
        channel="EMAIL",
        goal={"objective": "Ask."},
        counterparty={"address": "ann@supplier.example", "name": "Ann"},
        sender_persona={"name": "Bob"},
        client_webhook_url=URL,
    )
    assert not Delivery.objects.exists()


def test_only_the_first_of_a_case_is_due() -> None:
    case = running()
    ask(case, "One?")
    ask(case, "Two?")
    fail(case)
    other = fail(running(client=case.client))
    told = Delivery.objects.filter(case=case).order_by("sequence")
    assert [delivery.event_type for delivery in told] == ["case.input_needed", "case.input_needed", "case.failed"]
    assert [delivery.sequence for delivery in told] == [1, 2, 3]
    assert [delivery.due_at is None for delivery in told] == [False, True, True]
    assert [json.loads(bytes(delivery.body))["data"].get("inputRequest") for delivery in told] == ["One?", "Two?", None]
    assert Delivery.objects.get(case=other).due_at is not None
    assert Endpoint.objects.count() == 1


def test_one_behind_an_ended_one_is_due_at_once() -> None:
    case = running()
    ask(case)
    Delivery.objects.update(state=DeliveryState.EXHAUSTED, due_at=None)
    fail(case)
    last = Delivery.objects.get(sequence=2)
    assert last.due_at == last.created_at


def test_a_change_that_is_undone_tells_nobody() -> None:
    case = running()
    with django_transaction.atomic():
        fail(case)
        django_transaction.set_rollback(True)
    assert not Delivery.objects.exists()


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Hooks.Example/a?b", "https://hooks.example:443"),
        ("http://hooks.example:8080/", "http://hooks.example:8080"),
        ("http://[2606:4700::1]/", "http://[2606:4700::1]:80"),
        ("http://hooks.example:99999/", ""),
        ("http://[::1", ""),
        ("ftp://hooks.example/", ""),
        ("https:///nowhere", ""),
        ("https://" + "a" * 300 + "/", ""),
        ("", ""),
    ],
)
def test_the_origin_of_a_url(url: str, origin: str) -> None:
    assert listeners.origin(url) == origin


def test_a_url_that_is_none_does_not_keep_a_case_from_ending() -> None:
    case = fail(running(client_webhook_url="http://[::1"))
    case.refresh_from_db()
    assert case.status == Status.FAILED
    assert Delivery.objects.get().endpoint.origin == ""


@pytest.mark.parametrize("asked_for", [True, False])
def test_a_draft_is_told_of_with_what_an_approval_needs_if_it_was_asked_for(asked_for: bool) -> None:
    case = running(client__event_types=["case.draft_ready"] if asked_for else [], review_mode="all")
    with work.transaction():
        locked = Case.objects.locked(case.pk)
        correspondence.queue(locked, purpose=Purpose.FOLLOW_UP, subject="Invoice", text="Please.", is_draft=True)
    told = [json.loads(bytes(delivery.body)) for delivery in Delivery.objects.all()]
    assert [body["event_type"] for body in told] == (["case.draft_ready"] if asked_for else [])
    if asked_for:
        assert told[0]["data"]["draft"] == payload_parts.draft_content(Draft.objects.get())


@pytest.mark.usefixtures("loopback_allowed")
@pytest.mark.parametrize("asked_for", [True, False])
def test_an_overdue_question_reaches_those_who_want_to_hear_of_it(asked_for: bool) -> None:
    with receiver(says(b"HTTP/1.1 204 No Content\r\n\r\n")) as endpoint:
        case = running(
            client__event_types=["case.input_overdue"] if asked_for else [],
            client_webhook_url=endpoint.url,
            input_timeout_hours=24,
        )
        ask(case)
        run_due()
        before = Case.objects.get(pk=case.pk)
        bring_nearer(case.pk, timedelta(hours=25))
        run_due()
        bring_nearer(case.pk, timedelta(hours=25))
        run_due()
    told = [json.loads(bytes(delivery.body)) for delivery in Delivery.objects.order_by("sequence")]
    assert [body["event_type"] for body in told] == ["case.input_needed", "case.input_overdue"][: 1 + asked_for]
    assert len({body["event_id"] for body in told}) == len(endpoint.requests) == len(told)
    assert set(Delivery.objects.values_list("state", flat=True)) == {DeliveryState.DELIVERED}
    after = Case.objects.get(pk=case.pk)
    assert (after.status, after.updated_at, after.version) == (before.status, before.updated_at, before.version)
    if asked_for:
        assert told[1]["timestamp"] == told[0]["timestamp"]
        assert told[1]["data"] == told[0]["data"]  # the question, and what an answer has to name
