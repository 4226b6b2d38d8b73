"""The pump: advances due rows side by side in a thread pool. Used through cases/work.py.

A pump claims for a bounded time, since django-q2 ends a task that takes too long. Its steps may take longer than it: a
keeper holds their rows until the next pump of the process takes them over, which may claim meanwhile. So a slow step
keeps no process from beginning others.
"""

import logging
import mmap
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
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


def _nothing() -> None: ...


class Pump:
    """One run. The kind that was woken goes first; every other kind gets its turn too.

    Each kind has a few threads that the others can't take, so that slow rows of one never keep another waiting; the
    rest goes to whoever is there. How many there are in all changes, see cases/width.py.
    """

    def __init__(
        self, first: str, *, on_life: Callable[[], None] = _nothing, on_end: Callable[[], None] = _nothing
    ) -> None:
        names = list(leases.kinds())
        self.order = [first, *(name for name in names if name != first)]
        self.width = width.of_process(len(names))
        self.on_life = on_life  # called at each renewal: the cluster is busy, not hung
        self.on_end = on_end  # called when steps that have outlived this pump end: their rows may be due again
        self.under_way = UnderWay(self.width)
        self.started = time.monotonic()

    def run(self) -> None:
        """Claim until nothing is due and all steps have ended, or until the claim window closes.

        Steps that still run then are left to the keeper. At SIGTERM they are waited for; so they are where a row waits
        that must run alone, and where a step goes on beyond its deadline: django-q2 then replaces the process.
        """
        _at_work.set()
        threads = ThreadPoolExecutor(self.width.most, thread_name_prefix="step")
        try:
            self.under_way = keeper.hand_over() or self.under_way
            is_due = self._look()
            if self._claim_one_alone(threads, is_due) or self._claim(threads, is_due):
                self.on_life()
            while self.under_way and not self._may_leave():
                self._turn(threads)
        finally:
            keeper.keep(self.under_way, self.on_end)
            threads.shutdown(wait=False)
            _at_work.clear()

    def _turn(self, threads: ThreadPoolExecutor) -> None:
        self.under_way.wait(LOOK_SECONDS if self._may_claim() else settings.OFFLOAD_RENEW_SECONDS)
        if self.under_way.renew():
            self.on_life()
        self.width.adapt(len(self.under_way))
        self.under_way.finish()
        self._claim(threads, self._look())

    def _may_leave(self) -> bool:
        """Whether the steps may outlive this pump."""
        if self._may_claim() or stopping.is_set() or any(held.remaining() <= 0 for held in self.under_way.claims()):
            return False
        try:
            return not leases.one_must_run_alone()
        except UNAVAILABLE:
            logger.warning("could not look for rows that must run alone", exc_info=True)
            let_go_of_connection()
            return False

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
        return not self.under_way and any(
            self._take(threads, name, 1, alone=True) for name in self.order if name in is_due
        )

    def _claim(self, threads: ThreadPoolExecutor, is_due: list[str]) -> bool:
        """Take as many rows as there are threads for; whether there were any."""
        if any(held.lost_leases >= leases.ALONE_FROM for held in self.under_way.claims()):
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
            self.under_way.add({threads.submit(_begin, held, may_begin): held for held in claims})
        finally:
            may_begin.set()
        return bool(claims)

    def _room_for(self, name: str) -> int:
        """How many threads the kind may take: all that are free, less what the others have reserved and not used."""
        used = Counter(held.kind.name for held in self.under_way.claims())
        reserve = max(1, self.width.now // (len(self.order) * 3))
        reserved = sum(max(0, reserve - used[other]) for other in self.order if other != name)
        room: int = self.width.now - len(self.under_way) - reserved
        return max(0, room)


class Keeper:
    """Sees to steps that have outlived their pump, in a thread of its own, until the next pump of the process begins.

    The thread keeps the process from ending before they do.
    """

    def __init__(self) -> None:
        self._under_way: UnderWay | None = None
        self._thread: threading.Thread | None = None
        self._wanted: Future[None] = Future()

    def keep(self, under_way: "UnderWay", on_end: Callable[[], None]) -> None:
        """Take these steps over, if there are any; `on_end` is called whenever some of them have ended."""
        if under_way:
            self._under_way, self._wanted = under_way, Future()
            self._thread = threading.Thread(target=self._see_to, args=(under_way, on_end), name="keeper")
            self._thread.start()

    def hand_over(self) -> "UnderWay | None":
        """Give up the steps, if any are kept: whoever calls sees to them from now on."""
        kept, thread = self._under_way, self._thread
        if kept is None or thread is None:
            return None
        if not self._wanted.done():
            self._wanted.set_result(None)
        thread.join()
        self._under_way = self._thread = None
        return kept

    def join(self) -> None:
        """Wait until all have ended."""
        if self._thread is not None:
            self._thread.join()

    def _see_to(self, under_way: "UnderWay", on_end: Callable[[], None]) -> None:
        try:
            while under_way and not self._wanted.done():
                under_way.wait(settings.OFFLOAD_RENEW_SECONDS, or_until=self._wanted)
                under_way.renew()
                if under_way.finish():
                    _call(on_end)
                let_go_of_connection()
        except Exception:  # nobody else would hear of it
            logger.exception("steps that have outlived their pump are left to themselves until the next one")
        finally:
            let_go_of_connection()


def _call(on_end: Callable[[], None]) -> None:
    try:
        on_end()
    except UNAVAILABLE:
        logger.warning("could not ring for what is due; the clock does", exc_info=True)


keeper = Keeper()


class UnderWay:
    """Steps that have been begun, and the rows that they hold. For one thread at a time: a pump's, or the keeper's."""

    def __init__(self, width: width.Width) -> None:
        self._width = width
        self._running: dict[Future[None], Claim[Any]] = {}
        self._renewed_at = time.monotonic()

    def __len__(self) -> int:
        return len(self._running)

    def claims(self) -> Collection[Claim[Any]]:
        return self._running.values()

    def add(self, begun: dict[Future[None], Claim[Any]]) -> None:
        self._running |= begun

    def wait(self, seconds: float, *, or_until: Future[None] | None = None) -> None:
        """Until one has ended, the leases are to be renewed, or the time is over."""
        awaited = {*self._running, *([or_until] if or_until else [])}
        next_renewal = self._renewed_at + settings.OFFLOAD_RENEW_SECONDS - time.monotonic()
        wait(awaited, timeout=max(0.01, min(seconds, next_renewal)), return_when=FIRST_COMPLETED)

    def renew(self) -> bool:
        """Renew the leases if it is time to; whether it was."""
        if time.monotonic() - self._renewed_at < settings.OFFLOAD_RENEW_SECONDS:
            return False
        self._renewed_at = time.monotonic()
        try:
            leases.renew(held for future, held in self._running.items() if not future.done())
        except UNAVAILABLE:  # their steps see that the leases run out
            logger.warning("could not renew leases", exc_info=True)
            let_go_of_connection()
        return True

    def finish(self) -> bool:
        """Give back what has ended; whether anything has."""
        done = {future: held for future, held in self._running.items() if future.done()}
        for future in done:
            del self._running[future]
            self._width.note(future.exception())
        settle({held: future.exception() for future, held in done.items()})
        return bool(done)


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
