"""The work on deliveries: one step is one attempt, and the row says when the next one is due."""

import random
import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q

from cases import log_context, work
from cases.models import Case
from webhooks import batches, endpoints, metrics, order, sender, signing
from webhooks.connections import LIMIT_SECONDS
from webhooks.models import Delivery, DeliveryState, Endpoint
from webhooks.retry_after import asked_for

# The waits before each attempt; ten attempts over 75 h 35 min 5 s. Standard Webhooks, "Deliverability and reliability".
SCHEDULE = (
    timedelta(0),
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
JITTER = 0.1  # only ever longer, so that a client that was down is not met by everything at once


def pump_deliveries() -> None:
    """The wake-up for deliveries."""
    work.run_pump("delivery")


def deliver(claimed: work.Claim[Delivery]) -> None:
    """Make one attempt at one delivery. Safe to run twice: the endpoint sees the same id and bytes.

    An attempt that fails is no failed step: it is recorded like any other, and the row is due again by the schedule.
    """
    letter = batches.read(claimed.pk)
    if letter.state != DeliveryState.WAITING:
        return
    log_context.add(case_id=letter.case_id, client_id=letter.client_id, step="deliver")
    if letter.endpoint_rests_until and not endpoints.may_try(letter.endpoint_id):
        return  # another one is at it; this one stays due
    secrets = signing.secrets_of(letter.client_id, letter.encrypted_secrets)
    work.let_go_of_connection()
    if not claimed.renewed():
        return  # somebody else may hold the row before the endpoint has answered; it stays due
    outcome = sender.post(
        letter.url,
        letter.body,
        # In the database's time: receivers refuse what is minutes old, and this machine's clock may be wrong by that.
        headers=signing.headers(secrets, letter.event_id, letter.read_at, letter.body),
        limit_seconds=min(LIMIT_SECONDS, claimed.remaining()),
    )
    metrics.ATTEMPTS.note(outcome.duration_ms / 1000, outcome=metrics.word_for(outcome))
    claimed.insist(lambda: _record(letter, outcome))


def _record(letter: batches.Letter, outcome: sender.Outcome) -> None:
    if outcome.is_success and letter.is_endpoint_well:
        batches.record(batches.Success(letter, outcome))
    else:
        record_attempt(letter.pk, letter.read_at, outcome)


def record_attempt(delivery_pk: uuid.UUID, started_at: datetime, outcome: sender.Outcome) -> None:
    """Write down what the endpoint answered, whoever holds the row by now: it is a fact (rule 2 of the engine)."""
    told = Delivery.objects.only("case_id", "endpoint_id").get(pk=delivery_pk)
    with work.transaction():
        case = Case.objects.locked(told.case_id)
        endpoint = Endpoint.objects.locked(told.endpoint_id)
        delivery = Delivery.objects.locked(delivery_pk)
        delivery.attempt(started_at, outcome).save()
        _judge(delivery, endpoint, outcome)
        endpoints.note(endpoint, outcome, at=delivery.now, case=case)


def _judge(delivery: Delivery, endpoint: Endpoint, outcome: sender.Outcome) -> None:
    made = delivery.attempt_count - delivery.attempts_before
    if outcome.is_success and delivery.state != DeliveryState.DELIVERED:
        delivery.delivered_at = delivery.now
        order.end(delivery, DeliveryState.DELIVERED)
    elif delivery.state != DeliveryState.WAITING:
        delivery.save()
    elif endpoint.is_parked:  # this attempt was asked for by somebody, to see whether it is well again
        order.end(delivery, DeliveryState.PARKED)
    elif made >= len(SCHEDULE):
        order.end(delivery, DeliveryState.EXHAUSTED)
    else:
        wait = SCHEDULE[made] * random.uniform(1.0, 1.0 + JITTER)
        delivery.next_attempt_at = delivery.now + max(wait, asked_for(outcome.headers, delivery.now))
        work.reschedule(delivery)
        delivery.save()


def give_up(claimed: work.Claim[Delivery], cause: str) -> None:
    """Hand a delivery that could not even be attempted to staff; the next one of its case goes on."""
    with claimed.write() as delivery:
        if delivery.state != DeliveryState.WAITING:
            return
        delivery.note = cause
        order.end(delivery, DeliveryState.FAILED)


DELIVERIES = work.Kind(
    name="delivery",
    model=Delivery,
    step=deliver,
    give_up=give_up,
    task="webhooks.tasks.pump_deliveries",
    turns_by="client_id",
    at_most_by="endpoint_id",
    at_most=lambda: settings.OFFLOAD_WEBHOOK_CONCURRENCY,
    may_be_claimed=lambda: ~Q(endpoint__in=endpoints.resting()),
    of_case="case_id",
    time_facts=("next_attempt_at",),
)
