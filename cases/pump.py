"""The pump: advances due rows side by side in a thread pool, for a bounded time. Used through cases/work.py."""

import logging
import mmap
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from django.conf import settings
from django.db import connections

from cases import leases, log_context, metrics, width
from cases.database import UNAVAILABLE, let_go_of_connection
from cases.leases import Claim, LeaseLost, MovedOn, StepWaits

logger = logging.getLogger(__name__)


class SharedFlag:
    """Like an Event that nobody waits for, in memory that all processes share which are forked later.

    It has no lock, which a killed process could keep, or on which a signal handler could wait for its own thread.
    """

    def __init__(self) -> None:
        self._byte = mmap.mmap(-1, 1)

    def set(self) -> None:
        self._byte[0] = 1

    def is_set(self) -> bool:
        return self._byte[0] == 1


stopping = SharedFlag()  # set by SIGTERM, for all workers of the cluster: stop claiming, finish, release
_at_work = threading.Event()
# Beside done and failed.
OUTCOMES: dict[type[BaseException], str] = {MovedOn: "moved_on", LeaseLost: "lease_lost", StepWaits: "waits"}
LOOK_SECONDS = 0.2  # how often a pump with free threads looks for rows that have become due meanwhile


def is_at_work() -> bool:
    """Whether a pump runs in this process, so that it finds new due rows by itself."""
    return _at_work.is_set() and not stopping.is_set()


class Pump:
    """One run. The kind that was woken goes first; every other kind gets its turn too.

    Each kind has a few threads that the others can't take, so that slow rows of one never keep another waiting; the
    rest goes to whoever is there. How many there are in all changes, see cases/width.py.
    """

    def __init__(self, first: str, *, on_life: Callable[[], None] = lambda: None) -> None:
        names = list(leases.kinds())
        self.order = [first, *(name for name in names if name != first)]
        self.width = width.of_process(len(names))
        self.on_life = on_life  # called at each renewal: the cluster is busy, not hung
        self.running: dict[Future[None], Claim[Any]] = {}
        self.started = self.renewed_at = time.monotonic()

    def run(self) -> None:
        """Claim until the claim window closes or nothing is due, wait for the steps, release."""
        _at_work.set()
        try:
            with ThreadPoolExecutor(self.width.most, thread_name_prefix="step") as threads:
                is_due = self._look()
                if self._claim_one_alone(threads, is_due) or self._claim(threads, is_due):
                    self.on_life()
                while self.running:
                    self._wait()
                    self._renew()
                    self.width.adapt(len(self.running))
                    self._finish()
                    self._claim(threads, self._look())
        finally:
            _at_work.clear()

    def _may_claim(self) -> bool:
        return not stopping.is_set() and time.monotonic() - self.started < settings.OFFLOAD_CLAIM_SECONDS

    def _look(self) -> list[str]:
        """The kinds that have due rows, if more may be begun: a look costs less than a claim of each."""
        if not self._may_claim() or not any(self._room_for(name) for name in self.order):
            return []
        try:
            return leases.kinds_with_due_rows()
        except UNAVAILABLE:
            logger.warning("could not look for due rows", exc_info=True)
            let_go_of_connection()
            return []

    def _claim_one_alone(self, threads: ThreadPoolExecutor, is_due: list[str]) -> bool:
        """Take one row that must run alone; first of all, or it would wait for as long as there are others."""
        return any(self._take(threads, name, 1, alone=True) for name in self.order if name in is_due)

    def _claim(self, threads: ThreadPoolExecutor, is_due: list[str]) -> bool:
        """Take as many rows as there are threads for; whether there were any."""
        if any(held.lost_leases >= leases.ALONE_FROM for held in self.running.values()):
            return False
        taken = [self._take(threads, name, self._room_for(name)) for name in self.order if name in is_due]
        return any(taken)  # each has had its turn

    def _take(self, threads: ThreadPoolExecutor, name: str, limit: int, *, alone: bool = False) -> bool:
        try:
            claims = leases.claim(name, limit, alone=alone)
        except UNAVAILABLE:  # what runs must still be renewed and given back
            logger.warning("could not claim", exc_info=True)
            let_go_of_connection()
            return False
        # None begins before all have threads: hundreds that compute would leave this one no turn to start the rest.
        may_begin = threading.Event()
        try:
            self.running |= {threads.submit(_begin, held, may_begin): held for held in claims}
        finally:
            may_begin.set()
        return bool(claims)

    def _room_for(self, name: str) -> int:
        """How many threads the kind may take: all that are free, less what the others have reserved and not used."""
        used = Counter(held.kind.name for held in self.running.values())
        reserve = max(1, self.width.now // (len(self.order) * 3))
        reserved = sum(max(0, reserve - used[other]) for other in self.order if other != name)
        room: int = self.width.now - len(self.running) - reserved
        return max(0, room)

    def _wait(self) -> None:
        look_again = LOOK_SECONDS if self._may_claim() else settings.OFFLOAD_RENEW_SECONDS
        next_renewal = self.renewed_at + settings.OFFLOAD_RENEW_SECONDS - time.monotonic()
        wait(self.running, timeout=max(0.01, min(look_again, next_renewal)), return_when=FIRST_COMPLETED)

    def _renew(self) -> None:
        if time.monotonic() - self.renewed_at >= settings.OFFLOAD_RENEW_SECONDS:
            self.renewed_at = time.monotonic()
            try:
                leases.renew(held for future, held in self.running.items() if not future.done())
            except UNAVAILABLE:  # their steps see that the leases run out
                logger.warning("could not renew leases", exc_info=True)
                let_go_of_connection()
            self.on_life()

    def _finish(self) -> None:
        done = {future: held for future, held in self.running.items() if future.done()}
        for future in done:
            del self.running[future]
            self.width.note(future.exception())
        settle({held: future.exception() for future, held in done.items()})


def _begin(held: Claim[Any], may_begin: threading.Event) -> None:
    may_begin.wait()
    run_step(held)


def run_step(held: Claim[Any]) -> None:
    """One step in a thread of the pump, or in the caller's own in tests."""
    began_at, ended_by = time.monotonic(), None
    try:
        with log_context.bound(**_about(held)):
            if held.lost_leases >= leases.HANDED_OVER_AT:
                held.kind.give_up(held, f"Its work was begun {held.lost_leases} times and never came to an end.")
            else:
                held.kind.step(held)
    except BaseException as error:
        ended_by = error
        raise
    finally:
        metrics.STEPS.note(
            time.monotonic() - began_at, kind=held.kind.name, outcome=metrics.outcome_of(ended_by, OUTCOMES)
        )
        for connection in connections.all(initialized_only=True):
            if not connection.in_atomic_block:
                connection.close()


def _about(held: Claim[Any]) -> dict[str, Any]:
    """What the lines of a step's log name."""
    is_case = held.kind.of_case == "pk"
    return {"kind": held.kind.name, "row_id": held.pk, "case_id": held.pk if is_case else None}


def settle(outcomes: dict[Claim[Any], BaseException | None]) -> None:
    """Give back what has ended, well or not. A row that can't be given back now is free when its lease ends."""
    released = [held for held, error in outcomes.items() if error is None or isinstance(error, MovedOn)]
    try:
        leases.release(released)
    except UNAVAILABLE:
        logger.exception("could not give rows back; they are free when their leases end")
        let_go_of_connection()
    for held, error in outcomes.items():
        if error is not None and not isinstance(error, MovedOn | LeaseLost):
            with log_context.bound(**_about(held)):
                if isinstance(error, StepWaits):
                    logger.info("%s %s: waits: %s", held.kind.name, held.pk, error)
                else:
                    logger.warning("%s %s: the step failed", held.kind.name, held.pk, exc_info=error)
                _count_failure(held, error)


def _count_failure(held: Claim[Any], error: BaseException) -> None:
    try:
        leases.fail(held, error)
    except LeaseLost:
        logger.info("%s %s: was taken over meanwhile", held.kind.name, held.pk)
    except Exception:  # the database's, or of handing over to people: no row may stop the pump for the others
        logger.exception("%s %s: could not be given back; it is free when its lease ends", held.kind.name, held.pk)
        let_go_of_connection()
