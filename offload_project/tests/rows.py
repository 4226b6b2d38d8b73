"""Rows of other rooms than cases/, for the tests that let requests name all that there is."""

from typing import Any

from cases import work
from cases.factories import MessageFactory
from cases.models import Case, Draft, Event, MessageStatus
from webhooks import listeners
from webhooks.models import Delivery, DeliveryState


def draft_of(case: Case, **fields: Any) -> Draft:
    """A first mail that waits for approval; on a case that has ended, one that was dropped then."""
    status = MessageStatus.DROPPED if case.is_terminal else MessageStatus.DRAFT
    message = MessageFactory(case=case, status=status, drafted_at=work.now(), **fields)
    draft: Draft = Draft.objects.get(pk=message.pk)
    return draft


def delivery_of(case: Case, state: DeliveryState = DeliveryState.DELIVERED) -> Delivery:
    """An event that the case's client was told of, as it stands now. The case has a webhook URL."""
    with work.transaction():
        locked = Case.objects.locked(case.pk)
        event = Event.objects.create(case=locked, type="case.created", actor="system", at=locked.now, data={})
        listeners.enqueue(locked, event)
        delivery: Delivery = Delivery.objects.locked(Delivery.objects.get(timeline_event=event).pk)
        delivery.state = state
        work.reschedule(delivery)
        delivery.save()
    return delivery
