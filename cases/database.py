"""Time and transactions, as the rows see them."""

import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime

from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connection, connections
from django.db import transaction as django_transaction

# What a database that is locked, restarting or out of reach answers; trying again can help.
UNAVAILABLE = (OperationalError, InterfaceError)

# SQLite has one writer at a time and no queue for the others, who poll: threads of one process that write at once would
# wait for each other by sleeping. They take turns here instead, and the database's own lock is left to other processes.
_writer = threading.RLock()


def now() -> datetime:
    """The database's time in UTC, cut to milliseconds; on SQLite, which has no server, the process's.

    Leases and due times are compared in it, so that machines whose clocks differ agree on what is due.
    """
    if connection.vendor != "postgresql":
        return to_milliseconds(datetime.now(UTC))
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return to_milliseconds(cursor.fetchone()[0])


def to_milliseconds(moment: datetime) -> datetime:
    """The moment without what clients can't see of it."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@contextmanager
def transaction() -> Iterator[None]:
    """One short transaction; on SQLite the only one of this process that writes. Nested ones join the outer one."""
    with _writer if connection.vendor == "sqlite" else nullcontext(), django_transaction.atomic():
        yield


@contextmanager
def statement() -> Iterator[None]:
    """For one statement that writes: PostgreSQL needs no transaction around it; on SQLite it has one, and its turn."""
    with transaction() if connection.vendor == "sqlite" else nullcontext():
        yield


def wait_for_turn(name: str) -> None:
    """Inside a transaction: go on when no other one that waited for a turn of this name is under way.

    On SQLite a transaction that writes is the only one anyway.
    """
    if is_server():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [zlib.crc32(f"offload {name}".encode())])


def let_go_of_connection() -> None:
    """Close this thread's connection (to the pool, where there is one): what follows talks to somebody else.

    Inside a transaction it is kept: tests wrap themselves in one.
    """
    if not connection.in_atomic_block:
        connection.close()


# A statement that has come so often on a connection is planned for good. See psycopg's page on prepared statements.
KEPT_PLANS = {"server_side_binding": True, "prepare_threshold": 5}


def keep_plans() -> None:
    """Have the server plan each statement once for each connection that this process opens from now on.

    For the workers, whose statements are always the same and look rows up by key: planning them is a third of what the
    server does for a case. Not for pages of lists, whose best plan depends on what is asked for.
    """
    if is_server():
        options = connection.settings_dict["OPTIONS"]
        options |= {name: value for name, value in KEPT_PLANS.items() if name not in options}
        del connections[DEFAULT_DB_ALIAS]  # it knows the features of connections as they were before


_inherited: list[object] = []


def forget_inherited_connections() -> None:
    """In a forked child: drop the parent's connections and pools without closing them.

    Their sockets are shared with the parent, and a pool's threads do not live on in the child. They are kept out of
    sight, since even to be destroyed they would say goodbye to the server or wait for those threads.
    """
    for wrapper in connections.all(initialized_only=True):
        _inherited.append(wrapper.connection)
        wrapper.connection = None
        if hasattr(wrapper, "_connection_pools"):  # PostgreSQL; kept on the class, so shared by all threads
            _inherited.extend(wrapper._connection_pools.values())
            wrapper._connection_pools.clear()


def wait_for_connections(seconds: float) -> None:
    """From now on each thread of this process waits so long for a connection, where there is a pool of them.

    For a process that has opened none yet.
    """
    for wrapper in connections.all():
        pool = wrapper.settings_dict["OPTIONS"].get("pool")
        if isinstance(pool, dict):
            pool["timeout"] = seconds


def is_server() -> bool:
    """Whether the database has a clock of its own."""
    return connection.vendor == "postgresql"
