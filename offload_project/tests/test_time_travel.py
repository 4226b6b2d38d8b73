"""Time passes for a case's webhooks too."""

from datetime import timedelta

import pytest

from cases import services
from cases.factories import CaseFactory
from cases.models import Case, Status
from cases.time_travel import bring_nearer
from webhooks.models import Delivery, DeliveryState

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def delivery() -> Delivery:
    case = CaseFactory(status=Status.RUNNING, client_webhook_url="https://client.example/hook")
    services.cancel_case(case.pk, actor="staff ann")
    waiting: Delivery = Delivery.objects.get(case=case)
    Delivery.objects.update(next_attempt_at=waiting.created_at + 5 * HOUR, due_at=waiting.created_at + 5 * HOUR)
    waiting.refresh_from_db()
    return waiting


def test_a_delivery_that_waits_comes_nearer() -> None:
    waiting = delivery()
    version = Case.objects.get().version
    bring_nearer(waiting.case_id, HOUR)
    moved = Delivery.objects.get()
    assert moved.next_attempt_at == waiting.next_attempt_at - HOUR
    assert moved.due_at == moved.next_attempt_at
    assert Case.objects.get().version == version


def test_a_delivery_that_has_ended_stays_as_it_is() -> None:
    ended = delivery()
    Delivery.objects.update(state=DeliveryState.DELIVERED, due_at=None)
    bring_nearer(ended.case_id, HOUR)
    assert Delivery.objects.get().next_attempt_at == ended.next_attempt_at
