"""What a claim looks at, where there are very many due rows: cases/claim_sql.py."""

import json
import re
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from cases import claim_sql, database, leases, work
from cases.factories import ClientFactory
from cases.models import Case, Client
from cases.tests.engine import Bench, ago, ahead, bench_fixture, claim_one, due_case, kinds_are, move  # noqa: F401

pytestmark = [pytest.mark.engine, pytest.mark.django_db, pytest.mark.usefixtures("bench")]
MANY = 3000


def flood(client: Client, count: int = MANY, *, due_at: datetime | None = None) -> None:
    """So many cases of one client, due for an hour or when it is said."""
    one = due_case(client=client)
    Case.objects.bulk_create(
        Case(
            **{
                field.attname: getattr(one, field.attname)
                for field in Case._meta.concrete_fields
                if field.name not in {"id", "due_at"}
            },
            id=uuid.uuid4(),
            due_at=(due_at or ago(hours=1)) + timedelta(milliseconds=number),
        )
        for number in range(count)
    )
    move(one, due_at=None)
    if database.is_server():
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE cases_case")


def owners(claims: list[work.Claim[Any]]) -> Counter[Any]:
    return Counter(Case.objects.filter(pk__in=[held.pk for held in claims]).values_list("client_id", flat=True))


# --- Turns ----------------------------------------------------------------------------------------


def test_a_flood_of_one_client_does_not_delay_another_ones_only_case() -> None:
    many, one = ClientFactory(), ClientFactory()
    flood(many)
    waiting = due_case(client=one)
    claims = work.claim("case", 32)
    assert waiting.pk in {held.pk for held in claims}
    assert owners(claims) == {many.pk: 31, one.pk: 1}


def test_a_thread_that_is_free_goes_to_either() -> None:
    many, one = ClientFactory(), ClientFactory()
    flood(many, 50)
    waiting = due_case(client=one)
    firsts = []
    for _ in range(40):
        (held,) = work.claim("case", 1)
        firsts.append(held.pk == waiting.pk)
        work.release([held])
    assert 5 < sum(firsts) < 35


def test_clients_share_alike_and_what_one_does_not_need_goes_to_the_others() -> None:
    clients = [ClientFactory() for _ in range(4)]
    for client, count in zip(clients, (100, 100, 2, 0), strict=True):
        flood(client, count) if count else due_case(client=client, created_at=ahead(days=1))
    taken = owners(work.claim("case", 32))
    assert taken[clients[2].pk] == 2
    assert taken.total() == 32
    assert min(taken[clients[0].pk], taken[clients[1].pk]) >= 11  # a third each, and the rest to whoever waited longest


def test_rows_that_are_held_or_run_alone_leave_the_share_to_the_next_ones() -> None:
    client = ClientFactory()
    rows = [due_case(client=client, created_at=ago(minutes=60 - number)) for number in range(6)]
    move(rows[0], lease_until=ahead(seconds=20), lease_token=uuid.uuid4())
    move(rows[1], lost_leases=leases.ALONE_FROM)
    assert [held.pk for held in work.claim("case", 3)] == [row.pk for row in rows[2:5]]
    assert [held.pk for held in work.claim("case", 3, alone=True)] == [rows[1].pk]


@pytest.fixture
def bounded(bench: Bench, settings: Settings) -> Iterator[None]:
    with kinds_are(settings, case="cases.tests.test_engine_bounds.BOUNDED"):
        yield


@pytest.mark.usefixtures("bounded")
def test_a_flood_of_one_bounded_owner_leaves_the_others_their_rows() -> None:
    many, one = ClientFactory(), ClientFactory()
    flood(many, 200)
    waiting = [due_case(client=one).pk for _ in range(5)]
    claims = work.claim("case", 32)
    assert owners(claims) == {many.pk: 3, one.pk: 3}
    assert len({held.pk for held in claims} & set(waiting)) == 3
    assert work.claim("case", 32) == []


# --- One statement --------------------------------------------------------------------------------


def statements(act: Any) -> list[str]:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        act()
    return [query["sql"] for query in captured.captured_queries]


def writes(found: list[str]) -> list[str]:
    return [sql for sql in found if re.search(r"\bUPDATE \"", sql)]


def test_rows_of_several_claims_go_back_in_one_statement() -> None:
    clients = [ClientFactory() for _ in range(3)]
    for client in clients:
        flood(client, 4)
    claims = [held for _ in range(4) for held in work.claim("case", 3)]
    assert len({held.token for held in claims}) == 4
    assert len(writes(statements(lambda: work.renew(claims)))) == 1
    assert len(writes(statements(lambda: work.release(claims)))) == 1
    assert Case.objects.filter(lease_token__isnull=False).count() == 0
    assert Case.objects.filter(lost_leases=0).count() == Case.objects.count()


def test_a_claim_is_one_statement_on_a_server() -> None:
    flood(ClientFactory(), 5)
    flood(ClientFactory(), 5)
    found = statements(lambda: work.claim("case", 4))
    assert len(writes(found)) == 1
    if database.is_server():
        assert len(found) == 1


def test_all_kinds_are_looked_for_in_one_statement() -> None:
    due_case()
    found: list[str] = []
    assert len(statements(lambda: found.extend(work.kinds_with_due_rows()))) == 1
    assert found == ["case"]
    claim_one()
    assert work.kinds_with_due_rows() == []


def test_a_row_that_is_held_anew_is_not_given_back_for_the_claim_before() -> None:
    due_case(created_at=ago(hours=1))
    lost = claim_one()
    move(Case.objects.get(), lease_until=ago(seconds=1))
    due_case()
    again = {held.pk: held for held in work.claim("case", 10)}
    other = next(held for pk, held in again.items() if pk != lost.pk)
    work.release([lost, other])  # of one token is the row, of the other the token that it has by now
    assert Case.objects.get(pk=lost.pk).lease_token == again[lost.pk].token
    assert Case.objects.get(pk=other.pk).lease_token is None
    work.release([lost])  # of one claim, of which there is another statement
    assert Case.objects.get(pk=lost.pk).lease_token == again[lost.pk].token
    work.renew([lost, again[lost.pk]])
    assert (lost.held_until, again[lost.pk].held_until > 0) == (0.0, True)


def test_a_claim_is_given_back_in_as_few_words_and_in_the_same_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    if not database.is_server():
        pytest.skip("SQLite has no plans to keep")
    flood(ClientFactory(), 12)
    asked: list[tuple[str, int]] = []
    real = claim_sql._run

    def run(sql: str, params: Any) -> list[Any]:
        asked.append((sql, len(params)))
        return real(sql, params)

    monkeypatch.setattr(claim_sql, "_run", run)
    for size in (1, 3, 5):
        claims = work.claim("case", size)
        assert len(claims) == size
        work.renew(claims)
        work.release(claims)
        move_all_away(claims)
    kept = set(asked)
    assert len(asked) == 9
    assert len(kept) == 3  # so a server that keeps plans makes three
    assert sorted(count for _, count in kept) == [2, 3, 5]


def move_all_away(claims: list[work.Claim[Any]]) -> None:
    Case.objects.filter(pk__in=[held.pk for held in claims]).update(due_at=None)


def test_who_has_waited_longest_is_first_in_a_claim() -> None:
    cases = [due_case() for _ in range(4)]
    for place, number in enumerate((2, 0, 3, 1)):
        move(cases[number], due_at=ago(minutes=60 - place))
    assert [held.pk for held in work.claim("case", 4)] == [cases[number].pk for number in (2, 0, 3, 1)]


# --- What is looked at ----------------------------------------------------------------------------


def plan_of_claim(limit: int) -> list[dict[str, Any]]:
    """The nodes of PostgreSQL's plan for a claim, as it was carried out."""
    take = leases._take(leases.kinds()["case"], False)
    params = {**take._params, "token": uuid.uuid4(), "seconds": 30.0, "limit": limit, "at_most": 1}
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {take._statement}", params)
        [(plan,)] = cursor.fetchall()
    nodes, todo = [], [(json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]]
    while todo:
        nodes.append(todo.pop())
        todo += nodes[-1].get("Plans", [])
    return nodes


def visited(node: dict[str, Any]) -> float:
    """Rows that the node has read, those that it found unfit included."""
    return float(node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)))


def test_a_claim_reads_few_of_very_many_due_rows() -> None:
    if not database.is_server():
        pytest.skip("SQLite tells of no rows; its plan is looked at below")
    flood(ClientFactory())
    flood(ClientFactory(), due_at=ahead(days=1))
    due_case(client=ClientFactory())
    scans = [node for node in plan_of_claim(8) if node.get("Relation Name") == "cases_case"]
    assert "Seq Scan" not in {node["Node Type"] for node in scans}
    assert 8 <= sum(visited(node) for node in scans) < 200


@pytest.mark.parametrize("is_walk", [True, False])
def test_sqlite_goes_by_the_index_of_turns(is_walk: bool) -> None:
    if database.is_server():
        pytest.skip("PostgreSQL says how many rows it has read, see above")
    names = claim_sql._Names(Case)
    walk = (
        f"WITH RECURSIVE {claim_sql._walk(names, claim_sql.Groups('client_id', 'client_id', False))} SELECT * FROM walk"
    )
    rows, params = claim_sql._compiled(
        leases._due(leases.kinds()["case"]).filter(client_id=uuid.uuid4()).order_by("due_at")
    )
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {walk if is_walk else rows}", {} if is_walk else params)
        plan = " ".join(str(line[-1]) for line in cursor.fetchall())
    assert "case_turn" in plan
    assert "SCAN cases_case USING INDEX case_turn" in plan if is_walk else "SCAN" not in plan
    assert "TEMP B-TREE" not in plan
