"""Sending ended events once more: the same bytes under the same id, with the whole schedule before them."""

import uuid
from datetime import datetime

from django.db.models import QuerySet

from cases import work
from cases.models import Case
from webhooks import endpoints, order
from webhooks.errors import BehindAnother, NotWaiting, StillWaiting
from webhooks.models import Delivery, DeliveryState, Endpoint

MOST_AT_ONCE = 1000  # by one request of a person or a client, the oldest; the next one takes the next


def replay(delivery_pk: uuid.UUID) -> Delivery:
    """Send the delivery again, at once. Raises StillWaiting for one that has not ended.

    To a parked endpoint it is one attempt: a success takes the endpoint back, a failure leaves all as it was.
    """
    told = Delivery.objects.only("case_id", "endpoint_id").get(pk=delivery_pk)
    with work.transaction():
        Case.objects.locked(told.case_id)
        endpoints.wake(told.endpoint_id)
        delivery: Delivery = Delivery.objects.locked(delivery_pk)
        if delivery.state == DeliveryState.WAITING:
            raise StillWaiting
        order.begin_anew(delivery)
    return delivery


def try_now(delivery_pk: uuid.UUID) -> Delivery:
    """Make the next attempt of a delivery that waits for one due at once; it counts like any other.

    Raises NotWaiting for one that has ended, and BehindAnother where an earlier event of its case has to arrive first.
    """
    case_id = Delivery.objects.values_list("case_id", flat=True).get(pk=delivery_pk)
    with work.transaction():
        Case.objects.locked(case_id)
        delivery: Delivery = Delivery.objects.locked(delivery_pk)
        if delivery.state != DeliveryState.WAITING:
            raise NotWaiting
        delivery.next_attempt_at, delivery.retry_at = delivery.now, None
        work.reschedule(delivery)
        if delivery.due_at is None:
            raise BehindAnother
        delivery.save()
    return delivery


def replay_all(deliveries: QuerySet[Delivery]) -> int:
    """Send again those of the deliveries that have ended, of a case in order; how many. At most MOST_AT_ONCE."""
    ended = deliveries.exclude(state=DeliveryState.WAITING)
    # The first of a case first: once it is back in line, those behind it wait until it has arrived.
    pks = list(ended.order_by("created_at", "sequence").values_list("pk", flat=True)[:MOST_AT_ONCE])
    return sum(_was_replayed(pk) for pk in pks)


def _was_replayed(pk: uuid.UUID) -> bool:
    try:
        replay(pk)
    except StillWaiting:  # somebody was faster
        return False
    return True


def kept_for(endpoint: Endpoint) -> QuerySet[Delivery]:
    """What happened while the endpoint was parked, and what waited for it then."""
    return Delivery.objects.filter(endpoint=endpoint, state=DeliveryState.PARKED)


def since(deliveries: QuerySet[Delivery], moment: datetime) -> QuerySet[Delivery]:
    """Those of the deliveries that belong to what has happened since the moment."""
    return deliveries.filter(created_at__gte=moment)
