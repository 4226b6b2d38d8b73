"""`Idempotency-Key`: a request that is repeated gets its first answer again, and does nothing a second time.

The row of the key has the answer in it from the start, and commits together with what was asked for. So there is never
one without the other, a request that fails leaves nothing behind, and nobody has to clear up after a crash. Who comes
while the first request is still under way waits for it: on PostgreSQL at the unique index, on SQLite, whose only
writer all wait for anyway, at a lock of the process.
"""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import OperationalError, connection

from cases import database
from cases.errors import IdempotencyKeyInUse, IdempotencyKeyReused, InvalidCase
from cases.models import ApiKey, IdempotencyKey

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
LIFETIME = timedelta(hours=24)
WAIT_SECONDS = 2.0
CLEARED_AT_ONCE = 10  # expired keys that each new one takes along, so that no more are left than a day brings
LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL's SQLSTATE where lock_timeout has passed


@dataclass(frozen=True)
class Asked:
    """A request that may be repeated: whose it is, under which key, what it asks for, and when (database time)."""

    client_id: UUID
    key: str
    fingerprint: str
    at: datetime


class AlreadyAnswered(Exception):
    """The same request has been answered before: with this status and data."""

    def __init__(self, status: int, answer: Any) -> None:
        super().__init__("this request repeats another one")
        self.status = status
        self.answer = answer


def asked_by(caller: ApiKey, key: str | None, path: str, body: Any, *, at: datetime | None = None) -> Asked | None:
    """The request as it is recognised again; None where it carries no key. Raises InvalidCase for a malformed one.

    `at` is the database's time, if the caller has just read it.
    A test key and a live one of the same client never repeat each other's requests.
    """
    if key is None:
        return None
    if not re.fullmatch(r"[\x21-\x7e]{1,255}", key):
        fault = {"path": HEADER, "message": "Must be 1 to 255 visible ASCII characters."}
        raise InvalidCase(f"{HEADER}: {fault['message']}", [fault])
    what = json.dumps([caller.is_test, path, _canonical(body)], sort_keys=True, separators=(",", ":"))
    return Asked(caller.client_id, key, hashlib.sha256(what.encode()).hexdigest(), at or database.now())


def _canonical(value: Any) -> Any:
    """The value with each number in one spelling (RFC 8785 §3.2.2.3): 3 and 3.0 are the same."""
    if isinstance(value, dict):
        return {name: _canonical(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def keep(asked: Asked | None, *, status: int, answer: Any) -> None:
    """Store the answer to the request in the caller's transaction, as the first thing that is written in it.

    Raises AlreadyAnswered, IdempotencyKeyReused or IdempotencyKeyInUse; the transaction must end with it.
    """
    if asked is None:
        return
    row = IdempotencyKey(
        client_id=asked.client_id,
        key=asked.key,
        fingerprint=asked.fingerprint,
        status=status,
        answer=answer,
        created_at=asked.at,
    )
    same = IdempotencyKey.objects.filter(client_id=asked.client_id, key=asked.key)
    with _waiting_for_the_first():
        same.filter(created_at__lte=asked.at - LIFETIME).delete()
        IdempotencyKey.objects.bulk_create([row], ignore_conflicts=True)
    _look_up(asked, unless=row.pk)
    _clear_expired(asked.at)


def _look_up(asked: Asked, unless: UUID | None = None) -> None:
    """Raise AlreadyAnswered or IdempotencyKeyReused if the key has a row that is not `unless`, and not expired."""
    kept = IdempotencyKey.objects.filter(client_id=asked.client_id, key=asked.key)
    first = kept.filter(created_at__gt=asked.at - LIFETIME).first()
    if first is None or first.pk == unless:
        return
    if first.fingerprint != asked.fingerprint:
        raise IdempotencyKeyReused
    raise AlreadyAnswered(first.status, first.answer)


def _clear_expired(at: datetime) -> None:
    old = IdempotencyKey.objects.filter(created_at__lte=at - LIFETIME).order_by("created_at")
    if connection.features.has_select_for_update_skip_locked:
        old = old.select_for_update(skip_locked=True)
    IdempotencyKey.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:CLEARED_AT_ONCE])).delete()


# --- Waiting for the first ---


@contextmanager
def turn_of(asked: Asked | None) -> Iterator[None]:
    """The time in which a request is answered. Raises what `keep` raises as soon as that is known."""
    if asked is None:
        yield
        return
    _look_up(asked)
    with nullcontext() if database.is_server() else _alone(asked):
        yield


@contextmanager
def _waiting_for_the_first() -> Iterator[None]:
    """On PostgreSQL, wait no longer than WAIT_SECONDS for another transaction with the same key."""
    if not database.is_server():
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = {round(WAIT_SECONDS * 1000)}")
        try:
            yield
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) == LOCK_NOT_AVAILABLE:
                raise IdempotencyKeyInUse from error
            raise
        cursor.execute("SET LOCAL lock_timeout TO DEFAULT")


_changed = threading.Condition()
_under_way: set[tuple[UUID, str]] = set()


@contextmanager
def _alone(asked: Asked) -> Iterator[None]:
    """Nobody else in this process answers a request of the same key meanwhile."""
    name = (asked.client_id, asked.key)
    with _changed:
        if not _changed.wait_for(lambda: name not in _under_way, timeout=WAIT_SECONDS):
            raise IdempotencyKeyInUse
        _under_way.add(name)
    try:
        yield
    finally:
        with _changed:
            _under_way.remove(name)
            _changed.notify_all()
