"""The deliveries of a case stand in a line: who is first may go, and whoever ends lets the next one go.

Each function is for a transaction in which the case is held locked (see EndpointManager.locked for the order).
"""

import uuid
from collections.abc import Collection, Iterable
from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from cases import work
from cases.models.due import with_now
from cases.prepared import Prepared
from webhooks import metrics
from webhooks.models import Delivery, DeliveryState, Endpoint

NEEDED = (
    "case_id",
    "sequence",
    "state",
    "attempt_count",
    "next_attempt_at",
    "retry_at",
    *(f"endpoint__{name}" for name in ("failures", "rests_until", "parked_at", "last_success_at")),
)


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


def locked_lines(pks: Collection[uuid.UUID], case_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Delivery]:
    """These deliveries, and whatever waits in their cases, each locked, with `now` and the fields that are needed here.

    For cases that are held locked; in one order, so that no two callers wait for each other.
    """
    return {row.pk: with_now(row) for row in _lines(sorted(pks), sorted(case_ids))}


@Prepared
def _lines(pks: list[uuid.UUID], case_ids: list[uuid.UUID]) -> QuerySet[Any]:
    rows: QuerySet[Any] = Delivery.objects.filter(Q(pk__in=pks) | Q(case_id__in=case_ids, state=DeliveryState.WAITING))
    rows = rows.order_by("pk").select_for_update(of=("self",)).annotate(looked_at=Now())
    return rows.select_related("endpoint").only(*NEEDED)


def arrive(pks: Collection[uuid.UUID], lines: dict[uuid.UUID, Delivery]) -> None:
    """As `end` with DELIVERED, for several of `locked_lines` whose new attempts are counted already.

    Of one that had arrived before no more than that is noted.
    """
    arrived = [lines[pk] for pk in pks]
    for (is_new, attempts), group in _grouped(arrived).items():
        rows = Delivery.objects.filter(pk__in=[delivery.pk for delivery in group])
        if is_new:
            at = group[0].now
            work.end_all(rows, state=DeliveryState.DELIVERED, attempt_count=attempts, delivered_at=at)
            metrics.DELIVERIES.add_after_commit(len(group), state=DeliveryState.DELIVERED.lower())
        else:
            rows.update(attempt_count=attempts)
    _let_go(delivery for delivery in lines.values() if delivery.pk not in pks)


def _grouped(deliveries: Iterable[Delivery]) -> dict[tuple[bool, int], list[Delivery]]:
    groups: dict[tuple[bool, int], list[Delivery]] = {}
    for delivery in deliveries:
        key = delivery.state != DeliveryState.DELIVERED, delivery.attempt_count
        groups.setdefault(key, []).append(delivery)
    return groups


def _let_go(waiting: Iterable[Delivery]) -> None:
    """Let the first of each case go."""
    first = {row.case_id: row for row in sorted(waiting, key=lambda row: row.sequence, reverse=True)}
    if not first:
        return
    for row in first.values():
        row.stands_first = True
        work.reschedule(row)
    Delivery.objects.bulk_update(first.values(), ["due_at"])


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
