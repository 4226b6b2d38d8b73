"""When a row is due: rules 1, 2, 4, 9 and 10 of the engine."""

import ast
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from pytest_django import Settings

from cases import correspondence, database, leases, services, transitions, work
from cases.correspondence import ReceivedMail
from cases.errors import InputRequestMismatch
from cases.factories import CaseFactory, InputRequestFactory, MessageFactory, reschedule
from cases.models import Case, MessageStatus, Purpose, RequestStatus, ResultStatus, Status
from cases.tests.engine import Bench, ago, ahead, bench_fixture, claim_one, due_case, move  # noqa: F401

pytestmark = [pytest.mark.engine, pytest.mark.django_db, pytest.mark.usefixtures("bench")]

ROOT = Path(__file__).parents[2]
AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def mail(text: str = "Here it is.", **fields: Any) -> ReceivedMail:
    """A person's answer, different from all others."""
    return ReceivedMail(
        purpose=fields.pop("purpose", Purpose.HUMAN),
        message_id=f"<{text.encode().hex()}@supplier.example>",
        from_address="ann@supplier.example",
        from_name="Ann",
        to_address="case@sandbox.invalid",
        subject="Re: Invoice",
        text=text,
        full_text=text,
        **fields,
    )


def change(case: Case) -> Case:
    """Somebody changes the case in between."""
    with work.transaction():
        locked = Case.objects.locked(case.pk)
        locked.touch()
        transitions.store(locked)
    return locked


# --- Rule 1: nobody assigns due_at ----------------------------------------------------------------


def assignments_of_due_at(source: str) -> list[int]:
    """The lines on which an attribute `due_at` is set, or given to an update."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        named = [part for target in targets if target for part in ast.walk(target) if isinstance(part, ast.Attribute)]
        keywords = node.keywords if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("update") else []
        if any(part.attr == "due_at" for part in named) or any(word.arg == "due_at" for word in keywords):
            lines.append(node.lineno)  # type: ignore[attr-defined]
    return lines


def test_due_at_is_derived_in_one_place_and_known_beforehand_in_one_other() -> None:
    rooms = [path for room in ("cases", "outreach", "webhooks") for path in (ROOT / room).rglob("*.py")]
    shipped = [path for path in rooms if not {"tests", "migrations", "factories.py"} & set(path.parts)]
    found = {str(path.relative_to(ROOT)) for path in shipped if assignments_of_due_at(path.read_text())}
    assert found == {"cases/leases.py", "cases/services.py"}  # services: a new case, before it is stored


@pytest.mark.parametrize("source", ["case.due_at = now", "a.b, case.due_at = 1, 2", "rows.update(x=1, due_at=None)"])
def test_an_assignment_is_found(source: str) -> None:
    assert assignments_of_due_at(source) == [1]


def test_a_new_case_is_due_at_once() -> None:
    assert CaseFactory(created_at=AT).due_at == AT


def test_a_running_case_is_due_when_its_follow_up_is() -> None:
    assert CaseFactory(status=Status.RUNNING, next_action_at=AT).due_at == AT


def test_a_queued_message_makes_a_case_due() -> None:
    case = CaseFactory(status=Status.RUNNING, next_action_at=ahead(days=3))
    MessageFactory(case=case, status=MessageStatus.QUEUED, created_at=AT)
    assert case.due_at == AT


def test_an_answer_that_nobody_has_used_makes_a_case_due() -> None:
    question = InputRequestFactory(status=RequestStatus.RESOLVED, resolved_at=AT)
    assert question.case.due_at == AT


def test_an_answer_that_was_used_does_not() -> None:
    question = InputRequestFactory(status=RequestStatus.RESOLVED, resolved_at=AT, used_at=AT)
    assert question.case.due_at is None


def test_while_a_question_is_pending_there_is_no_follow_up() -> None:
    case = InputRequestFactory().case
    assert move(case, next_action_at=AT).due_at is None
    reschedule(case)
    assert case.due_at is None


def test_asking_clears_the_schedule() -> None:
    case = CaseFactory(status=Status.RUNNING, next_action_at=AT)
    with work.transaction():
        transitions.ask(Case.objects.locked(case.pk), question="Really?", reason="")
    case.refresh_from_db()
    assert (case.next_action_at, case.due_at) == (None, None)


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED])
def test_a_case_that_has_ended_is_never_due(status: Status) -> None:
    case = CaseFactory(status=status)
    MessageFactory(case=case, direction="IN")
    assert case.due_at is None


def test_the_database_refuses_a_due_case_that_has_ended() -> None:
    case = CaseFactory(status=Status.COMPLETED)
    with pytest.raises(IntegrityError), transaction.atomic():
        move(case, due_at=AT)


def test_the_earliest_fact_counts_but_not_before_the_pause_after_a_failure() -> None:
    case = CaseFactory(status=Status.RUNNING, next_action_at=AT)
    MessageFactory(case=case, status=MessageStatus.QUEUED, created_at=AT - timedelta(hours=1))
    assert case.due_at == AT - timedelta(hours=1)
    move(case, retry_at=AT + timedelta(minutes=1))
    reschedule(case)
    assert case.due_at == AT + timedelta(minutes=1)


def test_a_reply_ends_the_pause_after_a_failure() -> None:
    case = move(CaseFactory(status=Status.RUNNING), retry_at=ahead(hours=1))
    correspondence.record_received(case.pk, mail())
    case.refresh_from_db()
    assert case.retry_at is None
    assert case in work.due("case")


def test_an_answer_ends_the_pause_after_a_failure() -> None:
    question = InputRequestFactory()
    move(question.case, retry_at=ahead(hours=1))
    services.provide_input(case_id=question.case_id, input_request_id=question.pk, provided_context="Yes.")
    assert question.case in work.due("case")


def test_a_machines_mail_does_not_end_it() -> None:
    case = move(CaseFactory(status=Status.RUNNING), retry_at=ahead(hours=1))
    correspondence.record_received(case.pk, mail(purpose=Purpose.MACHINE))
    assert case not in work.due("case")
    assert Case.objects.get(pk=case.pk).retry_at == case.retry_at


@pytest.mark.parametrize("purpose", [Purpose.DELAY, Purpose.REPORT])
def test_a_report_is_kept_and_changes_nothing_by_itself(purpose: Purpose) -> None:
    before = CaseFactory(status=Status.RUNNING, next_action_at=AT)
    assert correspondence.record_received(before.pk, mail(purpose=purpose)) == before.messages.get()
    after = Case.objects.get()
    assert (after.version, after.updated_at, after.due_at) == (before.version, before.updated_at, before.due_at)


def test_a_failed_step_shows_nowhere_in_what_clients_see() -> None:
    before = move(CaseFactory(status=Status.RUNNING, next_action_at=AT), due_at=AT)
    leases.fail(claim_one(), ValueError("no"))
    after = Case.objects.get(pk=before.pk)
    assert after.due_at is not None
    assert after.due_at > database.now()
    seen = ("next_action_at", "updated_at", "version", "status", "attempt_count")
    assert [getattr(after, name) for name in seen] == [getattr(before, name) for name in seen]


def test_a_claim_and_its_release_show_nowhere_in_what_clients_see() -> None:
    before = CaseFactory(status=Status.RUNNING, next_action_at=AT)
    held = claim_one()
    work.renew([held])
    work.release([held])
    after = Case.objects.get(pk=before.pk)
    assert (after.next_action_at, after.updated_at, after.version) == (AT, before.updated_at, before.version)


def test_a_reply_that_lands_while_a_step_talks_is_not_overwritten() -> None:
    due_case(status=Status.RUNNING, next_action_at=AT)
    held = claim_one()
    held.read()
    correspondence.record_received(held.pk, mail())
    with held.write() as case:  # a fact about the send, for example
        transitions.run(case, next_action_at=ahead(hours=72))
    work.release([held])
    assert claim_one().pk == held.pk


# --- Rule 2: decisions need version and token -----------------------------------------------------


def test_a_decision_on_a_case_that_has_changed_is_dropped() -> None:
    due_case()
    held = claim_one()
    case = held.read()
    change(case)
    with pytest.raises(work.MovedOn), held.decide() as decided:
        transitions.ask(decided, question="Really?", reason="")
    case.refresh_from_db()
    assert case.status == Status.CREATED


def test_a_decision_without_the_lease_is_dropped() -> None:
    due_case()
    held = claim_one()
    case = held.read()
    move(case, lease_until=ago(seconds=1))
    assert claim_one().pk == held.pk
    with pytest.raises(work.LeaseLost), held.decide() as decided:
        transitions.ask(decided, question="Really?", reason="")
    case.refresh_from_db()
    assert case.status == Status.CREATED


def test_what_others_changed_does_not_keep_a_fact_from_being_written() -> None:
    due_case()
    held = claim_one()
    change(held.read())
    with held.write() as case:
        assert case.version == 2


def test_what_the_transport_answered_is_recorded_after_the_lease_is_lost() -> None:
    message = MessageFactory(status=MessageStatus.QUEUED, sent_at=None)
    before = Case.objects.get(pk=message.case_id)
    held = claim_one()
    move(before, lease_until=ago(seconds=1))
    claim_one()
    held.insist(lambda: correspondence.record_sent(message.pk, provider_id="p1"))
    message.refresh_from_db()
    message.case.refresh_from_db()
    assert (message.status, message.provider_id) == (MessageStatus.SENT, "p1")
    assert message.case.attempt_count == before.attempt_count + 1


def test_what_the_transport_answered_is_recorded_once() -> None:
    message = MessageFactory(status=MessageStatus.QUEUED, sent_at=None)
    correspondence.record_sent(message.pk)
    first = Case.objects.get(pk=message.case_id)
    correspondence.record_sent(message.pk)
    second = Case.objects.get(pk=message.case_id)
    assert (second.attempt_count, second.version) == (first.attempt_count, first.version)


def test_a_change_raises_version_and_time_even_if_the_clock_stands() -> None:
    case = CaseFactory(updated_at=ahead(hours=1))
    changed = [change(case) for _ in range(3)]
    assert [row.version for row in changed] == [2, 3, 4]
    assert [row.updated_at - case.updated_at for row in changed] == [timedelta(milliseconds=n) for n in (1, 2, 3)]


def test_every_change_of_the_domain_raises_version_and_time() -> None:
    question = InputRequestFactory()
    pk = question.case_id
    seen = [(question.case.version, question.case.updated_at)]

    def look() -> None:
        case = Case.objects.get(pk=pk)
        assert case.version > seen[-1][0]
        assert case.updated_at > seen[-1][1]
        seen.append((case.version, case.updated_at))

    services.provide_input(case_id=pk, input_request_id=question.pk, provided_context="Yes.")
    look()
    services.reply_to_counterparty(pk, text="We pay.", actor="staff ann")
    look()
    correspondence.record_sent(Case.objects.get(pk=pk).messages.get().pk)
    look()
    correspondence.record_received(pk, mail())
    look()
    services.wait_until(pk, ahead(hours=2), actor="staff ann")
    look()
    services.cancel_case(pk, actor="staff ann")
    look()


# --- Rule 4: database time ------------------------------------------------------------------------


def test_due_rows_are_found_in_the_databases_time(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(days=1)

    case = CaseFactory(status=Status.RUNNING, next_action_at=ahead(hours=1))
    monkeypatch.setattr(database, "datetime", Tomorrow)
    if database.is_server():
        assert not work.due("case").exists()  # a machine whose clock is wrong finds what all others find
        move(case, due_at=ago(seconds=1))
        held = claim_one()
        until = Case.objects.get(pk=held.pk).lease_until
        assert until is not None
        assert abs(until - datetime.now(UTC) - timedelta(seconds=30)) < timedelta(seconds=5)
    else:
        assert claim_one().pk == case.pk  # SQLite has no clock: the process's counts


def test_times_are_cut_to_what_clients_see() -> None:
    assert work.now().microsecond % 1000 == 0
    assert abs(work.now() - datetime.now(UTC)) < timedelta(seconds=5)


# --- Rule 9: settle -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arrived_seconds", "due_seconds"),
    [([0], 60), ([0, 50], 110), ([0, 50, 100, 150, 200, 239], 299), ([0, 50, 100, 150, 200, 241], 300)],
)
def test_a_reply_waits_for_its_corrections_but_not_for_ever(
    settings: Settings, arrived_seconds: list[int], due_seconds: int
) -> None:
    settings.OFFLOAD_SETTLE_SECONDS = 60.0
    case = CaseFactory(status=Status.RUNNING, transport="email", next_action_at=AT + timedelta(days=1))
    for seconds in arrived_seconds:
        MessageFactory(case=case, direction="IN", created_at=AT + timedelta(seconds=seconds))
    assert case.due_at == AT + timedelta(seconds=due_seconds)


def test_nobody_waits_in_the_sandbox() -> None:
    case = CaseFactory(status=Status.RUNNING, next_action_at=AT + timedelta(days=1))
    MessageFactory(case=case, direction="IN", created_at=AT)
    assert case.due_at == AT


def test_mail_that_was_read_is_no_reason_to_look() -> None:
    case = CaseFactory(status=Status.RUNNING, next_action_at=AT + timedelta(days=1))
    MessageFactory(case=case, direction="IN", created_at=AT, read_at=AT)
    assert case.due_at == AT + timedelta(days=1)


def test_a_machines_mail_only_moves_the_follow_up() -> None:
    case = CaseFactory(status=Status.RUNNING, next_action_at=ahead(hours=1))
    back = database.to_milliseconds(ahead(days=10))
    correspondence.record_received(case.pk, mail(purpose=Purpose.MACHINE), absent_until=back)
    case.refresh_from_db()
    assert (case.next_action_at, case.due_at) == (back, back)


# --- Rule 10: questions ---------------------------------------------------------------------------


def test_a_new_question_supersedes_the_open_one_and_is_an_event_of_its_own() -> None:
    first = InputRequestFactory()
    with work.transaction():
        second = transitions.ask(Case.objects.locked(first.case_id), question="And now?", reason="")
    first.refresh_from_db()
    assert (first.status, second.status) == (RequestStatus.SUPERSEDED, RequestStatus.PENDING)
    (event,) = first.case.events.filter(type="case.input_needed")
    assert event.data["inputRequestId"] == str(second.pk)
    with pytest.raises(InputRequestMismatch):
        services.provide_input(case_id=first.case_id, input_request_id=first.pk, provided_context="Yes.")


def test_a_case_that_ends_closes_its_question() -> None:
    question = InputRequestFactory()
    services.cancel_case(question.case_id, actor="staff ann")
    question.refresh_from_db()
    assert question.status == RequestStatus.CLOSED


# --- Rule 3: sending never depends on luck --------------------------------------------------------


def queued(case: Case, **fields: Any) -> Any:
    return MessageFactory(case=case, status=MessageStatus.QUEUED, sent_at=None, **fields)


def begin_send(case: Case) -> Any:
    with work.transaction():
        locked = Case.objects.locked(case.pk)
        message = correspondence.next_to_send(locked)
        if message:
            correspondence.begin_send(locked, message)
        return message


def test_a_case_has_one_queued_message_at_most() -> None:
    case = queued(CaseFactory(status=Status.RUNNING)).case
    with pytest.raises(IntegrityError), transaction.atomic():
        queued(case)


def test_a_send_that_begins_is_marked() -> None:
    message = queued(CaseFactory(status=Status.RUNNING))
    assert begin_send(message.case) == message
    message.refresh_from_db()
    assert message.send_started_at is not None


def test_a_message_whose_case_has_moved_on_is_dropped_and_what_it_answered_is_open_again() -> None:
    case = CaseFactory(status=Status.RUNNING)
    reply = MessageFactory(case=case, direction="IN")
    with work.transaction():
        locked = Case.objects.locked(case.pk)
        message = correspondence.queue(locked, purpose=Purpose.REPLY, subject="Re: x", text="y")
    correspondence.record_received(case.pk, mail("Wait, no."))
    assert begin_send(case) is None
    message.refresh_from_db()
    reply.refresh_from_db()
    assert (message.status, reply.read_at, reply.answered_by) == (MessageStatus.DROPPED, None, None)
    assert case in work.due("case")


def test_a_message_whose_send_has_begun_is_repeated_even_if_a_reply_has_come() -> None:
    case = CaseFactory(status=Status.RUNNING)
    message = queued(case)
    began = begin_send(case)
    correspondence.record_received(case.pk, mail())
    again = begin_send(case)
    assert again == began == message
    frozen = ("text", "subject", "message_id", "idempotency_key", "send_started_at", "created_at")
    assert [getattr(again, name) for name in frozen] == [getattr(began, name) for name in frozen]


def test_a_case_that_has_ended_sends_nothing_and_says_what_is_unknown() -> None:
    begun = queued(CaseFactory(status=Status.RUNNING), send_started_at=ago(seconds=1))
    waiting = queued(CaseFactory(status=Status.RUNNING))
    for message in (begun, waiting):
        with work.transaction():
            transitions.fail(Case.objects.locked(message.case_id), result_status=ResultStatus.CANCELLED, reason="")
        assert begin_send(message.case) is None
        message.refresh_from_db()
    assert (begun.status, waiting.status) == (MessageStatus.UNKNOWN, MessageStatus.DROPPED)


def test_an_answer_of_the_transport_after_the_end_is_recorded_and_changes_nothing_else() -> None:
    message = queued(CaseFactory(status=Status.RUNNING), send_started_at=ago(seconds=1))
    ended = services.cancel_case(message.case_id, actor="staff ann")
    correspondence.record_sent(message.pk, provider_id="p1")
    message.refresh_from_db()
    after = Case.objects.get(pk=ended.pk)
    assert message.status == MessageStatus.SENT
    assert (after.attempt_count, after.updated_at, after.version) == (
        ended.attempt_count,
        ended.updated_at,
        ended.version,
    )


def test_the_bench_is_used(bench: Bench) -> None:
    assert list(work.kinds()) == ["case"]
    assert bench.rung == []
