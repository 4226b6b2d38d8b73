"""What deliveries ask of the database before and after a call, for many of them in one go.

With transactions of its own for each delivery a worker would spend most of its time on them, just when there is a
backlog. So the steps of a process that read at the same time read together, and those that have succeeded at the same
time are recorded together. Failures are recorded one by one (`webhooks.tasks.record_attempt`): each may change much.
"""

import logging
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F, QuerySet
from django.db.models.functions import Now

from cases import database, work
from cases.models import Case
from cases.prepared import Prepared
from webhooks import endpoints, order
from webhooks.models import Attempt, Delivery
from webhooks.sender import Outcome
from webhooks.together import Together

logger = logging.getLogger(__name__)


@dataclass
class Letter:
    """A delivery as it is to be sent, and how its endpoint was when it was read."""

    pk: uuid.UUID
    case_id: uuid.UUID
    client_id: uuid.UUID
    endpoint_id: int
    event_id: str
    url: str
    body: bytes
    state: str
    is_endpoint_well: bool
    endpoint_rests_until: datetime | None
    read_at: datetime  # the database's time
    encrypted_secrets: list[str]  # of its client, those in use, the newest first


@dataclass(frozen=True)
class Success:
    """A call that was answered well by an endpoint against which nothing was held."""

    letter: Letter
    outcome: Outcome


# --- Before a call --------------------------------------------------------------------------------

FIELDS = ("pk", "case_id", "client_id", "endpoint_id", "event_id", "url", "body", "state")
NEWEST_SECRET_FIRST = ("-client__signing_secrets__created_at", "-client__signing_secrets__id")
OF_ENDPOINT = ("endpoint__failures", "endpoint__rests_until", "endpoint__parked_at")
SECRET = ("encrypted", "retires_at")
READ = (*FIELDS, *OF_ENDPOINT, "read_at", *SECRET)


def _read_all(pks: Sequence[uuid.UUID]) -> list[Letter]:
    """A letter for each. Raises DoesNotExist where a delivery is missing."""
    letters: dict[uuid.UUID, Letter] = {}
    for values in _with_secrets(list(pks)):
        row = dict(zip(READ, values, strict=True))
        letter = letters.setdefault(row["pk"], _letter(row))
        if row["encrypted"] and (row["retires_at"] is None or row["retires_at"] > letter.read_at):
            letter.encrypted_secrets.append(row["encrypted"])
    if missing := [pk for pk in pks if pk not in letters]:
        raise Delivery.DoesNotExist(f"delivery {missing[0]}")
    return [letters[pk] for pk in pks]


@Prepared
def _with_secrets(pks: list[uuid.UUID]) -> QuerySet[Any, Any]:
    """A row for each secret of the client, seldom more than one."""
    secret = {name: F(f"client__signing_secrets__{name}") for name in SECRET}
    rows: Any = Delivery.objects.filter(pk__in=pks).order_by(*NEWEST_SECRET_FIRST)
    letters: QuerySet[Any, Any] = rows.annotate(read_at=Now(), **secret).values_list(*READ)
    return letters


def _letter(row: dict[str, Any]) -> Letter:
    failures, rests_until, parked_at = (row[name] for name in OF_ENDPOINT)
    return Letter(
        **{name: row[name] for name in FIELDS if name != "body"},
        body=bytes(row["body"]),
        is_endpoint_well=not failures and rests_until is None and parked_at is None,
        endpoint_rests_until=rests_until,
        read_at=database.to_milliseconds(row["read_at"]) if database.is_server() else database.now(),
        encrypted_secrets=[],
    )


# --- After a success ------------------------------------------------------------------------------


def _record_all(made: Sequence[Success]) -> list[None]:
    """Write down that they have arrived, whoever holds the rows by now, and let the next ones of their cases go."""
    with work.transaction():
        _locked_cases(sorted({one.letter.case_id for one in made}))
        lines = order.locked_lines({one.letter.pk for one in made}, {one.letter.case_id for one in made})
        Attempt.objects.bulk_create([_attempt(lines, one) for one in made])
        order.arrive({one.letter.pk for one in made}, lines)
    _tell_endpoints(lines[one.letter.pk] for one in made)
    return [None] * len(made)


@Prepared
def _locked_cases(pks: list[uuid.UUID]) -> QuerySet[Any, Any]:
    """In one order, so that no two wait for each other."""
    return Case.objects.filter(pk__in=pks).order_by("pk").select_for_update(of=("self",), no_key=True).values_list("pk")


def _attempt(lines: dict[uuid.UUID, Delivery], one: Success) -> Attempt:
    if one.letter.pk not in lines:
        raise Delivery.DoesNotExist(f"delivery {one.letter.pk}")
    return lines[one.letter.pk].attempt(one.letter.read_at, one.outcome)


def _tell_endpoints(arrived: Iterable[Delivery]) -> None:
    """Note the successes where that is news. Not in the same transaction: endpoints are locked before deliveries, and
    many wait for the lock of a busy one. What is lost here is said by the next success."""
    news = {delivery.endpoint_id for delivery in arrived if endpoints.is_news(delivery.endpoint, delivery.now)}
    if not news:
        return
    try:
        endpoints.succeed_together(news)
    except database.UNAVAILABLE:
        logger.warning("could not note that endpoints are well", exc_info=True)
        database.let_go_of_connection()


read = Together(_read_all)
record = Together(_record_all)
