"""What is done every now and then, whatever cases there are. A chore is a row like any other that carries work, so of
any number of clocks and workers one does it, and a run that fails is tried again.

Settings name them (OFFLOAD_CHORES): name to the dotted path of a function and the seconds from one run to the next. The
function is given the seconds that it has, and when the last run that succeeded began; it raises to be run again soon.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.utils.module_loading import import_string

from cases import work
from cases.models import Chore

logger = logging.getLogger(__name__)
Run = Callable[[float, datetime | None], None]

FORGOTTEN = timedelta(days=1)  # after the last run of one that is not configured any more
TIME_TO_RECORD_SECONDS = 10.0  # of a step, kept free of the chore itself


def configured() -> dict[str, tuple[Run, timedelta]]:
    """The chores of this installation, and how often each is done. Raises ImportError for a path that leads nowhere."""
    chores = settings.OFFLOAD_CHORES.items()
    return {name: (import_string(path), timedelta(seconds=seconds)) for name, (path, seconds) in chores}


def plan() -> None:
    """See that each chore has its row, due at once if it is new, and forget those that nobody does any more.

    One that is not configured here may be that of another release, which works on the same database during an upgrade.
    """
    planned = set(Chore.objects.values_list("name", flat=True))
    if planned == set(settings.OFFLOAD_CHORES):
        return
    at = work.now()
    with work.transaction():
        Chore.objects.exclude(name__in=settings.OFFLOAD_CHORES).filter(done_at__lt=at - FORGOTTEN).delete()
        new = [Chore(name=name, next_at=at, due_at=at) for name in settings.OFFLOAD_CHORES if name not in planned]
        Chore.objects.bulk_create(new, ignore_conflicts=True)


def run_now(name: str) -> Chore | None:
    """Have the chore done at once, without waiting for its time or after a failure; None where there is none."""
    with work.transaction():
        try:
            chore: Chore = Chore.objects.locked(name)
        except Chore.DoesNotExist:
            return None
        chore.next_at, chore.retry_at = min(chore.next_at, chore.now), None
        work.reschedule(chore)
        chore.save()
    return chore


def do(claimed: work.Claim[Chore]) -> None:
    """One run of one chore."""
    chore = claimed.read()
    began_at = work.now()
    if chore.name not in settings.OFFLOAD_CHORES:  # a worker with an older configuration than the clock's
        _plan_next(claimed, began_at + timedelta(minutes=1))
        return
    run, pause = configured()[chore.name]
    work.let_go_of_connection()
    run(claimed.remaining() - TIME_TO_RECORD_SECONDS, chore.done_at)
    _plan_next(claimed, began_at + pause, done_at=began_at)


def _plan_next(claimed: work.Claim[Chore], next_at: datetime, *, done_at: datetime | None = None) -> None:
    with claimed.write() as row:
        row.next_at, row.retry_at = next_at, None
        row.done_at = done_at or row.done_at
        work.reschedule(row)
        row.save()


def say_it_fails(claimed: work.Claim[Chore], cause: str) -> None:
    """A chore that never comes to a good end: there is nobody to hand it to but whoever reads the log."""
    logger.error("chore %s: %s", claimed.pk, cause)
    _plan_next(claimed, work.now() + timedelta(hours=1))


CHORES = work.Kind(name="chore", model=Chore, step=do, give_up=say_it_fails, task="cases.chores.pump_chores")


def pump_chores() -> None:
    """The wake-up for chores."""
    work.run_pump("chore")
