"""Of one owner's rows no more than so many are held at once, over all workers (rules 6 and 7 of the engine)."""

from collections import Counter
from typing import Any

import pytest
from pytest_django import Settings

from cases import work
from cases.factories import ClientFactory
from cases.models import Case
from cases.tests.engine import (  # noqa: F401
    CASES,
    Bench,
    ago,
    bench_fixture,
    due_case,
    in_threads,
    kinds_are,
    move,
)

pytestmark = [pytest.mark.engine, pytest.mark.django_db, pytest.mark.usefixtures("bounded")]
BOUNDED = work.Kind(
    name="case",
    model=Case,
    step=CASES.step,
    give_up=CASES.give_up,
    task=CASES.task,
    at_most_by="client_id",
    at_most=lambda: 3,
)


@pytest.fixture
def bounded(bench: Bench, settings: Settings) -> Any:
    with kinds_are(settings, case="cases.tests.test_engine_bounds.BOUNDED"):
        yield


def test_no_more_than_that_are_held_however_often_one_claims() -> None:
    client = ClientFactory()
    oldest = [due_case(client=client, created_at=ago(minutes=10 - number)).pk for number in range(5)]
    first, second = work.claim("case", 2), work.claim("case", 10)
    assert [held.pk for held in first] == oldest[:2]
    assert [held.pk for held in second] == oldest[2:3]
    assert work.claim("case", 10) == []
    work.release(first)
    Case.objects.filter(pk__in=oldest[:2]).update(due_at=None)
    assert [held.pk for held in work.claim("case", 10)] == oldest[3:]


def test_what_cannot_be_claimed_is_not_due() -> None:
    full, other = ClientFactory(), ClientFactory()
    for _ in range(5):
        due_case(client=full)
    held = work.claim("case", 10)
    assert not work.due("case").exists()  # the clock must not ring for them
    waiting = due_case(client=other)
    assert list(work.due("case")) == [waiting]
    work.release(held[:1])
    assert work.due("case").count() == 4  # its two, the one that was given back, and the other client's


def test_who_has_less_to_do_is_served_all_the_same() -> None:
    busy, quiet = ClientFactory(), ClientFactory()
    for number in range(20):
        due_case(client=busy, created_at=ago(hours=2, seconds=number))
    due_case(client=quiet)
    assert Counter(Case.objects.get(pk=held.pk).client_id for held in work.claim("case", 10)) == {
        busy.pk: 3,
        quiet.pk: 1,
    }


def test_a_lease_that_has_ended_makes_room() -> None:
    client = ClientFactory()
    cases = [due_case(client=client) for _ in range(4)]
    work.claim("case", 10)
    for case in cases:
        move(case, lease_until=ago(seconds=1))
    assert len(work.claim("case", 10)) == 3


def test_a_row_that_runs_alone_keeps_to_it_too() -> None:
    client = ClientFactory()
    cases = [due_case(client=client) for _ in range(4)]
    lost = move(cases[3], lost_leases=3)
    held = work.claim("case", 10)
    assert lost.pk not in {each.pk for each in held}
    assert work.claim("case", 1, alone=True) == []
    work.release(held)
    assert [each.pk for each in work.claim("case", 1, alone=True)] == [lost.pk]


@pytest.mark.django_db(transaction=True)
def test_workers_that_claim_at_the_same_moment_keep_to_it_together() -> None:
    for _ in range(3):
        client = ClientFactory()
        for _ in range(6):
            due_case(client=client)
    claimed = in_threads(4, lambda _: [held.pk for held in work.claim("case", 4)])
    owners = Counter(Case.objects.get(pk=pk).client_id for pks in claimed for pk in pks)
    assert set(owners.values()) == {3}
    assert len(owners) == 3
