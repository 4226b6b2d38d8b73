"""The staff's first page counts the webhooks that somebody should look at."""

import pytest
from django.test import Client as Browser

from cases.tests.staff import staff
from webhooks.models import Delivery, DeliveryState
from webhooks.tests.test_listeners import fail, running

pytestmark = pytest.mark.django_db
GIVEN_UP, NOT_TRIED = "given up after the last attempt", "that could not be attempted"


def deliveries(*states: DeliveryState) -> None:
    for state in states:
        fail(running())
        Delivery.objects.filter(state=DeliveryState.WAITING).update(state=state, due_at=None)


def test_what_did_not_arrive_is_counted_and_listed() -> None:
    deliveries(DeliveryState.EXHAUSTED, DeliveryState.FAILED, DeliveryState.EXHAUSTED, DeliveryState.DELIVERED)
    clerk = staff("view_case")
    html = clerk.get("/admin/").content.decode()
    given_up, not_tried = ("/admin/webhooks/delivery/?state__exact=" + state for state in ("EXHAUSTED", "FAILED"))
    assert f'href="{given_up}"><strong>2</strong> webhooks {GIVEN_UP}</a>' in html
    assert f'href="{not_tried}"><strong>1</strong> webhook {NOT_TRIED}</a>' in html
    assert len(clerk.get(given_up).context["cl"].result_list) == 2


@pytest.mark.parametrize("permissions", [(), ("view_client",)])
def test_who_may_not_see_cases_is_told_nothing(permissions: tuple[str, ...]) -> None:
    deliveries(DeliveryState.EXHAUSTED, DeliveryState.FAILED)
    html = staff(*permissions).get("/admin/").content.decode()
    assert GIVEN_UP not in html
    assert NOT_TRIED not in html


def test_what_needs_nobody_is_left_out(admin_client: Browser) -> None:
    deliveries(DeliveryState.DELIVERED)
    fail(running())
    html = admin_client.get("/admin/").content.decode()
    assert GIVEN_UP not in html
    assert NOT_TRIED not in html
