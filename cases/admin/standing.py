"""How one case stands and what comes next, at length: the head of its page, and the plan of its mails."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cases import moments
from cases.admin import words
from cases.models import Case, Message, Purpose, Status


@dataclass(frozen=True)
class Trouble:
    """Why the last step failed, and when the next one is tried."""

    error: str
    tries: str


def next_step(case: Any, now: datetime) -> str:
    """What will happen to the case next, with count and time. For a case of `page.for_staff()`."""
    if case.is_terminal:
        end = words.ENDS.get(case.result_status or "", case.result_status)
        return f"Ended {moments.at_length(case.updated_at)}: {end}"
    if case.paused_at:
        return f"{_since(case, case.paused_at, now)}: nothing is sent, and nothing judged, until it is resumed"
    if case.asked_at:
        return f"{_since(case, case.asked_at, now)}{_unless_answered(case, now)}"
    if case.drafted_at:
        return _since(case, case.drafted_at, now)
    if case.has_queued or case.has_unread or case.status != Status.RUNNING or case.next_action_at is None:
        return words.step_of(case, now)
    return f"{_planned(case)} {_at(case, now)}"


def _since(case: Case, moment: datetime, now: datetime) -> str:
    return f"{words.step_of(case, now)}, since {moments.at_length(moment)}"


def _planned(case: Case) -> str:
    if case.deadline_at and case.next_action_at and case.next_action_at >= case.deadline_at:
        return "Ends at its deadline,"
    if case.follow_up_count >= case.max_attempts:
        number = case.follow_up_count
        return f"Gives up, {_all(number)}," if number else "Gives up, since no follow-ups are wanted,"
    return f"Follow-up {case.follow_up_count + 1} of {case.max_attempts}"


def _all(number: int) -> str:
    return "the one follow-up being sent" if number == 1 else f"all {number} follow-ups being sent"


def _at(case: Any, now: datetime) -> str:
    at = case.next_action_at
    if at <= now:
        return "now"
    return f"on {moments.at_length(at, moments.of_counterparty(case))}, in {words.span(now, at)}"


def _unless_answered(case: Case, now: datetime) -> str:
    if case.input_overdue_at is None or case.input_overdue_at <= now:
        return ""
    then = "the case fails" if case.fails_unanswered else "people are told again"
    return f"; without one {then} on {moments.at_length(case.input_overdue_at)}"


def trouble(case: Case, now: datetime) -> Trouble | None:
    """What keeps the case from going on; None where nothing does."""
    if not case.last_error or case.is_terminal:
        return None
    said = [f"Failed {_times(case.failures)}"] if case.failures else []
    if case.lost_leases > 1:
        said.append(f"begun {_times(case.lost_leases)} without coming to an end")
    if case.retry_at and case.retry_at > now:
        said.append(f"next try at {moments.time(case.retry_at)}, in {words.span(now, case.retry_at)}")
    return Trouble(case.last_error, "; ".join(said))


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


@dataclass(frozen=True)
class Planned:
    """A mail of the plan, or the end of it: what, and when it was or will be."""

    what: str
    when: str
    is_done: bool = False


MOST_PLANNED = 12  # of follow-ups; a client may ask for very many


def plan(case: Case, thread: Iterable[Message]) -> list[Planned]:
    """The first mail, the follow-ups that were sent, and those that follow if nobody answers."""
    sent = [message for message in thread if message.sent_at]
    firsts = [message for message in sent if message.purpose == Purpose.OUTREACH]
    follow_ups = [message for message in sent if message.purpose == Purpose.FOLLOW_UP]
    done = [Planned("First mail", moments.shortly(message.at), is_done=True) for message in firsts[:1]]
    done += [
        Planned(f"Follow-up {number}", moments.shortly(message.at), is_done=True)
        for number, message in enumerate(follow_ups, 1)
    ]
    return (done + list(_to_come(case)))[-MOST_PLANNED:] if not case.is_terminal else done[-MOST_PLANNED:]


def _to_come(case: Case) -> Iterator[Planned]:
    at, theirs = case.next_action_at, moments.of_counterparty(case)
    if case.status != Status.RUNNING or at is None or case.paused_at:
        return
    for number in range(case.follow_up_count + 1, case.max_attempts + 1)[:MOST_PLANNED]:
        if case.deadline_at and at >= case.deadline_at:
            break
        yield Planned(f"Follow-up {number}", _about(case, at, theirs))
        at = _after(at, case.follow_up_delay_hours)
    is_late = case.deadline_at is not None and at >= case.deadline_at
    yield Planned("Ends at its deadline" if is_late else "Gives up", _about(case, at, theirs))


def _about(case: Case, at: datetime, theirs: Any) -> str:
    exact = at == case.next_action_at
    return moments.at_length(at, theirs) if exact else f"about {moments.shortly(at)}"


def _after(at: datetime, hours: int) -> datetime:
    try:
        return at + timedelta(hours=hours)
    except OverflowError:  # a client may ask for more than the calendar has
        return at
