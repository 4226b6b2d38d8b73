"""Who works on which row: claims, their renewal and their end. Used through cases/work.py."""

import logging
import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Generic, TypeVar

from django.conf import settings
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from cases import claim_sql, database
from cases.models import DueRow

logger = logging.getLogger(__name__)
M = TypeVar("M", bound=DueRow)
T = TypeVar("T")

ALONE_FROM = 3  # lost leases: from here a row runs alone, so that one that kills processes takes no other along
HANDED_OVER_AT = 10  # lost leases: from here people look at it
FAILING_AT_MOST = timedelta(hours=24)
BACKOFF_SECONDS = (60.0, 3600.0)  # first and longest wait after a failed step


class LeaseLost(Exception):
    """Another worker holds the row by now: whatever this one decided is dropped."""


class MovedOn(Exception):
    """The row has changed since it was read: what was decided on it is dropped, and the row is due again."""


class StepFailed(Exception):
    """A failure that may know how long the row is to be left alone: another service has said so (RFC 9110 §10.2.3)."""

    def __init__(self, reason: str, *, retry_after_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after_seconds = retry_after_seconds


class StepWaits(StepFailed):
    """No failure of the row: what it needs is left alone by all for now. After a day of that people are asked, too."""


@dataclass(frozen=True)
class Kind(Generic[M]):
    """A kind of row that carries work, and what is done with it. Registered in settings by dotted path."""

    name: str
    model: type[M]
    step: "Callable[[Claim[M]], None]"  # advances one row
    give_up: "Callable[[Claim[M], str], None]"  # hands a row to people, with the cause
    task: str  # dotted path of the django-q2 task that wakes the pump
    turns_by: str | None = None  # the field whose values take turns
    at_most_by: str | None = None  # the field (never null) of each of whose values no more than `at_most()` are held
    at_most: "Callable[[], int]" = lambda: 1  # over all workers
    may_be_claimed: Callable[[], Q] = Q  # of the due rows; for reasons that lie outside the row
    of_case: str | None = None  # the look-up that finds a case's rows; none: they belong to no case
    time_facts: tuple[str, ...] = ()  # the fields that say when a row of a case is due; see cases/time_travel.py

    def rows(self) -> "QuerySet[M]":
        """All rows of the kind."""
        return self.model._default_manager.all()


@cache
def kinds() -> Mapping[str, Kind[Any]]:
    """All registered kinds by name."""
    return {name: import_string(path) for name, path in settings.OFFLOAD_WORK_KINDS.items()}


def due(kind: str) -> QuerySet[Any]:
    """The rows that a claim would take now: due, held by nobody, and not of an owner of whom enough are held.

    The clock looks at the same ones.
    """
    rows, owner = _due(kinds()[kind]), kinds()[kind].at_most_by
    if owner is None:
        return rows
    full = held_by_owner(kind).filter(held__gte=kinds()[kind].at_most())
    with_room: QuerySet[Any] = rows.filter(~Q(**{f"{owner}__in": full.values(owner)}))
    return with_room


def _due(kind: Kind[Any]) -> QuerySet[Any]:
    """The rows that are due, held by nobody and not to be left alone, whoever owns them."""
    now = current_time()
    unheld = Q(lease_until__isnull=True) | Q(lease_until__lte=now)
    return kind.rows().filter(unheld, kind.may_be_claimed(), due_at__lte=now)


def kinds_with_due_rows() -> list[str]:
    """The kinds of which a claim would take something now. One look for all, since the clock looks every second."""
    return _kept(_look, *((name, kind.at_most()) for name, kind in kinds().items()))()


def _look(*kinds_and_bounds: tuple[str, int]) -> claim_sql.Look:
    return claim_sql.Look({name: due(name) for name, _ in kinds_and_bounds})


def one_must_run_alone() -> bool:
    """Whether a row is due that would be claimed only by `alone`."""
    return bool(_kept(_look_for_lone_rows, *kinds())())


def _look_for_lone_rows(*names: str) -> claim_sql.Look:
    return claim_sql.Look({name: _due(kinds()[name]).filter(lost_leases__gte=ALONE_FROM) for name in names})


def _kept(make: Callable[..., T], *about: Any) -> T:
    """What `make` gives, kept for the next time: a statement takes longer to build than to run.

    Only where the database tells the time, which would else stand in the statement.
    """
    return _made(make, *about) if database.is_server() else make(*about)


@cache
def _made(make: Callable[..., T], *about: Any) -> T:
    return make(*about)


def oldest_due(kind: str) -> datetime | None:
    """Since when the row has been due that has waited longest of those which a claim would take now."""
    rows = due(kind).order_by("due_at").values_list("due_at", flat=True)
    oldest: datetime | None = rows.first()
    return oldest


def held_by_owner(kind: str) -> QuerySet[Any]:
    """For a kind with `at_most_by`: each of its values with the number of rows that are `held` now, if any are."""
    owner = str(kinds()[kind].at_most_by)
    held = kinds()[kind].rows().filter(lease_until__gt=current_time())
    counted: QuerySet[Any] = held.order_by().values(owner).annotate(held=Count("pk"))
    return counted


def current_time() -> datetime | Now:
    """The database's time for use inside a query, without asking for it first."""
    return Now() if database.is_server() else database.now()


@dataclass(eq=False)
class Claim(Generic[M]):
    """A row that this process holds for one step."""

    kind: Kind[M]
    pk: Any
    token: uuid.UUID
    lost_leases: int
    held_until: float  # monotonic seconds
    deadline: float  # monotonic seconds: the step's end, come what may
    version: int | None = field(default=None)

    def read(self) -> M:
        """The row as it stands, with `now`; decisions made on it hold only while it stays so."""
        row: M = self.kind.model._default_manager.read(self.pk)
        self.version = getattr(row, "version", None)
        return row

    def renewed(self) -> bool:
        """Whether the row is still ours for as long as a call to the transport may take.

        Between two renewals a lease may be just long enough, so one that is under way is waited for, a second at most.
        """
        began_at = time.monotonic()
        while self.held_until < time.monotonic() + settings.OFFLOAD_TRANSPORT_SECONDS:
            if time.monotonic() >= min(self.held_until, began_at + 1.0):
                return False
            time.sleep(0.05)
        return True

    def remaining(self) -> float:
        """Seconds until the step's deadline, at least 0."""
        return max(0.0, self.deadline - time.monotonic())

    @contextmanager
    def write(self) -> Iterator[M]:
        """A short transaction on the locked row, for what is true whatever has happened to it. Raises LeaseLost."""
        with database.transaction():
            row = self.kind.model._default_manager.locked(self.pk)
            if row.lease_token != self.token:
                raise LeaseLost(f"{self.kind.name} {self.pk}")
            yield row

    @contextmanager
    def decide(self) -> Iterator[M]:
        """As `write`, for what was decided on the row as it was read. Raises MovedOn if it has changed since."""
        with self.write() as row:
            if getattr(row, "version", None) != self.version:
                raise MovedOn(f"{self.kind.name} {self.pk}")
            yield row

    def insist(self, write_fact: Callable[[], T]) -> T:
        """Carry out a write whose content can't be had again, repeating it while the database fails and we hold on."""
        while True:
            try:
                return write_fact()
            except database.UNAVAILABLE:
                if time.monotonic() + 1 > self.held_until:
                    raise
                logger.warning("%s %s: writing a fact failed, trying again", self.kind.name, self.pk, exc_info=True)
                database.let_go_of_connection()
                time.sleep(0.2)


# --- Taking, keeping, giving back -----------------------------------------------------------------


def claim(kind_name: str, limit: int, *, alone: bool = False) -> list[Claim[Any]]:
    """Take up to `limit` due rows; owners (clients) take turns where the kind has them.

    Rows that were lost ALONE_FROM times or more are taken only by `alone`, which takes no others.
    """
    if limit <= 0:
        return []
    kind, token, before = kinds()[kind_name], uuid.uuid4(), time.monotonic()
    with _claiming(kind):
        take = _kept(_take, kind, alone)
        taken = take(limit, kind.at_most(), token, settings.OFFLOAD_LEASE_SECONDS)
    held_until, deadline = before + settings.OFFLOAD_LEASE_SECONDS, before + settings.OFFLOAD_STEP_SECONDS
    return [Claim(kind, pk, token, lost_leases, held_until, deadline) for pk, lost_leases in taken]


def _take(kind: Kind[Any], alone: bool) -> claim_sql.Take:
    rows = _due(kind).filter(**{"lost_leases__gte" if alone else "lost_leases__lt": ALONE_FROM})
    by = kind.at_most_by or kind.turns_by
    groups = claim_sql.Groups(by, kind.turns_by or by, kind.at_most_by is not None) if by else None
    return claim_sql.Take(rows, groups)


@contextmanager
def _claiming(kind: Kind[Any]) -> Iterator[None]:
    """What a claim is made in: one statement needs no transaction, but two claims may not find the same room."""
    if kind.at_most_by is None:
        with database.statement():
            yield
    else:
        with database.transaction():
            database.wait_for_turn(f"claim {kind.name}")
            yield


def renew(claims: Iterable[Claim[Any]]) -> None:
    """Hold the rows for another lease, each only while its step is within its deadline and nobody else has taken it."""
    for kind, mates in _by_kind(held for held in claims if held.remaining() > 0).items():
        before = time.monotonic()
        with database.statement():
            ours = claim_sql.renew(kind.rows().model, _tokens(mates), settings.OFFLOAD_LEASE_SECONDS)
        for mate in mates:
            mate.held_until = before + settings.OFFLOAD_LEASE_SECONDS if (mate.pk, mate.token) in ours else 0.0


def release(claims: Iterable[Claim[Any]]) -> None:
    """Give back rows whose steps came to a good end; they are due again when their facts say so."""
    for kind, mates in _by_kind(claims).items():
        with database.statement():
            claim_sql.give_back(kind.rows().model, _tokens(mates))


def _by_kind(claims: Iterable[Claim[Any]]) -> dict[Kind[Any], list[Claim[Any]]]:
    groups: dict[Kind[Any], list[Claim[Any]]] = {}
    for held in claims:
        groups.setdefault(held.kind, []).append(held)
    return groups


def _tokens(mates: list[Claim[Any]]) -> list[tuple[Any, uuid.UUID]]:
    return [(mate.pk, mate.token) for mate in mates]


def fail(held: Claim[Any], error: BaseException) -> None:
    """Give back a row whose step failed: it is due again after a pause, and goes to people after a day of failures.

    What has changed the row meanwhile has cleared the pause already, as it does when it comes a moment later.
    """
    with held.write() as row:
        row.failures += not isinstance(error, StepWaits)
        row.failing_since = row.failing_since or row.now
        pause = _pause(held, row, error)
        row.retry_at = row.now + timedelta(seconds=pause) if pause else None
        row.last_error = describe(error)
        row.lost_leases = 0
        failing_too_long = row.now - row.failing_since >= FAILING_AT_MOST
        if failing_too_long:
            row.failing_since = None  # the next day begins
        derive_due_at(row)
        row.save(update_fields=row.WORK_FIELDS)
        if failing_too_long:
            what = "waited" if isinstance(error, StepWaits) else "failed"
            held.kind.give_up(held, f"It has {what} for a day: {row.last_error}")
        held.kind.rows().filter(pk=held.pk, lease_token=held.token).update(lease_token=None, lease_until=None)


def _pause(held: Claim[Any], row: DueRow, error: BaseException) -> float:
    """Seconds to leave the row alone; never less than another service has asked for."""
    has_moved_on = held.version is not None and row.version != held.version  # type: ignore[attr-defined]
    has_no_backoff = has_moved_on or isinstance(error, StepWaits)
    return max(0.0 if has_no_backoff else backoff_seconds(row.failures), _asked_pause(error))


def _asked_pause(error: BaseException) -> float:
    return error.retry_after_seconds if isinstance(error, StepFailed) else 0.0


def describe(error: BaseException) -> str:
    """The error in one line, for staff and logs."""
    said = f"{error}" if isinstance(error, StepWaits) else f"{type(error).__name__}: {error}"
    return said[:500].replace("\x00", "")


def backoff_seconds(failures: int) -> float:
    """How long to wait after so many failures in a row: a minute, doubled each time up to an hour, plus up to 20 %."""
    first, longest = BACKOFF_SECONDS
    return min(first * 2.0 ** min(failures - 1, 30), longest) * random.uniform(1.0, 1.2)


def derive_due_at(row: DueRow) -> datetime | None:
    """Set due_at to the earliest of the row's facts, but not before retry_at; the only place that sets it."""
    row.due_at = min(row.due_facts(), default=None)
    if row.due_at and row.retry_at:
        row.due_at = max(row.due_at, row.retry_at)
    return row.due_at


def end_all(rows: QuerySet[Any], **facts: Any) -> None:
    """Give many rows, which are held locked, facts by which nothing is left to do for them, in one statement."""
    rows.update(**facts, due_at=None, retry_at=None)
