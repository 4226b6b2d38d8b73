"""What clients and staff do with a case: who wins, what is refused, what is left behind."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from cases import changes, services, work
from cases.errors import (
    CaseAlreadyFinished,
    CaseError,
    CaseNotFound,
    InvalidResult,
    MessageBeingSent,
    NothingSentYet,
)
from cases.factories import ApiKeyFactory, CaseFactory, InputRequestFactory, MessageFactory
from cases.models import Case, MessageStatus, Purpose, RequestStatus, ResultStatus, Status

pytestmark = pytest.mark.django_db
STAFF = "staff ann"
ACTIONS: list[Callable[[Any], Any]] = [
    lambda pk: services.cancel_case(pk, actor=STAFF),
    lambda pk: services.fail_case(pk, reason="No use.", actor=STAFF),
    lambda pk: services.complete_case(pk, result={}, actor=STAFF),
    lambda pk: services.reply_to_counterparty(pk, text="Hello.", actor=STAFF),
    lambda pk: services.wait_until(pk, work.now() + timedelta(days=1), actor=STAFF),
]
every_action = pytest.mark.parametrize("act", ACTIONS, ids=["cancel", "fail", "complete", "reply", "wait"])


def fresh(case: Case) -> Case:
    found: Case = Case.objects.get(pk=case.pk)
    return found


def outcomes(count: int, act: Callable[[int], Any]) -> Counter[str]:
    """What came of so many calls at once, each in a thread with a connection of its own: `ok`, or the error's code."""

    def attempt(number: int) -> str:
        try:
            act(number)
        except CaseError as error:
            return error.code
        finally:
            connection.close()
        return "ok"

    with ThreadPoolExecutor(count) as threads:
        return Counter(threads.map(attempt, range(count)))


# --- Races ---


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_of_twenty_answers_at_once_one_is_accepted() -> None:
    question = InputRequestFactory()
    found = outcomes(
        20,
        lambda number: services.provide_input(
            case_id=question.case_id, input_request_id=question.pk, provided_context=f"Answer {number}"
        ),
    )
    assert found == {"ok": 1, "INPUT_REQUEST_NOT_PENDING": 19}
    question.refresh_from_db()
    [event] = question.case.events.filter(type="input.provided")
    assert event.data["answer"] == question.provided_context


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_of_many_ends_at_once_one_counts() -> None:
    case = CaseFactory(status=Status.RUNNING)
    ends = ACTIONS[:3]
    found = outcomes(9, lambda number: ends[number % 3](case.pk))
    assert found == {"ok": 1, "CASE_ALREADY_FINISHED": 8}
    assert case.events.count() == 1
    assert fresh(case).version == 2


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_nothing_is_changed_paused_or_resumed_after_an_end_that_comes_at_the_same_moment() -> None:
    case = CaseFactory(status=Status.RUNNING)
    acts: list[Callable[[], Any]] = [
        lambda: services.cancel_case(case.pk, actor=STAFF),
        lambda: changes.pause_case(case.pk, actor=STAFF),
        lambda: changes.change_case(case.pk, {"constraints": ["No."]}, actor=STAFF),
        lambda: changes.resume_case(case.pk, actor=STAFF),
    ]
    found = outcomes(20, lambda number: acts[number % 4]())
    assert found["ok"] + found["CASE_ALREADY_FINISHED"] == 20
    assert found["CASE_ALREADY_FINISHED"] >= 4  # of five ends one counts
    assert [event.type for event in case.events.order_by("id")][-1] == "case.failed"
    ended = fresh(case)
    assert (ended.status, ended.due_at, ended.paused_at) == (Status.FAILED, None, None)
    assert ended.version == 1 + case.events.count()


# --- After the end, before the beginning ---


@every_action
@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED])
def test_a_case_that_is_over_stays_as_it_is(act: Callable[[Any], Any], status: Status) -> None:
    case = CaseFactory(status=status)
    before = Case.objects.values().get(pk=case.pk)
    with pytest.raises(CaseAlreadyFinished):
        act(case.pk)
    assert Case.objects.values().get(pk=case.pk) == before
    assert (case.events.count(), case.messages.count()) == (0, 0)


@every_action
def test_an_unknown_case_is_not_found(act: Callable[[Any], Any]) -> None:
    with pytest.raises(CaseNotFound):
        act("00000000-0000-4000-8000-000000000000")


@pytest.mark.parametrize("act", [ACTIONS[2], ACTIONS[4]], ids=["complete", "wait"])
def test_before_anything_was_sent_there_is_nothing_to_complete_or_wait_for(act: Callable[[Any], Any]) -> None:
    case = CaseFactory()
    with pytest.raises(NothingSentYet):
        act(case.pk)
    assert fresh(case).status == Status.CREATED


# --- What is left behind ---


def test_an_answer_makes_the_case_due_at_once_and_clears_the_wait_after_a_failure() -> None:
    question = InputRequestFactory(case__retry_at=work.now() + timedelta(hours=1))
    services.provide_input(case_id=question.case_id, input_request_id=str(question.pk), provided_context="Yes.")
    case = fresh(question.case)
    question.refresh_from_db()
    assert (case.status, case.retry_at, case.due_at) == (Status.INPUT_NEEDED, None, question.resolved_at)
    assert case.version == 2
    assert (question.status, question.provided_context, question.used_at) == (RequestStatus.RESOLVED, "Yes.", None)


def test_cancelling_takes_back_what_was_to_be_sent() -> None:
    case = CaseFactory(status=Status.RUNNING)
    queued = MessageFactory(case=case, status=MessageStatus.QUEUED)
    services.cancel_case(case.pk, actor=STAFF)
    queued.refresh_from_db()
    ended = fresh(case)
    assert (ended.status, ended.result_status) == ("FAILED", "cancelled")
    assert ended.failure_reason == "The case was cancelled."
    assert (queued.status, ended.due_at) == (MessageStatus.DROPPED, None)
    assert [(event.type, event.actor) for event in case.events.all()] == [("case.failed", STAFF)]


def test_a_result_that_staff_enter_must_satisfy_the_schema() -> None:
    schema = {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}
    case = CaseFactory(status=Status.RUNNING, result_schema=schema)
    with pytest.raises(InvalidResult):
        services.complete_case(case.pk, result={"total": "12"}, actor=STAFF)
    assert fresh(case).status == Status.RUNNING
    services.complete_case(case.pk, result={"total": 12}, actor=STAFF)
    ended = fresh(case)
    assert (ended.status, ended.result) == (Status.COMPLETED, {"total": 12})
    assert ended.sources == [{"path": "", "source_id": STAFF, "quote": ""}]


def test_a_persons_own_words_are_the_next_mail() -> None:
    case = CaseFactory(status=Status.INPUT_NEEDED)
    MessageFactory(case=case, subject="Invoice of March")
    question = InputRequestFactory(case=case)
    services.reply_to_counterparty(case.pk, text="We pay 200.", actor=STAFF)
    mail = case.messages.get(status=MessageStatus.QUEUED)
    question.refresh_from_db()
    assert (mail.text, mail.subject, mail.purpose) == ("We pay 200.", "Re: Invoice of March", Purpose.REPLY)
    assert (mail.to_address, mail.from_name) == ("ann@supplier.example", "Bob Buyer")
    assert question.status == RequestStatus.CLOSED
    assert fresh(case).due_at == mail.created_at


def test_they_take_the_place_of_a_mail_that_waits_but_not_of_one_under_way() -> None:
    case = CaseFactory(status=Status.RUNNING)
    waiting = MessageFactory(case=case, status=MessageStatus.QUEUED)
    services.reply_to_counterparty(case.pk, text="Mine.", actor=STAFF)
    waiting.refresh_from_db()
    assert waiting.status == MessageStatus.DROPPED
    mine = case.messages.get(status=MessageStatus.QUEUED)
    case.messages.filter(pk=mine.pk).update(send_started_at=work.now())
    with pytest.raises(MessageBeingSent):
        services.reply_to_counterparty(case.pk, text="Another.", actor=STAFF)
    assert [message.text for message in case.messages.filter(status=MessageStatus.QUEUED)] == ["Mine."]


@pytest.mark.parametrize(
    ("objective", "subject"),
    [
        ("Get the\n invoice.", "Get the invoice."),
        ("x" * 78, "x" * 78),
        ("x" * 79, "x" * 77 + "…"),
        ("a\u2028Bcc: eve@evil.example", "a Bcc: eve@evil.example"),
    ],
)
def test_the_first_subject_is_the_goal_in_one_short_line(objective: str, subject: str) -> None:
    assert services.subject_of(CaseFactory(goal={"objective": objective})) == subject


@pytest.mark.parametrize(("first", "subject"), [("Invoice", "Re: Invoice"), ("RE: Invoice", "RE: Invoice")])
def test_later_subjects_are_those_of_the_thread(first: str, subject: str) -> None:
    case = CaseFactory(status=Status.RUNNING)
    MessageFactory(case=case, subject="never sent", status=MessageStatus.DROPPED)
    MessageFactory(case=case, subject=first)
    assert services.subject_of(case) == subject


def test_waiting_plans_the_next_follow_up_and_closes_the_question() -> None:
    case = CaseFactory(status=Status.INPUT_NEEDED)
    question = InputRequestFactory(case=case)
    moment = work.now() + timedelta(days=2)
    services.wait_until(case.pk, moment, actor=STAFF)
    question.refresh_from_db()
    waiting = fresh(case)
    assert (waiting.status, waiting.next_action_at, waiting.due_at) == (Status.RUNNING, moment, moment)
    assert question.status == RequestStatus.CLOSED


def test_where_a_case_is_sent_from(settings: Any) -> None:
    settings.OFFLOAD_TRANSPORT, settings.AGENTMAIL_INBOX = "agentmail", "inbox@agentmail.example"
    fields: dict[str, Any] = {
        "channel": "EMAIL",
        "goal": {"objective": "Ask."},
        "counterparty": {"address": "Ann@Supplier.example", "name": "Ann"},
        "sender_persona": {"name": "Bob"},
    }
    live = services.create_case(ApiKeyFactory(), **fields)
    test = services.create_case(ApiKeyFactory(is_test=True), **fields)
    assert (live.transport, live.our_address) == ("agentmail", "inbox@agentmail.example")
    assert (test.transport, test.our_address) == ("sandbox", f"case-{test.pk.hex}@sandbox.invalid")
    assert live.counterparty_address == "ann@supplier.example"


def test_staff_say_that_the_counterparty_refuses_and_nothing_that_only_the_service_knows() -> None:
    case = CaseFactory(status=Status.RUNNING)
    with pytest.raises(ValueError, match="BOUNCED"):
        services.fail_case(case.pk, reason="No.", actor=STAFF, result_status=ResultStatus.BOUNCED)
    services.fail_case(case.pk, reason="They say no.", actor=STAFF, result_status=ResultStatus.FAILED_REJECTED)
    case.refresh_from_db()
    assert (case.status, case.result_status, case.failure_reason) == ("FAILED", "failed_rejected", "They say no.")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Please confirm\n the  date.", "Please confirm the date."),
        ("a" * 78, "a" * 78),
        ("a" * 79, "a" * 77 + "…"),
        ("a" * 70 + " bbbbbbb", "a" * 70 + " bbbbbbb"),
        ("a" * 70 + " bbbbbbbb c", "a" * 70 + "…"),
        ("a" * 70 + " bbbbbb c", "a" * 70 + " bbbbbb…"),
    ],
)
def test_a_goal_in_short_is_one_line_of_whole_words(text: str, line: str) -> None:
    assert services.in_short(text) == line
    assert len(line) <= 78
