"""What the row of a service allows, and what an answer changes in it. For rows that are held locked; none is saved.

The limit follows how TCP finds the rate of a line (RFC 5681). After a pause calls begin one by one, twice as many every
other second; from half the rate at which the service last said that it was busy they grow slowly. At CEILING there is
no limit any more. It grows with time, not with answers: a call that goes well costs no write.

Who says that it is busy again as soon as it is called again has not been called too often: it is not back. Then the
rate that was found stays as it is (RFC 5681 §3.1 does so after a second time-out), and the pause gets longer instead.
However long it is busy, calls are soon as many as before once it is not. Two things hold always: nobody calls before
the end of a pause that was asked for, and apart from pauses there are FLOOR calls a second at least.
"""

import math
import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from outreach.models import Provider
from outreach.providers.trouble import Trouble

START, FLOOR, CEILING = 1.0, 0.5, 64.0  # calls a second
DOUBLES_EVERY_SECONDS = 2.0
FIRST_CALL_SECONDS = 0.5  # after the end of a pause; the second call comes a second after it
GROWS_BY = 0.1  # calls a second, each second, once it is near the rate that was too much
DOWN_AFTER = 5  # failures in a row, none of which is older than FORGOTTEN
FORGOTTEN = timedelta(minutes=10)
PAUSE_SECONDS = (30.0, 300.0)  # of a service that is down: the first and the longest, doubled each time
BUSY_SECONDS = (1.0, 30.0)  # where it does not say how long: the first and the longest pause, doubled each time
MOST_WAIT_SECONDS = 900.0  # then a row looks again, for the service may be back earlier than it said


@dataclass(frozen=True)
class Turn:
    """When a call may be made: ours if we wait so long; else the row should come again then."""

    in_seconds: float
    is_ours: bool
    is_probe: bool = False
    ramp_from: datetime | None = None  # of the limit that it keeps to: with another one it is no longer worth anything


def admit(row: Provider, *, patience_seconds: float, call_seconds: float) -> Turn:
    """The turn of a call that would wait so long for it, and end within `call_seconds`. Takes its place, or the next
    one of those who come again."""
    if row.is_down and row.now >= (row.paused_until or row.now):
        # The others wait for what becomes of this one, at most as long as it can take.
        row.paused_until = row.now + timedelta(seconds=call_seconds)
        _begin_ramp(row, row.paused_until)
        return Turn(0.0, is_ours=True, is_probe=True)
    if row.is_down:
        return _later(row)
    if rate_at(row, row.now) >= CEILING:
        slowed_at = row.slowed_at
        _end_ramp(row)
        row.slowed_at = slowed_at  # told so again soon, it is known how much was too much
        return Turn(0.0, is_ours=True)
    start = max(row.next_at or row.now, row.now)
    wait = (start - row.now).total_seconds()
    if wait > patience_seconds:
        return _later(row)
    row.next_at = start + timedelta(seconds=1 / rate_at(row, start))
    return Turn(wait, is_ours=True, ramp_from=row.ramp_from)


def _later(row: Provider) -> Turn:
    """One place after the other, as close as calls will be let through then: the end of a pause is no stampede."""
    start = max(at for at in (row.planned_until, row.paused_until, row.next_at, row.now) if at)
    wait = (start - row.now).total_seconds()
    if wait > MOST_WAIT_SECONDS:
        return Turn(MOST_WAIT_SECONDS * random.uniform(0.5, 1.0), is_ours=False)
    row.planned_until = start + timedelta(seconds=1 / rate_at(row, start))
    return Turn(wait, is_ours=False)


def rate_at(row: Provider, moment: datetime) -> float:
    """Calls a second that are let through at that moment if nothing else happens; CEILING: as many as come."""
    if row.ramp_from is None:
        return CEILING
    age = max(0.0, (moment - row.ramp_from).total_seconds())
    knee = min(CEILING, max(row.ramp_rate, row.ramp_knee or CEILING))
    doubling = DOUBLES_EVERY_SECONDS * math.log2(knee / row.ramp_rate)
    if age < doubling:
        return float(row.ramp_rate * 2 ** (age / DOUBLES_EVERY_SECONDS))
    return float(min(CEILING, knee + GROWS_BY * (age - doubling)))


def note_trouble(row: Provider, trouble: Trouble, *, began_at: datetime, is_probe: bool) -> None:
    """Of a call that began then."""
    row.last_error, row.last_error_at = trouble.words, row.now
    if trouble.is_busy:
        _slow_down(row, trouble.retry_after_seconds, began_at, is_probe)
    elif is_probe or not row.is_down:  # what began before it was known to be down says nothing new
        _count_failure(row, is_probe)


def _slow_down(row: Provider, retry_after_seconds: float | None, began_at: datetime, is_probe: bool) -> None:
    is_same_event = row.slowed_at is not None and began_at < row.slowed_at  # calls side by side are told all at once
    half = None if is_probe else _half_of_what_was_too_much(row, began_at)
    no_rate_helps = not is_same_event and row.ramp_from is not None and (half or 0.0) < FLOOR
    until = row.now + timedelta(seconds=_pause_seconds(row, retry_after_seconds, is_longer=no_rate_helps))
    if row.paused_until and not is_probe:
        until = max(until, row.paused_until)
    if row.is_down and not is_probe:
        row.paused_until = until
        return
    if not is_same_event:
        _cut(row, half)
        row.slowed_at = row.now
    _up_again(row)
    if not is_same_event or row.ramp_from is None or until > row.ramp_from:
        row.paused_until = until
        _ramp_from(row, until)


def _half_of_what_was_too_much(row: Provider, began_at: datetime) -> float | None:
    """Calls a second; None where it is not known: a first call after a pause, or the first one that is turned away."""
    if row.ramp_from is None:
        was_slowed = row.slowed_at is not None and row.now - row.slowed_at < FORGOTTEN
        return CEILING / 2 if was_slowed else None
    if row.is_down or began_at < row.ramp_from + timedelta(seconds=FIRST_CALL_SECONDS):
        return None
    return rate_at(row, began_at) / 2


def _pause_seconds(row: Provider, asked: float | None, *, is_longer: bool) -> float:
    """As it has asked for; else the first one, or twice the one before where that was not enough."""
    if asked is not None and (asked > 0 or not is_longer):
        return asked
    first, longest = BUSY_SECONDS
    if not is_longer or row.paused_until is None or row.slowed_at is None:
        return first
    return max(first, min(longest, 2 * (row.paused_until - row.slowed_at).total_seconds()))


def _cut(row: Provider, half: float | None) -> None:
    """Set the rate to begin with after the pause, and the knee, from which on it grows slowly."""
    if half is not None:
        row.ramp_knee = max(FLOOR, half)
    is_at_the_knee = half is not None and row.ramp_from is not None
    row.ramp_rate = row.ramp_knee if row.ramp_knee and is_at_the_knee else min(START, row.ramp_knee or START)


def _count_failure(row: Provider, is_probe: bool) -> None:
    is_new = row.failed_at is None or row.now - row.failed_at > FORGOTTEN
    if is_new and not is_probe:
        row.failures, row.failing_since = 0, None
    row.failures += 1
    row.failed_at, row.failing_since = row.now, row.failing_since or row.now
    if is_probe or row.failures >= DOWN_AFTER:
        first, longest = PAUSE_SECONDS
        pause = min(first * 2.0 ** min(row.pauses, 30), longest)
        row.is_down, row.pauses = True, row.pauses + 1
        until = row.now + timedelta(seconds=pause)
        row.paused_until = until if is_probe or row.paused_until is None else max(until, row.paused_until)
        _begin_ramp(row, row.paused_until)


def note_answer(row: Provider, *, is_probe: bool) -> None:
    """It has answered, whatever it said."""
    if is_probe:
        row.paused_until = None
        _begin_ramp(row, row.now)
    elif row.is_down:
        return  # begun before it was known to be down
    _up_again(row)


def _up_again(row: Provider) -> None:
    row.is_down, row.failures, row.pauses, row.failing_since, row.failed_at = False, 0, 0, None, None


def _begin_ramp(row: Provider, moment: datetime) -> None:
    """Start from one call a second; what was too much before is remembered."""
    if row.ramp_from is not None and row.ramp_rate > START:
        row.ramp_knee = row.ramp_knee or row.ramp_rate
    row.ramp_rate = START
    _ramp_from(row, moment)


def _ramp_from(row: Provider, moment: datetime) -> None:
    row.ramp_from = row.next_at = moment
    row.planned_until = None


def lift(row: Provider) -> None:
    """All may call it at once, whatever has been."""
    _up_again(row)
    _end_ramp(row)


def _end_ramp(row: Provider) -> None:
    row.paused_until = row.ramp_from = row.next_at = row.planned_until = row.slowed_at = row.ramp_knee = None
    row.ramp_rate = START
