"""The deliveries of a case stand in a line: who is first may go, and whoever ends lets the next one go.

Each function is for a transaction in which the case is held locked (see EndpointManager.locked for the order).
"""

import uuid
from collections.abc import Collection, Iterable

from cases import work
from webhooks import metrics
from webhooks.models import Delivery, DeliveryState, Endpoint


def end(delivery: Delivery, state: DeliveryState) -> None:
    """Save how it ended, on a row that is held locked, and let the next one of its case go in the same transaction."""
    delivery.state = state
    delivery.retry_at = None
    work.reschedule(delivery)
    delivery.save()  # before the successor looks whether anything is ahead of it
    metrics.DELIVERIES.add_after_commit(state=delivery.state.lower())
    successor = Delivery.objects.waiting(delivery.case_id).values_list("pk", flat=True).first()
    if successor is not None:
        _reschedule(successor)


def arrive(deliveries: Collection[Delivery]) -> None:
    """As `end` with DELIVERED, for many rows that are held locked with their new attempts counted; the late successes
    of what had arrived already are only counted."""
    for (has_arrived, attempts), group in _grouped(deliveries).items():
        rows = Delivery.objects.filter(pk__in=[delivery.pk for delivery in group])
        if has_arrived:
            rows.update(attempt_count=attempts)
            continue
        work.end_all(rows, state=DeliveryState.DELIVERED, attempt_count=attempts, delivered_at=group[0].now)
        metrics.DELIVERIES.add_after_commit(len(group), state=DeliveryState.DELIVERED.lower())
    _let_go({delivery.case_id for delivery in deliveries})


def _grouped(deliveries: Iterable[Delivery]) -> dict[tuple[bool, int], list[Delivery]]:
    groups: dict[tuple[bool, int], list[Delivery]] = {}
    for delivery in deliveries:
        key = delivery.state == DeliveryState.DELIVERED, delivery.attempt_count
        groups.setdefault(key, []).append(delivery)
    return groups


def _let_go(case_ids: Collection[uuid.UUID]) -> None:
    """Whoever is first in the lines of these cases now may go."""
    waiting = Delivery.objects.filter(case_id__in=case_ids, state=DeliveryState.WAITING).order_by("case_id", "-sequence")
    first = dict(waiting.values_list("case_id", "pk"))  # of each case the last one here
    if not first:
        return
    rows = Delivery.objects.locked_together(first.values()).values()
    for row in rows:
        row.stands_first = True
        work.reschedule(row)
    Delivery.objects.bulk_update(rows, ["due_at"])


def begin_anew(delivery: Delivery) -> None:
    """Put an ended delivery, on a row that is held locked, back in its place: due at once, with the whole schedule."""
    delivery.state, delivery.note = DeliveryState.WAITING, ""
    delivery.attempts_before, delivery.next_attempt_at = delivery.attempt_count, delivery.now
    work.reschedule(delivery)
    delivery.save()
    behind = Delivery.objects.waiting(delivery.case_id).filter(sequence__gt=delivery.sequence)
    for pk in list(behind.values_list("pk", flat=True)):
        _reschedule(pk)


def end_all(endpoint: Endpoint, state: DeliveryState) -> None:
    """End whatever waits for the endpoint, which is held locked, and let go what waits behind it for other endpoints.

    There may be thousands, so they are ended by one statement: of an ended row `work.reschedule` would say no more.
    """
    waiting = Delivery.objects.filter(endpoint=endpoint, state=DeliveryState.WAITING)
    locked = list(waiting.order_by("case_id", "sequence").select_for_update(of=("self",)).values_list("pk"))
    others = Delivery.objects.filter(state=DeliveryState.WAITING).exclude(endpoint=endpoint)
    behind = list(others.filter(case_id__in=waiting.values("case_id")).values_list("pk", flat=True))
    work.end_all(waiting, state=state)
    if locked:
        metrics.DELIVERIES.add_after_commit(len(locked), state=state.lower())
    for pk in behind:
        _reschedule(pk)


def _reschedule(pk: uuid.UUID) -> None:
    delivery = Delivery.objects.locked(pk)
    work.reschedule(delivery)
    delivery.save()
