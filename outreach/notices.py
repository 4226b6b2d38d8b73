"""Staff are told, by mail or in a chat, of what waits for them: questions, drafts, mail that nobody could place, and
endpoints that get no webhooks any more.

A listener writes a row for each recipient, in the transaction of what it tells of; a worker sends it afterwards. The
first one goes at once; those that come within OFFLOAD_NOTICE_DIGEST_MINUTES after it wait, and go out as one, as do
those of a quiet night. No two rows of one recipient are held at a time (`Kind.at_most_by`), so a digest is made once.

At least once: who belongs to a digest is committed before it is sent, so a worker that dies between the server's answer
and its own commit sends the same things again, with the same Message-ID. For a mere reminder that is better than none.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Max, Q

from cases import work
from cases.models import Case, Event
from outreach.models import InboundPayload, NoticeHold, NoticeState, StaffNotice
from outreach.staff_notices import chat, mail
from outreach.staff_notices.quiet_hours import end_of_quiet
from outreach.staff_notices.recipients import Recipient, configured
from outreach.staff_notices.subjects import Item, arranged, item_of, with_subjects

Claim = work.Claim[StaffNotice]

MAX_JOINED = 200  # of one digest; what is beyond it makes the next one
BEHIND = timedelta(seconds=5)  # after one that is tried again goes the next one
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


# --- What is told of ------------------------------------------------------------------------------


def tell_staff(case: Case, event: Event) -> None:
    """Listener of `case.input_needed` and `case.input_overdue`: one notice for each of OFFLOAD_STAFF_NOTICES.

    Sends nothing itself.
    """
    is_reminder = event.type == "case.input_overdue"
    _write(event.at, case=case, question_id=event.data["inputRequestId"], is_reminder=is_reminder)


def tell_staff_of_draft(case: Case, event: Event) -> None:
    """Listener of `case.draft_ready`: likewise."""
    _write(event.at, case=case, draft_id=event.data["messageId"])


def tell_staff_of_parking(case: Case, event: Event) -> None:
    """Listener of `webhook.parked`: likewise."""
    _write(event.at, case=case, parking=event)


def tell_staff_of_mail(payload: InboundPayload, *, is_urgent: bool = False) -> None:
    """For a payload that waits for staff from now on, and that you hold locked.

    Unless it is urgent, staff are told only if it still waits after OFFLOAD_NOTICE_MAIL_HOURS, and at most once in that
    time of all such mail: strangers decide how much of it there is.
    """
    hours = settings.OFFLOAD_NOTICE_MAIL_HOURS
    if is_urgent:
        _write(payload.now, payload=payload)
    elif hours and not StaffNotice.objects.filter(payload=payload, state=NoticeState.WAITING).exists():
        _write(payload.now, payload=payload, held_until=_next_round(payload.now, hours), hold=NoticeHold.PATIENCE)


def _next_round(now: datetime, hours: float) -> datetime:
    """The first multiple of the hours, counted in UTC, that is at least so many hours away."""
    pause = timedelta(hours=hours)
    return EPOCH + pause * -((EPOCH - now - pause) // pause)


def _write(at: datetime, **about: Any) -> None:
    for name in configured():
        notice = StaffNotice(address=name, created_at=at, **about)
        notice.now = at
        work.reschedule(notice)
        notice.save(force_insert=True)


# --- When, and what goes together -----------------------------------------------------------------


def send(claimed: Claim) -> None:
    """Send one notice, with those of its recipient that go out together with it; what has been settled is left out.

    Whatever the server says against it is raised, and tried again later: its settings may be put right.
    """
    recipient = configured().get(claimed.read().address)
    if recipient is None:
        _finish(claimed, NoticeState.NOT_NEEDED, note="OFFLOAD_STAFF_NOTICES does not name it any more.")
        return
    digest = _begin(claimed)
    now = work.now()
    found = {notice.pk: item_of(notice, now) for notice in digest}
    if items := arranged(filter(None, found.values())):
        _hand_over(claimed, recipient, items)
    if digest:
        told = {pk for pk, item in found.items() if item}
        claimed.insist(lambda: _finish(claimed, NoticeState.NOT_NEEDED, told=told))


def _begin(claimed: Claim) -> list[StaffNotice]:
    """The rows that go out now, which is committed; none if the time has not come yet, and then the row is held."""
    with claimed.write() as notice:
        if _is_to_wait(notice):
            work.reschedule(notice)
            notice.save()
            return []
        if notice.begun_at is None:
            _join_others(notice)
            notice.begun_at = notice.now
            notice.save(update_fields=["begun_at"])
        rows = StaffNotice.objects.filter(Q(pk=notice.pk) | Q(leader=notice.pk, state=NoticeState.WAITING))
        return list(with_subjects(rows).order_by("created_at", "pk"))


def _is_to_wait(notice: StaffNotice) -> bool:
    """Whether it is held, from now on, and why; for a row that is held locked."""
    if notice.leader and notice.leader.state == NoticeState.WAITING:
        notice.begun_at = notice.now  # its leader has been held for a day, by a quiet weekend for example
        return True
    until, why = _hold_of(notice)
    if until is None:
        return False
    notice.held_until, notice.hold = until, why
    return True


def _hold_of(notice: StaffNotice) -> tuple[datetime | None, NoticeHold]:
    if quiet_until := end_of_quiet(notice.now):
        return quiet_until, NoticeHold.QUIET
    if notice.begun_at:
        return None, NoticeHold.NONE
    to_same = StaffNotice.objects.filter(address=notice.address).exclude(pk=notice.pk)
    ahead = to_same.filter(state=NoticeState.WAITING, begun_at__isnull=False, leader=None)
    tried_again = ahead.filter(Q(retry_at__gt=notice.now) | Q(due_at__lte=notice.now)).aggregate(last=Max("due_at"))
    if tried_again["last"]:
        return max(tried_again["last"], notice.now) + BEHIND, NoticeHold.BEHIND
    if notice.hold != NoticeHold.WINDOW and _window():
        last = to_same.filter(state=NoticeState.SENT).aggregate(last=Max("sent_at"))["last"]
        if last and last + _window() > notice.now:
            return last + _window(), NoticeHold.WINDOW
    return None, NoticeHold.NONE


def _window() -> timedelta:
    return timedelta(minutes=settings.OFFLOAD_NOTICE_DIGEST_MINUTES)


def _join_others(leader: StaffNotice) -> None:
    """Put what is due for the same recipient into the digest of this row, which is held locked."""
    others = StaffNotice.objects.select_for_update(of=("self",)).filter(
        address=leader.address, state=NoticeState.WAITING, begun_at=None, due_at__lte=leader.now
    )
    if not _window():  # each by itself, but for what had to wait anyway
        others = others.exclude(hold=NoticeHold.NONE) if leader.hold else others.none()
    for notice in others.exclude(pk=leader.pk).order_by("created_at", "pk")[: MAX_JOINED - 1]:
        notice.now = notice.begun_at = leader.now
        notice.leader = leader
        work.reschedule(notice)
        notice.save(update_fields=["begun_at", "leader", "due_at"])


def _hand_over(claimed: Claim, recipient: Recipient, items: Sequence[Item]) -> None:
    """Outside of any transaction; raises what the server has against it."""
    hand_over: Callable[[], object]
    if recipient.is_webhook:
        hand_over = partial(chat.post, recipient, chat.message(items))
    else:
        hand_over = mail.compose(items, to=recipient.name, identity=str(claimed.pk)).send  # within EMAIL_TIMEOUT
    work.let_go_of_connection()
    if not claimed.renewed():
        raise work.LeaseLost(f"notice {claimed.pk}: too little of the lease is left to send")
    hand_over()


def _finish(claimed: Claim, state: NoticeState, *, told: Collection[UUID] = (), note: str = "") -> None:
    """The row and those of its digest have come to an end: those that were told of are sent, the others as given."""
    with claimed.write() as leader:
        joined = StaffNotice.objects.select_for_update(of=("self",)).filter(leader=leader, state=NoticeState.WAITING)
        for notice in (leader, *joined):
            notice.state = NoticeState.SENT if notice.pk in told else state
            notice.note = note
            notice.sent_at = leader.now if notice.state == NoticeState.SENT else None
            work.reschedule(notice)
            notice.save(update_fields=["state", "note", "sent_at", "due_at"])


def give_up(claimed: Claim, cause: str) -> None:
    """Nobody could be told: staff find the notices on their list, and what they are about among what waits."""
    _finish(claimed, NoticeState.FAILED, note=cause)


NOTICES = work.Kind(
    name="notice",
    model=StaffNotice,
    step=send,
    give_up=give_up,
    task="outreach.notices.pump_notices",
    at_most_by="address",
    of_case="case_id",
    time_facts=("held_until",),
)


def pump_notices() -> None:
    """The wake-up for notices."""
    work.run_pump("notice")
