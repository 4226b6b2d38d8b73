"""Who works on a row, and what becomes of it: rules 3, 5, 8 and 12 of the engine."""

import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError, connection
from pytest_django import Settings

from cases import database, leases, pump, work
from cases.factories import CaseFactory, ClientFactory
from cases.models import Case, Status
from cases.tests.engine import (  # noqa: F401
    Bench,
    ago,
    ahead,
    bench_fixture,
    claim_one,
    due_case,
    in_threads,
    move,
)

pytestmark = [pytest.mark.engine, pytest.mark.django_db, pytest.mark.usefixtures("bench")]
REAL = pytest.mark.django_db(transaction=True)  # threads with connections of their own


# --- Rule 5: short leases, renewed ----------------------------------------------------------------


def test_a_claim_holds_the_row_for_one_lease(settings: Settings) -> None:
    settings.OFFLOAD_LEASE_SECONDS = 30.0
    case = due_case()
    held = claim_one()
    row = Case.objects.get(pk=case.pk)
    assert row.lease_token == held.token
    assert row.lease_until is not None
    assert timedelta(seconds=25) < row.lease_until - database.now() <= timedelta(seconds=30)
    assert not work.due("case").exists()
    assert work.claim("case", 10) == []


def test_a_row_whose_lease_has_ended_is_taken_by_the_next() -> None:
    case = due_case()
    first = claim_one()
    move(case, lease_until=ago(seconds=0.01))
    second = claim_one()
    assert second.pk == first.pk
    assert second.token != first.token
    assert (first.lost_leases, second.lost_leases) == (0, 1)


def test_a_renewal_holds_it_for_another_lease(settings: Settings) -> None:
    case = due_case()
    held = claim_one()
    move(case, lease_until=ahead(seconds=1))
    held.held_until = time.monotonic() + 1
    work.renew([held])
    until = Case.objects.get(pk=case.pk).lease_until
    assert until is not None
    assert until > ahead(seconds=settings.OFFLOAD_LEASE_SECONDS - 5)
    assert held.held_until > time.monotonic() + settings.OFFLOAD_LEASE_SECONDS - 5


def test_only_ones_own_token_is_renewed_released_or_failed() -> None:
    case = due_case()
    lost = claim_one()
    move(case, lease_until=ago(seconds=1))
    claim_one()
    before = Case.objects.filter(pk=case.pk).values(*Case.WORK_FIELDS).get()
    work.renew([lost])
    work.release([lost])
    with pytest.raises(work.LeaseLost):
        leases.fail(lost, ValueError("no"))
    assert Case.objects.filter(pk=case.pk).values(*Case.WORK_FIELDS).get() == before
    assert lost.held_until == 0.0
    assert not lost.renewed()


def test_a_lease_that_may_end_during_a_call_is_no_lease(settings: Settings) -> None:
    due_case()
    held = claim_one()
    assert held.renewed()
    held.held_until = time.monotonic() + settings.OFFLOAD_TRANSPORT_SECONDS - 2
    assert not held.renewed()


def test_a_renewal_that_is_just_due_is_waited_for(settings: Settings) -> None:
    due_case()
    held = claim_one()
    held.held_until = time.monotonic() + settings.OFFLOAD_TRANSPORT_SECONDS - 0.01
    renewal = threading.Timer(0.2, setattr, (held, "held_until", time.monotonic() + settings.OFFLOAD_LEASE_SECONDS))
    renewal.start()
    assert held.renewed()
    renewal.join()


def test_a_step_past_its_deadline_is_not_renewed() -> None:
    case = due_case()
    held = claim_one()
    held.deadline = time.monotonic()
    soon = move(case, lease_until=ahead(seconds=1)).lease_until
    work.renew([held])
    assert Case.objects.get(pk=case.pk).lease_until == soon
    assert held.remaining() == 0.0


@REAL
@pytest.mark.parametrize("claim_seconds", [1.0, 0.3])  # a short one leaves most of it to the keeper
def test_what_is_held_is_renewed(bench: Bench, settings: Settings, claim_seconds: float) -> None:
    settings.OFFLOAD_LEASE_SECONDS, settings.OFFLOAD_RENEW_SECONDS = 1.0, 0.2
    due_case()
    seen = []

    def outlast_the_lease(held: Any) -> None:
        for _ in range(15):
            time.sleep(0.1)
            seen.append(work.due("case").exists())

    bench.steps["case"] = outlast_the_lease
    settings.OFFLOAD_CLAIM_SECONDS = claim_seconds  # so that it is not begun again
    work.run_pump("case")
    pump.keeper.join()
    assert seen == [False] * 15
    assert len(bench.begun) == 1


@REAL
def test_eight_workers_take_each_row_once() -> None:
    clients = [ClientFactory() for _ in range(3)]
    cases = [due_case(client=clients[number % 3]) for number in range(60)]

    def take_all(_: int) -> list[Any]:
        taken: list[Any] = []
        while claims := work.claim("case", 4):
            taken += [held.pk for held in claims]
        return taken

    taken = Counter(pk for pks in in_threads(8, take_all) for pk in pks)
    assert taken == Counter(case.pk for case in cases)


# --- Rule 12: PostgreSQL passes over what others have locked --------------------------------------


@pytest.fixture
def locked_by_another(transactional_db: None) -> Iterator[Case]:
    """A due case whose row somebody else keeps locked."""
    case, is_locked, release = due_case(), threading.Event(), threading.Event()

    def hold() -> None:
        with work.transaction():
            Case.objects.locked(case.pk)
            is_locked.set()
            release.wait(timeout=30)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert is_locked.wait(timeout=10)
    yield case
    release.set()
    thread.join()


def test_a_claim_does_not_wait_for_rows_that_others_have_locked(locked_by_another: Case) -> None:
    if not database.is_server():
        return  # SQLite locks no rows; that writers take turns there is tested in test_engine_database.py
    other = due_case()
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '2s'")  # else it would wait for ever
    try:
        assert [held.pk for held in work.claim("case", 10)] == [other.pk]
    finally:
        connection.close()


# --- Rule 3: a fact that can't be had again is written, however often it takes --------------------


@pytest.mark.parametrize("error", [OperationalError("database is locked"), InterfaceError("connection already closed")])
def test_a_write_is_tried_again_while_the_lease_lasts(error: Exception) -> None:
    due_case()
    held = claim_one()
    tries = []

    def write() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise error
        return "written"

    assert held.insist(write) == "written"
    assert len(tries) == 3


def test_it_is_given_up_when_the_lease_ends() -> None:
    due_case()
    held = claim_one()
    held.held_until = time.monotonic() + 1.3
    tries = []

    def write() -> None:
        tries.append(1)
        raise OperationalError("database is locked")

    with pytest.raises(OperationalError):
        held.insist(write)
    assert 2 <= len(tries) <= 3


def test_what_is_wrong_in_itself_is_not_tried_again() -> None:
    due_case()
    held = claim_one()
    tries = []

    def write() -> None:
        tries.append(1)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        held.insist(write)
    assert len(tries) == 1


# --- Rule 8: failures -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 60), (2, 120), (3, 240), (6, 1920), (7, 3600), (8, 3600), (5000, 3600)]
)
def test_the_pause_doubles_from_a_minute_to_an_hour(failures: int, seconds: int) -> None:
    pauses = [leases.backoff_seconds(failures) for _ in range(200)]
    assert seconds <= min(pauses) < max(pauses) <= seconds * 1.2
    assert max(pauses) - min(pauses) > seconds * 0.1  # what failed together does not come back together


def test_a_failed_step_waits_and_says_why() -> None:
    due_case()
    leases.fail(claim_one(), ValueError("the server\x00 said no"))
    row = Case.objects.get()
    assert (row.failures, row.lost_leases, row.lease_token, row.lease_until) == (1, 0, None, None)
    assert row.last_error == "ValueError: the server said no"
    assert row.retry_at == row.due_at
    assert row.due_at is not None
    assert ahead(seconds=55) < row.due_at < ahead(seconds=75)
    assert row.status == Status.CREATED


def test_what_changes_a_row_while_its_step_fails_clears_the_pause() -> None:
    due_case()
    held = claim_one()
    case = held.read()
    move(case, version=case.version + 1)
    leases.fail(held, ValueError("no"))
    row = Case.objects.get()
    assert (row.failures, row.retry_at, row.due_at) == (1, None, case.created_at)
    held = claim_one()
    held.read()
    leases.fail(held, ValueError("no"))  # nothing has changed since it was read
    row = Case.objects.get()
    assert row.retry_at is not None
    assert ahead(seconds=115) < row.retry_at < ahead(seconds=150)


def test_a_pause_that_was_asked_for_is_kept_even_so() -> None:
    due_case()
    held = claim_one()
    case = held.read()
    move(case, version=case.version + 1)
    leases.fail(held, leases.StepFailed("429", retry_after_seconds=600))
    row = Case.objects.get()
    assert row.retry_at is not None
    assert ahead(seconds=595) < row.retry_at < ahead(seconds=605)


def test_failures_are_counted_until_a_step_succeeds() -> None:
    case = due_case()
    for failures in (1, 2, 3):
        leases.fail(claim_one(), ValueError("no"))
        assert Case.objects.get().failures == failures
        move(case, retry_at=ago(seconds=1), due_at=ago(seconds=1))
    work.release([claim_one()])
    row = Case.objects.get()
    assert (row.failures, row.failing_since, row.last_error, row.lost_leases) == (0, None, "", 0)


@pytest.mark.parametrize(("hours", "is_given_up"), [(23.9, False), (24.1, True)])
def test_after_a_day_of_failures_people_are_asked(bench: Bench, hours: float, is_given_up: bool) -> None:
    case = move(due_case(), failing_since=ago(hours=hours), failures=30)
    leases.fail(claim_one(), ValueError("no"))
    assert bench.given_up == ([(case.pk, "It has failed for a day: ValueError: no")] if is_given_up else [])
    row = Case.objects.get()
    assert row.failing_since == (None if is_given_up else case.failing_since)
    assert (row.lease_token, row.lease_until) == (None, None)


def test_a_row_that_was_begun_too_often_goes_to_people_and_is_not_begun_again(bench: Bench) -> None:
    case = move(due_case(), lost_leases=10)
    (held,) = work.claim("case", 1, alone=True)
    pump.run_step(held)
    assert bench.begun == []
    assert bench.given_up == [(case.pk, "Its work was begun 10 times and never came to an end.")]


def test_a_row_that_was_begun_nine_times_is_begun_once_more(bench: Bench) -> None:
    case = move(due_case(), lost_leases=9)
    (held,) = work.claim("case", 1, alone=True)
    pump.run_step(held)
    assert bench.begun == [case.pk]
    assert bench.given_up == []


def test_every_claim_counts_as_lost_until_it_comes_to_an_end() -> None:
    case = due_case()
    for lost in range(3):
        assert claim_one().lost_leases == lost
        move(case, lease_until=ago(seconds=1))
    assert work.claim("case", 10) == []  # from here on it runs alone
    (held,) = work.claim("case", 10, alone=True)
    assert held.lost_leases == 3


@pytest.mark.parametrize(
    ("error", "lost"), [(None, 0), (work.MovedOn(), 0), (ValueError("no"), 0), (work.LeaseLost(), 1)]
)
def test_any_ending_resets_the_count(error: Exception | None, lost: int) -> None:
    due_case()
    pump.settle({claim_one(): error})
    assert Case.objects.get().lost_leases == lost


def test_a_decision_that_came_too_late_leaves_the_row_due(bench: Bench) -> None:
    due_case()
    pump.settle({claim_one(): work.MovedOn()})
    assert Case.objects.get().failures == 0
    assert claim_one()


def test_a_row_that_can_not_be_given_back_does_not_keep_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    gone, other = due_case(), due_case()
    claims = {held.pk: held for held in work.claim("case", 10)}
    Case.objects.filter(pk=gone.pk).delete()
    pump.settle({claims[gone.pk]: ValueError("no"), claims[other.pk]: ValueError("no")})
    assert Case.objects.get().failures == 1


# --- Turns ----------------------------------------------------------------------------------------


def test_clients_take_turns() -> None:
    many, one = ClientFactory(), ClientFactory()
    for number in range(20):
        due_case(client=many, created_at=ago(hours=2, seconds=number))
    waiting = due_case(client=one, created_at=ago(seconds=1))
    for _ in range(5):  # whoever is asked first
        claims = work.claim("case", 2)
        assert waiting.pk in {held.pk for held in claims}
        assert len(claims) == 2
        work.release(claims)


def test_what_one_client_does_not_need_is_for_the_others() -> None:
    many, one = ClientFactory(), ClientFactory()
    for _ in range(10):
        due_case(client=many)
    due_case(client=one)
    assert len(work.claim("case", 8)) == 8


def test_the_oldest_goes_first() -> None:
    client = ClientFactory()
    cases = [due_case(client=client, created_at=ago(minutes=minutes)) for minutes in (1, 3, 2)]
    assert [held.pk for held in work.claim("case", 2)] == [cases[1].pk, cases[2].pk]


@pytest.mark.parametrize("limit", [0, -1])
def test_no_room_means_no_claim(limit: int) -> None:
    due_case()
    assert work.claim("case", limit) == []
    assert Case.objects.get().lost_leases == 0


# --- Rule 7: a row that can't be claimed is not due -----------------------------------------------


def test_what_is_due_is_what_a_claim_takes() -> None:
    free: dict[str, Any] = {"lease_until": None, "lease_token": None}
    held: dict[str, Any] = {"lease_until": ahead(seconds=9), "lease_token": uuid.uuid4()}
    ended: dict[str, Any] = {"lease_until": ago(seconds=9), "lease_token": uuid.uuid4()}
    for lease in (free, held, ended):
        for due_at in (None, ago(hours=1), ahead(hours=1)):
            for lost_leases in (0, 2, 3, 12):
                move(CaseFactory(), due_at=due_at, lost_leases=lost_leases, **lease)
    due = set(work.due("case").values_list("pk", flat=True))
    assert len(due) == 2 * 4
    assert {held.pk for held in [*work.claim("case", 99), *work.claim("case", 99, alone=True)]} == due
    assert not work.due("case").exists()
