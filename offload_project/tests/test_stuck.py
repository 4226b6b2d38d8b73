"""`manage.py requeue_stuck`: which rows do not get on, why, and that they do afterwards."""

import signal
import uuid
from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings

from cases import work
from cases.factories import CaseFactory, InputRequestFactory
from cases.models import Case, Chore, Status
from cases.testing import run_due
from offload_project.maintenance import stuck
from offload_project.tests.maintenance import interrupt, rich_case, run
from outreach.factories import InboundPayloadFactory
from outreach.models import InboundPayload, StaffNotice
from webhooks.models import Delivery

pytestmark = [pytest.mark.engine, pytest.mark.django_db]
HOUR = timedelta(hours=1)


def failing(case: Case, **fields: Any) -> Case:
    """A case that has failed for an hour and waits for another one."""
    now = work.now()
    facts = {"failures": 7, "failing_since": now - HOUR, "retry_at": now + HOUR, "due_at": now + HOUR, **fields}
    Case.objects.filter(pk=case.pk).update(last_error="TransportError: no route", **facts)
    case.refresh_from_db()
    return case


def found(*arguments: str) -> list[str]:
    code, said = run("requeue_stuck", *arguments)
    assert code == 0, said
    return said.splitlines()


def test_where_all_is_well_it_says_so() -> None:
    CaseFactory()  # due this very moment
    CaseFactory(status=Status.RUNNING)
    InputRequestFactory()
    assert found() == ["All rows get on."]


def test_a_list_with_reasons_that_changes_nothing() -> None:
    late = CaseFactory(created_at=work.now() - timedelta(minutes=20))
    failed = failing(CaseFactory(status=Status.RUNNING))
    given_up = InboundPayloadFactory(
        state="FAILED", note="It has failed for a day", due_at=None, received_at=work.now() - HOUR
    )
    before = list(Case.objects.order_by("pk").values())
    until = f"{failed.retry_at:%Y-%m-%d %H:%M} UTC"
    assert sorted(found()) == sorted(
        [
            f"case      {late.pk}  due for 20 minutes, and nobody has taken it",
            f"case      {failed.pk}  failed 7 times, waits until {until}: TransportError: no route",
            f"payload   {given_up.pk}  given up: It has failed for a day",
            "3 rows do not get on. Nothing was changed. Add --yes to make them due.",
        ]
    )
    assert list(Case.objects.order_by("pk").values()) == before


def test_a_case_that_failed_is_due_at_once_and_gets_on() -> None:
    case = failing(CaseFactory())
    version = case.version
    assert found("--yes")[-1] == "1 rows are due again."
    case.refresh_from_db()
    facts = (case.retry_at, case.failures, case.failing_since, case.lost_leases, case.due_at, case.version)
    assert facts == (None, 0, None, 0, case.created_at, version)  # due by its own fact, not by our say
    run_due("case")
    case.refresh_from_db()
    assert (case.status, case.attempt_count) == (Status.RUNNING, 1)


def test_a_row_with_nothing_to_do_is_not_made_due() -> None:
    case = failing(CaseFactory(status=Status.RUNNING))
    found("--yes")
    case.refresh_from_db()
    assert case.due_at == case.next_action_at


def test_a_row_whose_lease_died_ten_times() -> None:
    case = CaseFactory()
    Case.objects.update(lost_leases=10, lease_token=uuid.uuid4(), lease_until=work.now() - HOUR)
    assert found()[0] == f"case      {case.pk}  was begun 10 times and never came to an end"
    found("--yes")
    case.refresh_from_db()
    assert (case.lost_leases, case.lease_token, case.lease_until) == (0, None, None)
    run_due("case")
    case.refresh_from_db()
    assert case.status == Status.RUNNING  # and no question to a human


def test_what_a_worker_holds_is_left_alone() -> None:
    case = failing(CaseFactory(), due_at=work.now() - HOUR, lease_until=work.now() + HOUR, lease_token=uuid.uuid4())
    assert found() == ["All rows get on."]
    assert not stuck.requeue(stuck.StuckRow("case", case.pk, ""))  # also where it is taken after the look
    case.refresh_from_db()
    assert (case.failures, case.lease_token is None) == (7, False)


def test_what_has_gone_meanwhile_is_no_error() -> None:
    for kind in ("case", "payload", "delivery", "notice"):
        assert not stuck.requeue(stuck.StuckRow(kind, uuid.uuid4(), ""))


def test_a_payload_that_was_given_up_is_taken_in() -> None:
    payload = InboundPayloadFactory(state="FAILED", due_at=None, received_at=work.now() - HOUR, note="no door")
    found("--kind", "payload", "--yes")
    payload.refresh_from_db()
    assert (payload.state, payload.due_at) == ("WAITING", payload.received_at)
    run_due("payload")
    payload.refresh_from_db()
    assert payload.state == "UNMATCHED"


def test_a_notice_that_was_given_up_waits_again() -> None:
    question = InputRequestFactory()
    notice = StaffNotice.objects.create(
        question=question, address="us@x.example", state="FAILED", created_at=work.now() - HOUR
    )
    found("--yes")
    notice.refresh_from_db()
    assert (notice.state, notice.due_at) == ("WAITING", notice.created_at)


def test_a_delivery_that_was_given_up_takes_its_place_in_line() -> None:
    case = rich_case()
    first, second = case.deliveries.order_by("sequence")
    long_ago = work.now() - HOUR
    Delivery.objects.filter(pk=first.pk).update(state="FAILED", due_at=None, created_at=long_ago, note="no secret")
    assert found("--older-than", "30m")[0] == f"delivery  {first.pk}  given up: no secret"
    found("--older-than", "30m", "--yes")
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, first.due_at is not None, second.due_at) == ("WAITING", True, None)


def test_a_chore_that_failed_is_due(settings: Settings) -> None:
    now = work.now()
    Chore.objects.create(
        name="c", next_at=now - HOUR, failures=3, failing_since=now - HOUR, retry_at=now + HOUR, due_at=now + HOUR
    )
    found("--yes", "--kind", "chore")
    assert Chore.objects.get().due_at == Chore.objects.get().next_at


@pytest.mark.parametrize(("older_than", "count"), [("5m", 1), ("2h", 0)])
def test_how_long_it_must_have_been_stuck(older_than: str, count: int) -> None:
    failing(CaseFactory())
    rows = [line for line in found("--older-than", older_than) if line.startswith("case ")]
    assert len(rows) == count


def test_another_kind_is_left_alone() -> None:
    case = failing(CaseFactory())
    found("--kind", "payload", "--yes")
    case.refresh_from_db()
    assert case.failures == 7


def test_stopped_it_says_how_far_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        failing(CaseFactory())
    requeue = stuck.requeue

    def interrupted(row: stuck.StuckRow) -> bool:
        interrupt(signal.SIGINT)
        return requeue(row)

    monkeypatch.setattr(stuck, "requeue", interrupted)
    code, said = run("requeue_stuck", "--yes")
    assert (code, Case.objects.filter(failures=0).count()) == (130, 1)
    assert "Stopped. 1 of 3 rows are due again. Start it again to go on" in said
    assert InboundPayload.objects.count() == 0
