"""What deliveries ask of the database before and after a call, for many of them in one go.

With transactions of its own for each delivery a worker would spend most of its time on them, just when there is a
backlog. So the steps of a process that read at the same time read together, and those that have succeeded at the same
time are recorded together. Failures are recorded one by one (`webhooks.tasks.record_attempt`): each may change much.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cases import work
from cases.models import Case
from webhooks import endpoints, order, signing
from webhooks.models import Attempt, Delivery
from webhooks.sender import Outcome
from webhooks.together import Together


@dataclass(frozen=True)
class Letter:
    """A delivery as it is to be sent."""

    pk: uuid.UUID
    case_id: uuid.UUID
    client_id: uuid.UUID
    endpoint_id: int
    event_id: str
    url: str
    body: bytes
    state: str
    endpoint_rests_until: datetime | None
    encrypted_secrets: Sequence[str]  # of its client, those in use, the newest first
    read_at: datetime  # the database's time


@dataclass(frozen=True)
class Success:
    """A call that its endpoint has answered well."""

    letter: Letter
    outcome: Outcome


def _read_all(pks: Sequence[uuid.UUID]) -> list[Letter]:
    fields = ("pk", "case_id", "client_id", "endpoint_id", "event_id", "url", "body", "state", "endpoint__rests_until")
    rows = {row[0]: row for row in Delivery.objects.filter(pk__in=pks).order_by().values_list(*fields)}
    if missing := [pk for pk in pks if pk not in rows]:
        raise Delivery.DoesNotExist(f"delivery {missing[0]}")
    secrets, now = signing.encrypted_secrets({row[2] for row in rows.values()}), work.now()
    return [_letter(rows[pk], secrets, now) for pk in pks]


def _letter(row: tuple[Any, ...], secrets: Mapping[uuid.UUID, list[str]], now: datetime) -> Letter:
    pk, case_id, client_id, endpoint_id, event_id, url, body, *rest = row
    return Letter(pk, case_id, client_id, endpoint_id, event_id, url, bytes(body), *rest, secrets[client_id], now)


def _record_all(made: Sequence[Success]) -> list[None]:
    """Write down that they have arrived, whoever holds the rows by now, and let the next ones of their cases go."""
    with work.transaction():
        _lock_cases({one.letter.case_id for one in made})
        endpoints.succeed_together({one.letter.endpoint_id for one in made})
        deliveries = Delivery.objects.locked_together({one.letter.pk for one in made})
        Attempt.objects.bulk_create([_attempt(deliveries, one) for one in made])
        order.arrive(deliveries.values())
    return [None] * len(made)


def _lock_cases(pks: Iterable[uuid.UUID]) -> None:
    list(Case.objects.filter(pk__in=pks).order_by("pk").select_for_update(of=("self",), no_key=True).values_list("pk"))


def _attempt(deliveries: dict[uuid.UUID, Delivery], one: Success) -> Attempt:
    if one.letter.pk not in deliveries:
        raise Delivery.DoesNotExist(f"delivery {one.letter.pk}")
    return deliveries[one.letter.pk].attempt(one.letter.read_at, one.outcome)


read = Together(_read_all)
record = Together(_record_all)
