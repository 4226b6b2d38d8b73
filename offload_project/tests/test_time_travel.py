"""Time passes for the webhooks and notices of a case too."""

from datetime import timedelta

import pytest
from pytest_django import Settings

from cases import services, transitions, work
from cases.factories import CaseFactory
from cases.models import Case, Status
from cases.time_travel import bring_nearer
from outreach.models import StaffNotice
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


def test_a_pause_of_a_notice_is_shortened(settings: Settings) -> None:
    settings.OFFLOAD_STAFF_NOTICES = ["ann@staff.example"]
    case = CaseFactory(status=Status.RUNNING)
    with work.transaction():
        transitions.ask(Case.objects.locked(case.pk), question="Which one?", reason="")
    notice = StaffNotice.objects.get()
    StaffNotice.objects.update(retry_at=notice.created_at + 5 * HOUR, due_at=notice.created_at + 5 * HOUR)
    bring_nearer(case.pk, HOUR)
    assert StaffNotice.objects.get().due_at == notice.created_at + 4 * HOUR
