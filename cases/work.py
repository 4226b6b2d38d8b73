"""The row is the job: rows say when they are due, workers claim them, and the queue is only a bell.

Five kinds of row carry work (settings.OFFLOAD_WORK_KINDS). A change of a row and the `due_at` that follows from it
commit in one transaction (`reschedule`). A wake-up, the one thing that goes through django-q2, says no more than "there
is due work of this kind"; it can be lost, doubled or late, since the clock looks for due rows once a second. This
module is the only caller of django-q2.

For callers: `transaction`, `now`, `reschedule` in services; `Claim`, `LeaseLost`, `MovedOn` in steps; `run_pump` in
tasks.
"""

import logging
import math
import os
import signal
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from functools import partial
from types import FrameType
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import transaction as django_transaction
from django.db.models import Q
from django_q.brokers import Broker, get_broker
from django_q.signals import post_execute, post_spawn
from django_q.signing import SignedPackage
from django_q.tasks import async_task

from cases import leases, pump
from cases.daemon import Complaints
from cases.database import (
    UNAVAILABLE,
    forget_inherited_connections,
    keep_plans,
    let_go_of_connection,
    now,
    transaction,
    wait_for_connections,
)
from cases.leases import (
    Claim,
    Kind,
    LeaseLost,
    MovedOn,
    StepFailed,
    StepWaits,
    claim,
    due,
    end_all,
    kinds,
    kinds_with_due_rows,
    release,
    renew,
)
from cases.models import DueRow, Heartbeat, Role

__all__ = [
    "Claim",
    "Kind",
    "LeaseLost",
    "MovedOn",
    "StepFailed",
    "StepWaits",
    "claim",
    "due",
    "end_all",
    "kinds",
    "kinds_with_due_rows",
    "let_go_of_connection",
    "now",
    "release",
    "renew",
    "reschedule",
    "run_cluster",
    "run_pump",
    "transaction",
    "wake",
    "wake_for_due_rows",
]

logger = logging.getLogger(__name__)


def reschedule(row: DueRow) -> None:
    """Derive the row's due_at from its facts; does not save. For a row you hold locked, in every change of it."""
    due_at = leases.derive_due_at(row)
    if due_at is not None and due_at <= row.now:
        wake_after_commit(row)


# --- The bell -------------------------------------------------------------------------------------

WAKE_SECONDS = 0.05  # wake-ups of one kind from one process within this time are one
REST_SECONDS = 5.0  # after a broker has failed: no request waits for it meanwhile
_last_wake: dict[str, float] = {}
_last_wake_lock = threading.Lock()
_rest_until = 0.0
_clients = threading.local()


def _broker() -> Broker:
    """This thread's client of the broker, which keeps its connection. A forked child makes its own."""
    if getattr(_clients, "owner", None) != os.getpid():
        _clients.broker, _clients.owner = get_broker(), os.getpid()
    return _clients.broker


def wake_after_commit(row: DueRow) -> None:
    """Ring for this row's kind once the transaction has committed."""
    for name, kind in kinds().items():
        if isinstance(row, kind.model):
            django_transaction.on_commit(partial(wake, name), robust=True)
            return


def wake(kind: str) -> None:
    """Say that there is due work of this kind. May get lost without harm: the clock says it again."""
    global _rest_until
    if pump.is_at_work():
        return  # this very process looks for due rows before it rests
    if time.monotonic() < _rest_until:
        return
    with _last_wake_lock:
        if time.monotonic() - _last_wake.get(kind, 0.0) < WAKE_SECONDS:
            return
        _last_wake[kind] = time.monotonic()
    try:
        async_task(kinds()[kind].task, broker=_broker())
    except Exception:  # whatever a broker raises: the row is safe, and the clock will ring
        _rest_until = time.monotonic() + REST_SECONDS
        logger.warning("no wake-up for %s: the broker failed", kind, exc_info=True)


def wake_for_due_rows() -> None:
    """Ring for each kind that has due rows which nobody holds, unless enough wake-ups are waiting. The clock's look."""
    waiting = kinds_with_due_rows()
    if waiting and waiting_wakes() <= 2 * settings.OFFLOAD_WORKERS:
        for name in waiting:
            wake(name)


def waiting_wakes() -> int:
    """How many wake-ups wait in the broker. Raises whatever the broker's client does where it can't be reached."""
    return int(_broker().queue_size())


def run_pump(kind: str) -> None:
    """Advance due rows until none is left or the claim window closes; rings again if work is left.

    Steps may go on after it, see cases/pump.py.
    """
    pump.Pump(kind, on_life=_say_busy, on_end=_ring_for_what_is_left).run()
    _ring_for_what_is_left()


def _ring_for_what_is_left() -> None:
    if not pump.stopping.is_set():
        for name in kinds_with_due_rows():
            wake(name)


# --- The cluster and its heartbeat ----------------------------------------------------------------

_cluster_name: str | None = None  # set in the processes of a cluster, by inheritance
_last_beat = 0.0


def beat() -> None:
    """A wake-up without work: that it is finished is a sign of life."""
    if _cluster_name is not None and not _is_running(os.getpgrp()):
        # Its first process and the supervisor were killed together: nobody else would ever end what is left of it.
        os.killpg(os.getpgrp(), signal.SIGKILL)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _with_beats(broker: Broker) -> Broker:
    """The broker, whose `dequeue` hands its own cluster a beat every now and then.

    A beat takes the whole way of a wake-up: pusher, worker, monitor. It is not sent through the broker, for there
    another cluster might take it, and beats for a cluster that hangs would pile up. While the broker is away the
    cluster looks for due rows itself: wake-ups that were to come, or were kept there, are missed by nobody.
    """
    dequeue, pause, last = broker.dequeue, settings.OFFLOAD_STALL_SECONDS / 4, -math.inf
    complaints = Complaints(logger)

    def dequeue_or_beat() -> Any:
        nonlocal last
        if time.monotonic() - last >= pause:
            last = time.monotonic()
            return [_package("cases.work.beat")]
        try:
            taken = dequeue()
        except DatabaseError:  # there is nothing to look at either; django-q2 starts its pusher anew
            raise
        except Exception as error:  # noqa: BLE001 (whatever the client of a broker raises)
            complaints.about("the broker can't be reached, this cluster looks for due rows by itself", error)
            time.sleep(settings.OFFLOAD_CLOCK_SECONDS)
            return _own_wake_up()
        complaints.are_over()
        return taken

    broker.dequeue = dequeue_or_beat
    return broker


def _own_wake_up() -> list[tuple[None, str]]:
    """One for all kinds, if any has due rows: a pump serves them all."""
    try:
        return [_package(kinds()[name].task) for name in kinds_with_due_rows()[:1]]
    finally:
        let_go_of_connection()


def _package(function: str) -> tuple[None, str]:
    """A call as a broker would hand it over; nobody has to acknowledge it."""
    task = {"id": uuid.uuid4().hex, "name": function.rpartition(".")[2], "func": function, "args": (), "kwargs": {}}
    return None, SignedPackage.dumps({**task, "started": datetime.now(UTC)})


def register_cluster(name: str) -> None:
    """Open the heartbeat of a cluster that is about to start; its age counts from now."""
    at = now()
    with transaction():
        Heartbeat.objects.update_or_create(
            name=name, defaults={"started_at": at, "finished_at": at, "busy_until": None}
        )


def heartbeat(name: str) -> tuple[datetime, bool]:
    """When the cluster last finished a wake-up, and whether a pump of it says that it is still at work."""
    is_busy = Q(busy_until__gt=leases.current_time())
    rows = Heartbeat.objects.filter(name=name).annotate(is_busy=is_busy)
    beating = rows.values_list("finished_at", "is_busy").first()
    if beating is None:  # somebody removed it; the cluster itself can't open it anew
        register_cluster(name)
        return heartbeat(name)
    finished_at, busy = beating
    return finished_at, bool(busy)


def say_clock_looks(name: str) -> None:
    """Renew a clock's heartbeat, or open it. What remains of clocks that were killed goes with that of old clusters."""
    at = now()
    with transaction():
        if not Heartbeat.objects.filter(name=name).update(finished_at=at):
            Heartbeat.objects.create(name=name, role=Role.CLOCK, started_at=at, finished_at=at)


def forget_cluster(name: str) -> None:
    """Remove the heartbeat of a cluster, or of a clock, that has ended."""
    Heartbeat.objects.filter(name=name).delete()


def forget_old_clusters() -> None:
    """Remove the heartbeats of clusters whose supervisors could not do it themselves, a day after the last one."""
    Heartbeat.objects.filter(finished_at__lt=now() - timedelta(days=1)).delete()


def run_cluster(name: str, supervisor_pid: int) -> None:
    """Run a django-q2 cluster in this process until SIGTERM, or until the supervisor that started it is gone.

    For the first process of a process group of its own, all of which ends with it.
    """
    logger.info("cluster %s starts as process group %d", name, os.getpgrp())
    from django_q.cluster import Cluster  # sets up multiprocessing, which only a cluster needs

    global _cluster_name
    _cluster_name = name
    post_spawn.connect(_prepare_worker)
    post_execute.connect(_say_finished)
    cluster = Cluster(_with_beats(get_broker()))
    _stop_at_signals(cluster)
    cluster.start()
    while cluster.sentinel.is_alive():
        cluster.sentinel.join(0.5)
        if os.getppid() != supervisor_pid:
            _end_orphan(cluster)


def _stop_at_signals(cluster: Any) -> None:
    """Let the workers of the cluster finish what they do, and no more, before its own handler waits for them."""

    def stop(number: int, frame: FrameType | None) -> None:
        pump.stopping.set()
        cluster.sig_handler(number, frame)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def _end_orphan(cluster: Any) -> None:
    """Finish what is begun, and then end every process of the group, this one too: a cluster may also hang."""
    logger.warning("the supervisor is gone: cluster %s stops", _cluster_name)
    end = partial(os.killpg, os.getpgrp(), signal.SIGKILL)
    threading.Timer(settings.OFFLOAD_STEP_SECONDS + 5, end).start()  # even the event below has a lock that may be taken
    pump.stopping.set()
    cluster.stop_event.set()
    cluster.sentinel.join()
    end()


def _prepare_worker(**_: Any) -> None:
    """In each worker process as it starts."""
    forget_inherited_connections()
    keep_plans()
    wait_for_connections(settings.OFFLOAD_LEASE_SECONDS)  # very many steps may wait for their turn


def _say_finished(**_: Any) -> None:
    """In the monitor, after a wake-up has been carried out and acknowledged: the whole chain works."""
    global _last_beat
    if time.monotonic() - _last_beat >= 0.5:
        _last_beat = time.monotonic()
        _write_heartbeat(finished_at=leases.current_time())


def _say_busy() -> None:
    _write_heartbeat(busy_until=leases.current_time() + timedelta(seconds=1.5 * settings.OFFLOAD_RENEW_SECONDS))


def _write_heartbeat(**fields: Any) -> None:
    if _cluster_name is None:
        return
    try:
        with transaction():
            Heartbeat.objects.filter(name=_cluster_name).update(**fields)
    except UNAVAILABLE:
        logger.warning("could not write the heartbeat", exc_info=True)
        let_go_of_connection()
