"""Who works at what: questions and drafts are claimed, so that no two people decide the same.

A claim is nothing that clients see and no change of the case: `version` and `updated_at` stay. It ends by itself
MINUTES after the person was last seen at the page. It keeps colleagues away and nobody else: of several answers the
first one counts, wherever it comes from.
"""

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from cases import work
from cases.errors import CaseError
from cases.events import record
from cases.models import Case, Draft, InputRequest
from cases.models.claims import held

MINUTES = 15
Item = InputRequest | Draft

WHAT = {InputRequest: "question", Draft: "draft"}
ID = {InputRequest: "inputRequestId", Draft: "messageId"}


class ClaimedByAnother(CaseError):
    """A colleague works at it. Trying again helps once they are done, or it is taken over."""

    code, status = "CLAIMED_BY_ANOTHER", 409

    def __init__(self, holder: User, since: datetime | None) -> None:
        self.holder = holder
        began = f" since {timezone.localtime(since):%H:%M %Z}" if since else ""
        super().__init__(f"{holder.get_username()} has taken it{began}. Take it over first, or leave it to them.")


class NotOpen(CaseError):
    """There is nothing to decide any more."""

    code, status, message = "NOT_OPEN", 409, "There is nothing left to decide about this."


def open_rows(model: type[Item]) -> QuerySet[Any]:
    """Those that wait for a decision."""
    return Draft.objects.waiting() if model is Draft else InputRequest.objects.filter(status="PENDING")


def of_person(user: Any, now: datetime) -> Q:
    """Of claimable rows those that the person works at, or was handed."""
    return (held(now) & Q(claimed_by=user)) | Q(assigned_to=user)


def claim(item: Item, user: User) -> None:
    """Take it, or go on holding it. Raises ClaimedByAnother, or NotOpen."""
    with work.transaction():
        case = Case.objects.locked(item.case_id)
        current = _open(item)
        holder = current.holder(case.now)
        if holder and holder.pk != user.pk:
            raise ClaimedByAnother(holder, current.claimed_at)
        _hold(current, user, case.now, since=current.claimed_at if holder else case.now)


def take_over(item: Item, user: User, *, actor: str) -> None:
    """Take it from whoever has it, which stands on the timeline then. Raises NotOpen."""
    with work.transaction():
        case = Case.objects.locked(item.case_id)
        current = _open(item)
        holder = current.holder(case.now)
        _hold(current, user, case.now, since=case.now)
        if holder and holder.pk != user.pk:
            about = {ID[type(item)]: str(item.pk), "from": f"staff {holder.get_username()}"}
            record(case, f"{WHAT[type(item)]}.taken_over", actor=actor, **about)


def release(item: Item, user: User) -> None:
    """Let go of it, if the person has it."""
    with work.transaction():
        _rows(item).filter(claimed_by=user).update(claimed_by=None, claimed_at=None, claimed_until=None)


def keep(item: Item, user: User) -> bool:
    """Say that the person is still at it; false where they do not hold it any more."""
    with work.transaction():
        now = work.now()
        mine = _rows(item).filter(held(now), claimed_by=user)
        return bool(mine.update(claimed_until=now + timedelta(minutes=MINUTES)))


def hand_over(item: Item, colleague: User, *, by: User, note: str, actor: str) -> None:
    """Leave it to a colleague, who finds it among theirs. Raises NotOpen, or ClaimedByAnother."""
    with work.transaction():
        case = Case.objects.locked(item.case_id)
        _open(item)
        check(item, by)
        _rows(item).update(
            assigned_to=colleague, assignment_note=note, claimed_by=None, claimed_at=None, claimed_until=None
        )
        about = {ID[type(item)]: str(item.pk), "to": colleague.get_username(), "toUserId": colleague.pk, "note": note}
        record(case, f"{WHAT[type(item)]}.handed_over", actor=actor, **about)


def check(item: Item, user: User) -> None:
    """Raise ClaimedByAnother where a colleague works at it. For an item whose case you hold locked."""
    current = _rows(item).select_related("claimed_by").first()
    holder = current.holder(work.now()) if current else None
    if current and holder and holder.pk != user.pk:
        raise ClaimedByAnother(holder, current.claimed_at)


def check_case(case: Case, user: User) -> None:
    """As `check`, for the question or the draft that the case, which you hold locked, waits on."""
    question = open_rows(InputRequest).filter(case=case).first()
    item: Item | None = question or open_rows(Draft).filter(case=case).first()
    if item is not None:
        check(item, user)


def claim_next(
    model: type[Item], user: User, *, after: Item | None = None, rows: QuerySet[Any] | None = None
) -> Item | None:
    """Claim the one that has waited longest of those that nobody has, what was handed to the person first.

    `after` is let go of, and does not come again. `rows` are those that come into question, of `open_rows`; None: all.
    """
    if after is not None:
        release(after, user)
    passed: list[uuid.UUID] = [after.pk] if after is not None else []
    while (item := _next(model, user, after, rows, passed)) is not None:
        try:
            claim(item, user)
        except (ClaimedByAnother, NotOpen):  # somebody was faster: the next one
            passed.append(item.pk)
        else:
            return item
    return None


WAITS_SINCE: dict[type[Item], str] = {InputRequest: "requested_at", Draft: "drafted_at"}


def _next(
    model: type[Item], user: User, after: Item | None, rows: QuerySet[Any] | None, passed: list[uuid.UUID]
) -> Item | None:
    since = WAITS_SINCE[model]
    free = free_for(user, work.now())
    waiting = open_rows(model) if rows is None else rows
    waiting = waiting.filter(free).exclude(pk__in=passed)
    waiting = waiting.order_by(F("assigned_to").desc(nulls_last=True), since, "id")
    if after is not None:
        later = waiting.filter(**{f"{since}__gte": getattr(after, since)}).first()
        return later or waiting.first()
    found: Item | None = waiting.first()
    return found


def free_for(user: User, now: datetime) -> Q:
    """Of claimable rows those that the person may begin with: not a colleague's, by claim or by handing over."""
    return (~held(now) | Q(claimed_by=user)) & (Q(assigned_to__isnull=True) | Q(assigned_to=user))


def colleagues(user: Any, permission: str) -> QuerySet[User]:
    """The other active members of staff who have the permission, by name."""
    backend = "django.contrib.auth.backends.ModelBackend"
    able = User.objects.with_perm(permission, backend=backend).filter(is_staff=True, is_active=True)
    return able.exclude(pk=user.pk).order_by("username")


def _rows(item: Item) -> QuerySet[Any]:
    manager: Callable[..., QuerySet[Any]] = type(item).objects.filter
    return manager(pk=item.pk)


def _open(item: Item) -> Any:
    """The item as it is now. For one whose case you hold locked."""
    current = open_rows(type(item)).filter(pk=item.pk).select_related("claimed_by").first()
    if current is None:
        raise NotOpen
    return current


def _hold(current: Item, user: User, now: datetime, *, since: datetime | None) -> None:
    until = now + timedelta(minutes=MINUTES)
    _rows(current).update(claimed_by=user, claimed_at=since, claimed_until=until)
