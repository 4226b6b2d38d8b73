"""The engine's ways with its database: rules 12 and 13."""

import os
import sqlite3
import threading
import time
import warnings
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection, transaction

from cases import database, work
from cases.models import Case
from cases.tests.engine import bench_fixture, claim_one, due_case, in_threads  # noqa: F401

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("bench")]


@pytest.fixture
def sqlite(transactional_db: None) -> None:
    if database.is_server():
        pytest.skip("about SQLite, which the other run of the engine's tests has")


@pytest.fixture
def postgres(transactional_db: None) -> None:
    if not database.is_server():
        pytest.skip("about PostgreSQL, which the other run of the engine's tests has")


def answer(sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


# --- Rule 12: SQLite ------------------------------------------------------------------------------


@pytest.mark.usefixtures("sqlite")
def test_readers_and_the_writer_do_not_wait_for_each_other() -> None:
    assert answer("PRAGMA journal_mode") == "wal"
    assert answer("PRAGMA busy_timeout") == 30_000


@pytest.mark.usefixtures("sqlite")
def test_a_transaction_takes_the_write_lock_as_it_begins() -> None:
    other = sqlite3.connect(connection.settings_dict["NAME"], timeout=0, isolation_level=None)
    try:
        with transaction.atomic():
            assert Case.objects.count() == 0  # it has only read; if it wrote later, it could fail
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
        other.execute("BEGIN IMMEDIATE")
    finally:
        other.close()


@pytest.mark.usefixtures("sqlite")
def test_the_writers_of_one_process_take_turns_without_polling() -> None:
    connection.cursor().execute("PRAGMA busy_timeout = 0")
    inside, overlaps = [], []

    def write(number: int) -> None:
        connection.cursor().execute("PRAGMA busy_timeout = 0")  # who has to ask the database for the lock fails
        for _ in range(5):
            with work.transaction():
                inside.append(number)
                overlaps.append(len(inside))
                time.sleep(0.002)
                inside.remove(number)

    try:
        in_threads(8, write)
    finally:
        connection.close()
    assert overlaps == [1] * 40


@pytest.mark.usefixtures("sqlite")
def test_a_nested_transaction_does_not_wait_for_itself() -> None:
    with work.transaction(), work.transaction():
        assert connection.in_atomic_block


@pytest.mark.usefixtures("postgres")
def test_on_postgresql_transactions_run_side_by_side() -> None:
    together = threading.Barrier(4)

    def meet(_: int) -> None:
        with work.transaction():
            together.wait(timeout=10)

    in_threads(4, meet)
    assert not together.broken


def test_claims_look_into_an_index_of_due_rows_only() -> None:
    if database.is_server():
        definition = answer("SELECT indexdef FROM pg_indexes WHERE indexname = 'case_due'")
    else:
        definition = answer("SELECT sql FROM sqlite_master WHERE name = 'case_due'")
    assert "due_at" in definition
    assert definition.replace('"', "").rstrip(")").endswith("due_at IS NOT NULL")


def test_a_read_phase_is_no_transaction() -> None:
    due_case()
    held = claim_one()
    held.read()
    assert not connection.in_atomic_block
    with held.write():
        assert connection.in_atomic_block


# --- Rule 13: forked processes and connections ----------------------------------------------------


def in_forked_child(act: Any) -> str:
    """What act() returns in a forked child, as text."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # Python 3.12 warns of threads, of which there are none here
        child = os.fork()
    if child == 0:
        try:
            os.write(writing, str(act()).encode())
        except BaseException as error:  # noqa: BLE001 (the parent's assertion shows it)
            os.write(writing, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as result:
        text = result.read()
    os.waitpid(child, 0)
    return text


def test_a_forked_process_leaves_its_parents_connection_alone() -> None:
    due_case()
    inherited = connection.connection
    assert inherited is not None
    assert in_forked_child(lambda: connection.connection) == "None"
    assert connection.connection is inherited
    assert Case.objects.count() == 1


def test_a_forked_process_gets_connections_of_its_own() -> None:
    due_case()
    assert in_forked_child(Case.objects.count) == "1"
    assert Case.objects.count() == 1


@pytest.mark.usefixtures("postgres")
def test_a_forked_process_gets_a_session_and_a_pool_of_its_own() -> None:
    ours = answer("SELECT pg_backend_pid()")
    pool = id(connection.pool)  # type: ignore[attr-defined]
    theirs = in_forked_child(lambda: f"{answer('SELECT pg_backend_pid()')} {id(connection.pool)}").split()  # type: ignore[attr-defined]
    assert theirs[0].isdigit()
    assert theirs[0] != str(ours)
    assert theirs[1] != str(pool)
    assert answer("SELECT pg_backend_pid()") == ours


def test_a_connection_is_let_go_of_outside_transactions_only() -> None:
    due_case()
    work.let_go_of_connection()
    assert connection.connection is None
    with transaction.atomic():
        work.let_go_of_connection()
        assert Case.objects.count() == 1


@pytest.mark.parametrize(
    ("vendor", "given", "kept"),
    [
        ("postgresql", {"pool": 1}, {"pool": 1, "server_side_binding": True, "prepare_threshold": 5}),
        ("postgresql", {"prepare_threshold": 9}, {"server_side_binding": True, "prepare_threshold": 9}),
        ("sqlite", {"timeout": 30}, {"timeout": 30}),
    ],
)
def test_plans_are_kept_where_a_server_makes_them_and_the_operator_says_nothing_else(
    monkeypatch: pytest.MonkeyPatch, vendor: str, given: dict[str, Any], kept: dict[str, Any]
) -> None:
    connection = SimpleNamespace(vendor=vendor, settings_dict={"OPTIONS": given})
    connections = {"default": connection}
    monkeypatch.setattr(database, "connection", connection)
    monkeypatch.setattr(database, "connections", connections)
    database.keep_plans()
    assert given == kept
    assert ("default" in connections) == (vendor == "sqlite")
