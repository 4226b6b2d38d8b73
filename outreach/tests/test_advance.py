"""The flow of a case, step by step: every line of the lifecycle, without processes."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pytest_django import Settings

from cases import correspondence, database, pump, services, transitions, work
from cases.correspondence import ReceivedMail
from cases.errors import CaseAlreadyFinished
from cases.factories import CaseFactory, reschedule
from cases.models import Case, InputRequest, Message, MessageStatus, Purpose, RequestStatus, ResultStatus, Status
from cases.resources import CaseResource
from cases.testing import run_due
from cases.time_travel import bring_nearer
from outreach import advance, sandbox, transports
from outreach.agents import registry
from outreach.agents.base import CaseView, Decision, Source, Verdict
from outreach.agents.form import FormAgent
from outreach.factories import FORM, Played
from outreach.inbound import counterparty
from outreach.inbound.content import InboundAttachment
from outreach.models import InboundPayload, SandboxMail
from outreach.transports import OutgoingMail, Receipt, TransportError
from outreach.transports.sandbox import SandboxTransport

pytestmark = pytest.mark.django_db
COMPLETE = "Invoice number: INV-7\nTotal: 1250.50"


@pytest.fixture
def played() -> Played:
    return Played.begin(result_schema=FORM)


def answer(played: Played, text: str) -> None:
    services.provide_input(case_id=played.case.pk, input_request_id=played.question.pk, provided_context=text)
    run_due()


def hours_ahead(case: Case) -> float:
    assert case.next_action_at is not None
    return round((case.next_action_at - datetime.now(UTC)) / timedelta(hours=1), 1)


# --- The first mail ---


def test_the_first_mail() -> None:
    played = Played.begin(
        goal={"objective": "Please send us the invoice for order 4711.", "knowledge": "It was for 12 chairs."},
        sender_persona={"name": "Bob Buyer", "role": "Accounting", "company": "Buyer Inc"},
        result_schema=FORM,
    )
    [mail] = played.mails
    assert mail["subject"] == "Please send us the invoice for order 4711."
    assert mail["text"] == (
        "Hello Ann Supplier,\n\n"
        "I am writing to you on behalf of Buyer Inc about the following.\n\n"
        "Please send us the invoice for order 4711.\n\n"
        "Could you reply to this mail with these lines filled in?\n\n"
        "Invoice number: \nTotal: \nRemarks: \n\n"
        "Total – a number such as 1250.50\nRemarks – may be left out\n\n"
        "Kind regards\nBob Buyer\nAccounting, Buyer Inc\n"
    )
    case = played.reload()
    assert (case.status, case.attempt_count, case.follow_up_count) == (Status.RUNNING, 1, 0)
    assert hours_ahead(case) == 72
    assert played.timeline == ["draft.written", "message.queued", "message.sent"]


def test_the_delay_is_the_cases_own() -> None:
    assert hours_ahead(Played.begin(follow_up_delay_hours=5).reload()) == 5


def test_nothing_is_due_after_the_first_mail(played: Played) -> None:
    assert played.reload().due_at == played.case.next_action_at
    run_due()
    assert len(played.mails) == 1


# --- Replies ---


def test_a_complete_reply_completes_the_case(played: Played) -> None:
    played.reply(f"Hello Bob,\n\n{COMPLETE}\n\nBest regards\nAnn")
    case = played.reload()
    assert (case.status, case.result_status) == (Status.COMPLETED, ResultStatus.GOAL_ACHIEVED)
    assert case.result == {"invoiceNumber": "INV-7", "total": 1250.5}
    [message] = played.received
    assert case.sources == [
        {"path": "/invoiceNumber", "source_id": str(message.pk), "quote": "Invoice number: INV-7"},
        {"path": "/total", "source_id": str(message.pk), "quote": "Total: 1250.50"},
    ]
    assert (case.next_action_at, case.due_at, case.attempt_count) == (None, None, 1)
    assert len(played.mails) == 1


def test_a_partial_reply_is_answered_with_what_is_missing_or_wrong(played: Played) -> None:
    played.reply("Total: about 1250")
    case = played.reload()
    assert (case.status, case.attempt_count, case.follow_up_count) == (Status.RUNNING, 2, 0)
    assert hours_ahead(case) == 72
    reply = played.mails[1]
    assert reply["subject"] == "Re: Ask for the invoice of March."
    assert reply["text"] == (
        "Hello Ann Supplier,\n\n"
        "Thank you for your reply.\n\n"
        "I could not use this as it is:\n"
        "- Total – you wrote “about 1250”, please write a number such as 1250.50\n\n"
        "Also missing: Invoice number.\n\n"
        "Please reply with these lines filled in:\n\n"
        "Total: \nInvoice number: \n\n"
        "Kind regards\nBob Buyer\n"
    )
    assert played.received[0].answered_by == played.sent[1]
    played.reply("Invoice number: INV-7\nTotal: 1250")
    assert played.reload().result == {"invoiceNumber": "INV-7", "total": 1250}


@pytest.mark.parametrize("text", ["Which invoice do you mean?", "We will send it on Friday, promised.", ""])
def test_anything_else_goes_to_a_human(played: Played, text: str) -> None:
    played.reply(text)
    case = played.reload()
    assert (case.status, case.next_action_at, case.attempt_count) == (Status.INPUT_NEEDED, None, 1)
    assert (text or "(no text)") in played.question.question
    assert len(played.mails) == 1


def test_the_humans_answer_goes_out_with_what_is_still_missing(played: Played) -> None:
    played.reply("Invoice number: INV-7")
    played.reply("Do you mean the one of March?")
    assert played.question.question == (
        "The counterparty wrote:\n\n> Do you mean the one of March?\n\n"
        "Filled in so far:\n- Invoice number: INV-7\n\nWhat should the answer be?"
    )
    answer(played, "Yes, March please.")
    case = played.reload()
    assert (case.status, case.attempt_count) == (Status.RUNNING, 3)
    assert hours_ahead(case) == 72
    assert played.mails[2]["text"] == (
        "Hello Ann Supplier,\n\n"
        "Yes, March please.\n\n"
        "These lines are still open. Please reply with them filled in:\n\n"
        "Total: \n\n"
        "Total – a number such as 1250.50\n\n"
        "Kind regards\nBob Buyer\n"
    )
    [question] = case.input_requests.all()
    assert question.used_by == played.sent[2]
    played.reply("Total: 12")
    assert played.reload().result == {"invoiceNumber": "INV-7", "total": 12}


def test_without_a_result_schema_every_reply_is_for_a_human() -> None:
    played = Played.begin()
    played.reply("Invoice number: INV-7\nTotal: 12")
    assert played.reload().status == Status.INPUT_NEEDED
    answer(played, "Thank you, that is all.")
    assert played.mails[1]["text"] == "Hello Ann Supplier,\n\nThank you, that is all.\n\nKind regards\nBob Buyer\n"
    played.reply("Bye.")
    assert (played.reload().status, played.case.input_requests.count()) == (Status.INPUT_NEEDED, 2)


def test_the_thread_is_one_thread(played: Played) -> None:
    played.reply("Total: 5")
    played.wait(72)
    first, second, third = played.sent
    [reply] = played.received
    assert (first.in_reply_to, first.references) == ("", "")
    assert (second.in_reply_to, second.references) == (reply.message_id, f"{first.message_id} {reply.message_id}")
    assert third.in_reply_to == second.message_id
    assert third.references == f"{first.message_id} {reply.message_id} {second.message_id}"
    assert f"\r\nIn-Reply-To: {second.message_id}\r\n" in played.mails[2]["raw"]
    assert {mail["subject"] for mail in played.mails[1:]} == {"Re: Ask for the invoice of March."}


# --- Follow-ups ---


def test_follow_ups_and_then_the_end() -> None:
    played = Played.begin(max_attempts=2, result_schema=FORM)
    played.wait(71.9)
    assert len(played.mails) == 1
    played.wait(0.2)
    case = played.reload()
    assert (case.status, case.attempt_count, case.follow_up_count, hours_ahead(case)) == (Status.RUNNING, 2, 1, 72)
    assert played.mails[1]["text"] == (
        "Hello Ann Supplier,\n\n"
        f"I wrote to you on {datetime.now(UTC):%-d %B %Y} and have not had your answer yet. "
        "Could you look at it again? This is what it is about.\n\n"
        "Ask for the invoice of March.\n\n"
        "Please reply with these lines filled in:\n\n"
        "Invoice number: \nTotal: \n\n"
        "Total – a number such as 1250.50\n\n"
        "Kind regards\nBob Buyer\n"
    )
    played.wait(72)
    assert (played.reload().attempt_count, played.case.follow_up_count) == (3, 2)
    played.wait(72)
    case = played.reload()
    assert (case.status, case.result_status) == (Status.FAILED, ResultStatus.MAX_RETRIES)
    assert case.failure_reason == "No answer after 2 follow-ups."
    assert (case.attempt_count, len(played.mails)) == (3, 3)


def test_without_follow_ups_the_case_ends_when_the_first_is_due() -> None:
    played = Played.begin(max_attempts=0)
    played.wait(72)
    assert (played.reload().result_status, len(played.mails)) == (ResultStatus.MAX_RETRIES, 1)


def test_the_reason_counts_a_single_follow_up() -> None:
    played = Played.begin(max_attempts=1)
    played.wait(72)
    played.wait(72)
    assert played.reload().failure_reason == "No answer after 1 follow-up."


def test_a_reply_does_not_give_follow_ups_back() -> None:
    played = Played.begin(max_attempts=1, result_schema=FORM)
    played.wait(72)
    played.reply("Total: 5")
    assert (played.reload().attempt_count, played.case.follow_up_count) == (3, 1)
    played.wait(72)
    assert (played.reload().result_status, len(played.mails)) == (ResultStatus.MAX_RETRIES, 3)


def test_our_replies_do_not_use_up_follow_ups() -> None:
    played = Played.begin(max_attempts=1, result_schema=FORM)
    played.reply("Total: 5")
    played.wait(72)
    case = played.reload()
    assert (case.status, case.attempt_count, case.follow_up_count) == (Status.RUNNING, 3, 1)


def test_no_follow_up_while_a_question_is_open(played: Played) -> None:
    played.reply("Which one?")
    played.wait(10_000)
    assert (played.reload().status, len(played.mails)) == (Status.INPUT_NEEDED, 1)


def test_follow_ups_keep_to_working_hours_except_in_the_sandbox() -> None:
    saturday = datetime(2026, 11, 28, 12, tzinfo=UTC)
    counterparty_ = {"address": "ann@supplier.example", "name": "Ann", "timezone": "Europe/Zurich"}
    for transport, expected in (("email", datetime(2026, 11, 30, 7, tzinfo=UTC)), ("sandbox", saturday)):
        case = CaseFactory(transport=transport, counterparty=counterparty_, follow_up_delay_hours=1)
        case.now = saturday - timedelta(hours=1)
        assert correspondence.follow_up_time(case) == expected


def test_out_of_office_moves_the_follow_up_but_never_to_an_earlier_time(played: Played) -> None:
    before = played.reload().next_action_at
    sandbox.out_of_office(played.case, until=datetime.now(UTC).date() + timedelta(days=1))
    run_due()
    assert played.reload().next_action_at == before
    day = datetime.now(UTC).date() + timedelta(days=20)
    sandbox.out_of_office(played.case, until=day)
    run_due()
    assert played.reload().next_action_at == datetime(day.year, day.month, day.day, tzinfo=UTC)
    assert (played.case.status, len(played.mails)) == (Status.RUNNING, 1)


def test_out_of_office_without_a_day_puts_the_follow_up_off_by_a_whole_delay_and_costs_no_attempt() -> None:
    played = Played.begin(max_attempts=1, follow_up_delay_hours=48)
    played.wait(40)
    sandbox.out_of_office(played.case)
    run_due()
    case = played.reload()
    assert (case.status, hours_ahead(case), case.attempt_count, case.follow_up_count) == (Status.RUNNING, 48, 1, 0)
    played.wait(47)
    assert len(played.mails) == 1
    played.wait(1)
    assert (played.reload().follow_up_count, len(played.mails)) == (1, 2)


def test_out_of_office_without_a_day_never_brings_the_follow_up_nearer(played: Played) -> None:
    later = work.now() + timedelta(days=30)
    services.wait_until(played.case.pk, later, actor="staff ann")
    sandbox.out_of_office(played.case)
    run_due()
    assert played.reload().next_action_at == later


def test_a_machine_that_writes_for_ever_does_not_keep_a_case_open_for_ever(played: Played) -> None:
    for number in range(1, 8):
        played.wait(60)
        correspondence.record_received(played.case.pk, received(f"Ticket update {number}", purpose=Purpose.MACHINE))
        run_due()
    assert len(played.mails) == 2  # after the fifth note the follow-up was due all the same
    assert hours_ahead(played.reload()) == 72


def test_out_of_office_while_a_question_is_open_plans_nothing(played: Played) -> None:
    played.reply("Which one?")
    sandbox.out_of_office(played.case)
    run_due()
    assert (played.reload().status, played.case.next_action_at) == (Status.INPUT_NEEDED, None)


# --- Reports ---


@pytest.mark.parametrize(
    ("report", "result_status", "reason"),
    [
        (sandbox.bounce, ResultStatus.BOUNCED, "The mail could not be delivered: "),
        (sandbox.complaint, ResultStatus.COMPLAINED, "The recipient reported the mail as unwanted."),
    ],
)
def test_reports_that_end_a_case(played: Played, report: Any, result_status: str, reason: str) -> None:
    report(played.case)
    run_due()
    case = played.reload()
    assert (case.status, case.result_status, case.next_action_at) == (Status.FAILED, result_status, None)
    assert case.failure_reason is not None
    assert case.failure_reason.startswith(reason)


def original(played: Played) -> counterparty.OriginalMail:
    return sandbox._newest_mail(played.case)


def test_a_transient_bounce_and_a_delay_notice_change_nothing(played: Played) -> None:
    before = seen(played.reload())
    sandbox.bounce(played.case, permanent=False)
    played.take(counterparty.delay(original(played)))
    assert seen(played.reload()) == before
    assert [message.purpose for message in played.received] == [Purpose.DELAY, Purpose.DELAY]
    assert played.timeline[-2:] == ["message.received", "message.received"]
    assert len(played.mails) == 1
    played.wait(72)
    assert "mailer-daemon" not in played.mails[1]["raw"].lower()
    assert set(played.sent[1].references.split()) == {played.sent[0].message_id}


def test_a_bounce_ends_a_case_that_waits_for_a_human_too(played: Played) -> None:
    played.reply("Which one?")
    sandbox.bounce(played.case)
    run_due()
    assert played.reload().result_status == ResultStatus.BOUNCED
    assert played.case.input_requests.get().status == RequestStatus.CLOSED


# --- Questions ---


def test_a_prose_reply_while_a_question_is_open_supersedes_it(played: Played) -> None:
    played.reply("Which one?")
    first = played.question
    played.reply("I mean, March or April?")
    assert played.question.pk != first.pk
    assert InputRequest.objects.get(pk=first.pk).status == RequestStatus.SUPERSEDED
    assert "March or April?" in played.question.question
    assert played.timeline.count("case.input_needed") == 2
    assert len(played.mails) == 1


def test_a_complete_reply_while_a_question_is_open_completes(played: Played) -> None:
    played.reply("Which one?")
    played.reply(COMPLETE)
    assert played.reload().status == Status.COMPLETED
    assert played.case.input_requests.get().status == RequestStatus.CLOSED


def test_a_partial_reply_while_a_question_is_open_is_answered_and_the_question_stays(played: Played) -> None:
    played.reply("Which one?")
    asked = played.question
    played.reply("Total: 5")
    case = played.reload()
    assert (case.status, case.next_action_at, case.attempt_count) == (Status.INPUT_NEEDED, None, 2)
    assert played.question == asked
    answer(played, "The one of March.")
    assert (played.reload().status, len(played.mails)) == (Status.RUNNING, 3)


def test_an_answer_and_a_complete_reply_at_the_same_time(played: Played) -> None:
    played.reply("Which one?")
    sandbox.reply(played.case, text=COMPLETE)
    run_due("payload")
    services.provide_input(
        case_id=played.case.pk, input_request_id=played.question.pk, provided_context="The one of March."
    )
    run_due()
    assert (played.reload().status, len(played.mails)) == (Status.COMPLETED, 1)


# --- A reply and a follow-up at once ---


def test_a_follow_up_that_is_due_while_a_reply_waits_is_not_sent(settings: Settings) -> None:
    played, _ = on_memory(settings, settle=3600)
    case = played.reload()
    take_reply(played, "Total: 5")
    Case.objects.filter(pk=case.pk).update(next_action_at=case.created_at)
    reschedule(case)
    run_due("case")
    case = played.reload()
    assert (case.status, case.next_action_at, case.attempt_count) == (Status.RUNNING, None, 1)
    assert case.due_at is not None
    assert case.due_at > case.updated_at + timedelta(minutes=59)  # the reply still settles


@dataclass
class MemoryTransport:
    """A transport that keeps what it gets, and does meanwhile what a test wants to happen in the middle of a send."""

    sent: list[OutgoingMail] = field(default_factory=list)
    meanwhile: Callable[[], object] | None = None

    def send(self, mail: OutgoingMail) -> Receipt:
        self.sent.append(mail)
        happening, self.meanwhile = self.meanwhile, None
        if happening:
            happening()
        return Receipt(provider_id=str(len(self.sent)))


def on_memory(settings: Settings, settle: float = 0, **fields: Any) -> tuple[Played, MemoryTransport]:
    """A case on a transport of its own, whose first mail has been sent."""
    settings.OFFLOAD_SETTLE_SECONDS = settle
    transport = MemoryTransport()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(transports.TRANSPORTS, "memory", lambda: transport)
        played = Played.begin(**{"transport": "memory", "result_schema": FORM, **fields})
    return played, transport


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> MemoryTransport:
    """What carries mail in place of the sandbox."""
    transport = MemoryTransport()
    monkeypatch.setitem(transports.TRANSPORTS, "sandbox", lambda: transport)
    return transport


def received(text: str, **more: Any) -> ReceivedMail:
    fields = {
        "purpose": Purpose.HUMAN,
        "message_id": f"<{random.getrandbits(64)}@supplier.example>",
        "from_address": "ann@supplier.example",
        "from_name": "Ann",
        "to_address": "",
        "subject": "",
        "text": text,
        "full_text": text,
    }
    return ReceivedMail(**{**fields, **more})


def pump_one_step() -> None:
    (held,) = work.claim("case", 1)
    pump.run_step(held)
    work.release([held])


def take_reply(played: Played, text: str) -> Message | None:
    return correspondence.record_received(played.case.pk, received(text))


def test_a_reply_that_comes_while_a_follow_up_is_sent_is_neither_lost_nor_doubles_it(memory: MemoryTransport) -> None:
    played = Played.begin(result_schema=FORM)
    memory.meanwhile = lambda: take_reply(played, COMPLETE)
    played.wait(72)
    case = played.reload()
    assert (case.status, case.result) == (Status.COMPLETED, {"invoiceNumber": "INV-7", "total": 1250.5})
    assert (case.attempt_count, case.follow_up_count, len(memory.sent)) == (2, 1, 2)
    assert [message.status for message in played.sent] == [MessageStatus.SENT] * 2


def test_a_reply_that_comes_before_the_first_send_is_recorded_is_read_after_it(memory: MemoryTransport) -> None:
    case = CaseFactory(result_schema=FORM)
    memory.meanwhile = lambda: take_reply(Played(case), COMPLETE)
    run_due()
    case.refresh_from_db()
    assert (case.status, case.attempt_count, len(memory.sent)) == (Status.COMPLETED, 1, 1)


def test_a_delay_notice_does_not_take_a_queued_mail_back(memory: MemoryTransport) -> None:
    played = Played.begin()
    services.wait_until(played.case.pk, work.now(), actor="staff ann")
    pump_one_step()
    assert played.case.messages.get(status=MessageStatus.QUEUED)
    correspondence.record_received(played.case.pk, received("", purpose=Purpose.DELAY))
    run_due()
    assert "message.dropped" not in played.timeline
    assert len(memory.sent) == 2


def test_an_absence_note_that_is_faster_than_the_commit_of_the_send_counts(memory: MemoryTransport) -> None:
    back = database.to_milliseconds(work.now() + timedelta(days=20))
    played = Played(CaseFactory())
    memory.meanwhile = lambda: correspondence.record_received(
        played.case.pk, received("I am away.", purpose=Purpose.MACHINE), absent_until=back
    )
    run_due()
    assert (played.reload().status, played.case.attempt_count) == (Status.RUNNING, 1)
    assert (played.case.next_action_at, played.case.due_at) == (back, back)


def test_a_follow_up_that_was_written_before_a_reply_came_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played.begin(result_schema=FORM)
    draft = FormAgent.draft_follow_up

    def slow(agent: FormAgent, view: CaseView, *more: Any) -> Any:
        take_reply(played, "Total: 5")
        return draft(agent, view, *more)

    monkeypatch.setattr(FormAgent, "draft_follow_up", slow)
    played.wait(72)
    assert [message.purpose for message in played.sent] == [Purpose.OUTREACH, Purpose.REPLY]


def move_back(message: Message, length: timedelta) -> None:
    Message.objects.filter(pk=message.pk).update(created_at=message.created_at - length)


def test_two_quick_replies_are_read_together(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    played, transport = on_memory(settings, settle=60)
    monkeypatch.setitem(transports.TRANSPORTS, "memory", lambda: transport)
    take_reply(played, "Invoice number: INV-7\nTotal: 5")
    take_reply(played, "Sorry: \nTotal: 6")
    run_due()
    assert played.reload().status == Status.RUNNING
    assert played.case.due_at is not None
    newest = played.received[-1].created_at
    assert played.case.due_at == newest + timedelta(seconds=60)
    for message in played.received:
        move_back(message, timedelta(seconds=61))
    reschedule(played.case)
    run_due()
    case = played.reload()
    assert (case.status, case.result) == (Status.COMPLETED, {"invoiceNumber": "INV-7", "total": 6})
    assert played.timeline.count("verdict") == 1
    assert len(transport.sent) == 1


def test_corrections_do_not_put_a_verdict_off_for_ever(settings: Settings) -> None:
    played, _ = on_memory(settings, settle=60)
    for _ in range(3):
        take_reply(played, "Total: 5")
    first, *_, last = played.received
    move_back(first, first.created_at - last.created_at + timedelta(seconds=295))
    reschedule(played.case)
    assert played.reload().due_at == last.created_at + timedelta(seconds=5)  # oldest + 5 × settle


# --- After the end ---


def ended(played: Played) -> Case:
    services.cancel_case(played.case.pk, actor="staff ann")
    return played.reload()


def test_cancel(played: Played) -> None:
    case = ended(played)
    assert (case.status, case.result_status, case.failure_reason) == (
        Status.FAILED,
        ResultStatus.CANCELLED,
        "The case was cancelled.",
    )
    with pytest.raises(CaseAlreadyFinished):
        services.cancel_case(case.pk, actor="staff ann")
    played.wait(1000)
    assert len(played.mails) == 1


def test_a_cancelled_case_that_has_not_begun_sends_nothing() -> None:
    case = CaseFactory()
    services.cancel_case(case.pk, actor="staff ann")
    run_due()
    assert not SandboxMail.objects.exists()


def seen(case: Case) -> dict[str, Any]:
    """All that the client sees of the case, and may hear of it."""
    data: dict[str, Any] = CaseResource(case).data
    return {**data, "version": case.version, "failureReason": case.failure_reason}


def test_nothing_changes_after_the_end_and_mail_is_kept(played: Played) -> None:
    case = ended(played)
    before = seen(case)
    played.reply(COMPLETE, attachments=[InboundAttachment("late.pdf", "application/pdf", b"%PDF-1.4", inline=False)])
    sandbox.complaint(case)
    sandbox.out_of_office(case, until=date(2030, 1, 1))
    played.wait(1000)
    with pytest.raises(CaseAlreadyFinished):
        services.reply_to_counterparty(case.pk, text="Hello?", actor="staff ann")
    run_due()
    case = played.reload()
    assert seen(case) == before
    assert case.due_at is None
    assert [message.is_after_end for message in played.received] == [True, True, True]
    assert len(played.mails) == 1


@pytest.mark.parametrize(
    "end",
    [
        lambda case: services.cancel_case(case.pk, actor="staff ann"),
        lambda case: correspondence.record_delivery_failure(
            case.pk, result_status=ResultStatus.BOUNCED, reason="no such user"
        ),
    ],
)
def test_an_end_during_a_send_stays_the_end(memory: MemoryTransport, end: Any) -> None:
    played = Played.begin(result_schema=FORM)
    memory.meanwhile = lambda: end(played.case)
    played.wait(72)
    case = played.reload()
    assert (case.status, case.attempt_count) == (Status.FAILED, 1)
    newest = case.messages.latest("created_at")
    assert newest.status == MessageStatus.SENT  # a fact is a fact; nothing that clients see changes
    run_due()
    assert len(memory.sent) == 2


def test_an_end_before_the_send_begins_drops_the_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played.begin(result_schema=FORM)
    draft = FormAgent.draft_follow_up

    def slow(agent: FormAgent, view: CaseView, *more: Any) -> Any:
        ended(played)
        return draft(agent, view, *more)

    monkeypatch.setattr(FormAgent, "draft_follow_up", slow)
    played.wait(72)
    assert (played.reload().result_status, len(played.mails)) == (ResultStatus.CANCELLED, 1)


def test_an_unknown_send_of_an_ended_case_is_not_repeated(memory: MemoryTransport) -> None:
    played = Played.begin()

    def crash() -> None:
        ended(played)
        raise ConnectionError("cut off")

    memory.meanwhile = crash
    played.case = Case.objects.get(pk=played.case.pk)
    with pytest.raises(ConnectionError):
        played.wait(72)
    run_due()
    assert played.case.messages.latest("created_at").status == MessageStatus.UNKNOWN
    assert len(memory.sent) == 2


def test_a_send_is_recorded_once(played: Played) -> None:
    before = played.reload()
    correspondence.record_sent(played.sent[0].pk)
    assert (played.reload().attempt_count, played.case.version) == (1, before.version)


# --- When sending fails ---


def test_a_refusal_for_good_ends_the_case(memory: MemoryTransport) -> None:
    def refuse() -> None:
        raise TransportError("550 no such user", permanent=True)

    memory.meanwhile = refuse
    case = CaseFactory()
    run_due()
    case.refresh_from_db()
    assert (case.status, case.result_status, case.attempt_count) == (Status.FAILED, ResultStatus.REJECTED, 0)
    assert case.failure_reason == "The mail was refused: 550 no such user"
    assert case.messages.get().status == MessageStatus.REFUSED


class FlakySandbox(SandboxTransport):
    """Delivers, and then breaks: nobody knows whether the mail has gone out."""

    failures: list[Exception] = []
    seen: list[OutgoingMail] = []

    def send(self, mail: OutgoingMail) -> Receipt:
        self.seen.append(mail)
        receipt = super().send(mail)
        if self.failures:
            raise self.failures.pop()
        return receipt


@pytest.mark.parametrize("error", [TransportError("421 later", permanent=False), RuntimeError("killed")])
def test_a_send_of_unknown_outcome_is_repeated_with_the_same_key_and_bytes(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setitem(transports.TRANSPORTS, "sandbox", FlakySandbox)
    monkeypatch.setattr(FlakySandbox, "failures", [error])
    monkeypatch.setattr(FlakySandbox, "seen", [])
    played = Played(CaseFactory(result_schema=FORM))
    run_due(failing=(TransportError, RuntimeError))
    case = played.reload()
    assert (case.status, case.failures, case.next_action_at) == (Status.CREATED, 1, None)
    assert case.retry_at is not None
    assert 59 <= (case.retry_at - datetime.now(UTC)).total_seconds() <= 73
    assert case.due_at == case.retry_at
    played.reply("Total: 5")  # a reply in between does not make it another mail
    played.wait(1)
    first, second = FlakySandbox.seen[:2]
    assert first == second
    case = played.reload()
    assert (case.attempt_count, len(played.mails)) == (2, 2)  # the outreach once, then the answer to the reply
    assert [mail["messageId"] for mail in played.mails] == [message.message_id for message in played.sent]
    assert (case.failures, case.retry_at) == (0, None)


@pytest.mark.engine
def test_a_reply_that_comes_while_a_send_fails_does_not_wait_for_the_pause(settings: Settings) -> None:
    waiting, transport = on_memory(settings, settle=300)

    def reply_and_fail() -> None:
        take_reply(waiting, COMPLETE)
        raise TransportError("421 later", permanent=False)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(transports.TRANSPORTS, "memory", lambda: transport)
        transport.meanwhile = reply_and_fail
        bring_nearer(waiting.case.pk, timedelta(hours=72))
        [error] = run_due(failing=TransportError)
    case = waiting.reload()
    assert (str(error), case.retry_at, case.failures) == ("421 later", None, 0)
    assert [mail.idempotency_key for mail in transport.sent[1:]] == [transport.sent[1].idempotency_key] * 2
    assert case.attempt_count == 2
    [reply] = waiting.received
    assert (reply.read_at, case.due_at) == (None, reply.created_at + timedelta(seconds=300))


def test_the_agent_is_asked_once_for_a_mail_however_often_it_is_sent(
    memory: MemoryTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafts: list[CaseView] = []
    draft = FormAgent.draft_outreach

    def counted(agent: FormAgent, view: CaseView, *more: Any) -> Any:
        drafts.append(view)
        return draft(agent, view, *more)

    monkeypatch.setattr(FormAgent, "draft_outreach", counted)

    def fail() -> None:
        raise TransportError("later", permanent=False)

    memory.meanwhile = fail
    played = Played(CaseFactory())
    run_due(failing=TransportError)
    played.wait(1)
    assert (len(drafts), len(memory.sent), played.reload().attempt_count) == (1, 2, 1)


def test_a_transport_that_is_not_there_is_no_reason_to_give_up() -> None:
    case = CaseFactory(transport="pigeon")
    [error] = run_due(failing=TransportError)
    assert "pigeon" in str(error)
    case.refresh_from_db()
    assert (case.status, case.last_error) == (
        Status.CREATED,
        "TransportError: there is no transport named 'pigeon' here",
    )


# --- What may not go out ---


def test_metadata_in_a_humans_answer_is_held_back() -> None:
    played = Played.begin(metadata={"internal": {"margin": "canary-4711"}})
    played.reply("What is your limit?")
    answer(played, "Our limit is CANARY-4711.")
    case = played.reload()
    assert (case.status, case.attempt_count, len(played.mails)) == (Status.INPUT_NEEDED, 1, 1)
    assert "the value of metadata.internal.margin" in played.question.question
    answer(played, "We can't say.")
    assert "We can't say." in played.mails[1]["text"]
    assert "CANARY" not in played.mails[1]["raw"]


def test_metadata_in_a_staff_reply_is_held_back() -> None:
    played = Played.begin(metadata={"note": "canary-4711"})
    services.reply_to_counterparty(played.case.pk, text="See canary-4711.", actor="staff ann")
    run_due()
    assert (played.reload().status, len(played.mails)) == (Status.INPUT_NEEDED, 1)
    assert played.case.messages.get(purpose=Purpose.REPLY).status == MessageStatus.DROPPED


def test_a_case_sends_only_so_many_mails_an_hour(settings: Settings) -> None:
    settings.OFFLOAD_MAX_MESSAGES_PER_HOUR = 3
    names = ["first", "second", "third", "fourth", "fifth"]
    played = Played.begin(result_schema={"required": names, "properties": {name: {} for name in names}})
    for name in names[:-1]:
        played.reply(f"{name}: yes")
    case = played.reload()
    assert (case.status, case.attempt_count, len(played.mails)) == (Status.INPUT_NEEDED, 3, 3)
    assert "3 mails within an hour" in played.question.question


def test_follow_ups_count_for_the_limit_too(settings: Settings) -> None:
    settings.OFFLOAD_MAX_MESSAGES_PER_HOUR = 2
    played = Played.begin()
    for _ in range(4):
        Case.objects.filter(pk=played.case.pk, status=Status.RUNNING).update(next_action_at=work.now())
        reschedule(played.case)
        run_due()
    assert (played.reload().status, len(played.mails)) == (Status.INPUT_NEEDED, 2)


def test_an_hour_that_was_skipped_has_passed_for_the_limit(settings: Settings) -> None:
    settings.OFFLOAD_MAX_MESSAGES_PER_HOUR = 2
    played = Played.begin(max_attempts=3)
    before = seen(played.reload())["conversationThread"]
    for _ in range(3):
        played.wait(72)
    assert (played.reload().status, len(played.mails)) == (Status.RUNNING, 4)
    assert seen(played.case)["conversationThread"].startswith(before)  # what has been keeps its times


def test_a_go_on_holds_for_an_hour_of_the_cases_own(settings: Settings) -> None:
    settings.OFFLOAD_MAX_MESSAGES_PER_HOUR = 1
    played = Played.begin(result_schema=FORM)
    played.reply("Total: 5")
    answer(played, "Go on.")
    assert (played.reload().status, len(played.mails)) == (Status.RUNNING, 2)
    played.wait(0.9)
    played.reply("Total: 5")
    assert (played.reload().status, len(played.mails)) == (Status.INPUT_NEEDED, 2)
    played.wait(0.2)
    answer(played, "Go on.")
    assert (played.reload().status, len(played.mails)) == (Status.RUNNING, 3)


# --- Agents that misbehave ---


class Misled(FormAgent):
    """Says what it is told to say."""

    name = "misled"
    verdict = Verdict(Decision.WAIT)

    def evaluate(self, case: CaseView, *more: Any) -> Verdict:
        return self.verdict


def misled(monkeypatch: pytest.MonkeyPatch, **verdict: Any) -> None:
    agent = Misled()
    agent.verdict = Verdict(**verdict)
    monkeypatch.setattr(registry, "current", lambda seconds: agent)


@pytest.mark.parametrize(
    ("result", "quotes"),
    [
        ({"invoiceNumber": "INV-7", "total": 5}, {}),
        ({"invoiceNumber": "INV-7", "total": 5}, {"/invoiceNumber": "INV-7", "/total": "Total: 5"}),
        ({"invoiceNumber": "INV-7", "total": 6}, {"/invoiceNumber": "INV-7", "/total": "the total is 1250.50"}),
        ({"invoiceNumber": "INV-7"}, {"/invoiceNumber": "INV-7"}),
        ({"invoiceNumber": 7, "total": 1250.5}, {"/invoiceNumber": "INV-7", "/total": "1250.50"}),
        (None, {}),
    ],
)
def test_a_result_without_evidence_never_completes(
    played: Played, monkeypatch: pytest.MonkeyPatch, result: Any, quotes: dict[str, str]
) -> None:
    message = take_reply(played, "It is INV-7, and the total is 1250.50 euros.")
    assert message is not None
    sources = tuple(Source(path, str(message.pk), quote) for path, quote in quotes.items())
    misled(monkeypatch, decision=Decision.GOAL_ACHIEVED, result=result, sources=sources)
    run_due()
    case = played.reload()
    assert (case.status, case.result, case.result_status) == (Status.INPUT_NEEDED, None, None)
    assert "not borne out" in played.question.question


def test_a_result_with_evidence_completes(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    message = take_reply(played, "It is INV-7, and the total is 1250.50 euros.")
    assert message is not None
    sources = (Source("/invoiceNumber", str(message.pk), "it is inv-7"), Source("/total", str(message.pk), "1250.50"))
    misled(
        monkeypatch,
        decision=Decision.GOAL_ACHIEVED,
        result={"invoiceNumber": "INV-7", "total": 1250.5},
        sources=sources,
    )
    run_due()
    assert played.reload().result == {"invoiceNumber": "INV-7", "total": 1250.5}


def test_a_refusal_fails_the_case(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    misled(monkeypatch, decision=Decision.REJECTED, reason="They want no business with us.")
    played.reply("No.")
    case = played.reload()
    assert (case.status, case.result_status) == (Status.FAILED, ResultStatus.FAILED_REJECTED)
    assert case.failure_reason == "They want no business with us."


def test_nothing_to_do_yet_is_running_and_rescheduled(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    until = work.now() + timedelta(days=9)
    misled(monkeypatch, decision=Decision.WAIT, wait_until=until, reason="They send it then.")
    played.reply("You get it next week.")
    case = played.reload()
    assert (case.status, case.next_action_at, len(played.mails)) == (Status.RUNNING, until, 1)


def test_a_verdict_on_a_thread_that_has_grown_meanwhile_is_dropped(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate = FormAgent.evaluate
    judged: list[int] = []

    def slow(agent: FormAgent, view: CaseView, *more: Any) -> Verdict:
        judged.append(len(view.from_counterparty))
        if len(judged) == 1:
            take_reply(played, COMPLETE)
        return evaluate(agent, view, *more)

    monkeypatch.setattr(FormAgent, "evaluate", slow)
    played.reply("Which one?")
    assert judged == [1, 2]
    assert (played.reload().status, played.case.input_requests.count()) == (Status.INPUT_NEEDED, 1)
    assert "> Which one?" in played.question.question
    assert "Every required line is filled in:" in played.question.question


# --- Staff ---


def test_a_staff_reply_is_sent_as_it_is(played: Played) -> None:
    played.reply("Which one?")
    services.reply_to_counterparty(played.case.pk, text="March.\n\nAnn from staff\n", actor="staff ann")
    run_due()
    assert played.mails[1]["text"] == "March.\n\nAnn from staff\n"
    assert (played.reload().status, played.case.attempt_count) == (Status.RUNNING, 2)
    assert played.case.input_requests.get().status == RequestStatus.CLOSED


def test_staff_let_a_case_wait(played: Played) -> None:
    played.reply("You get it on Friday.")
    moment = work.now() + timedelta(days=5)
    services.wait_until(played.case.pk, moment, actor="staff ann")
    run_due()
    assert (played.reload().status, played.case.next_action_at, len(played.mails)) == (Status.RUNNING, moment, 1)
    played.wait(5 * 24)
    assert played.sent[-1].purpose == Purpose.FOLLOW_UP


def test_a_case_that_fails_for_a_day_asks_a_human(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("no agent")

    monkeypatch.setattr(FormAgent, "draft_follow_up", broken)
    Case.objects.filter(pk=played.case.pk).update(failing_since=work.now() - timedelta(hours=25), failures=30)
    with pytest.raises(RuntimeError):
        played.wait(72)
    case = played.reload()
    assert case.status == Status.INPUT_NEEDED
    assert "RuntimeError: no agent" in played.question.question
    monkeypatch.undo()
    answer(played, "Try again.")
    played.wait(1)
    assert played.sent[-1].purpose == Purpose.FOLLOW_UP
    assert "Try again." not in played.mails[-1]["text"]


def test_what_is_answered_about_the_service_itself_is_not_told_to_the_counterparty(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = CaseFactory()
    with monkeypatch.context() as patch:
        patch.delitem(transports.TRANSPORTS, "sandbox")
        run_due(failing=TransportError)
        Case.objects.filter(pk=case.pk).update(failing_since=work.now() - timedelta(hours=25))
        bring_nearer(case.pk, timedelta(hours=1))
        run_due(failing=TransportError)
    played = Played(case)
    assert played.reload().status == Status.INPUT_NEEDED
    answer(played, "Repaired.")
    played.wait(1)
    [mail] = played.mails
    assert "Repaired." not in mail["text"]
    assert (played.reload().status, played.case.attempt_count) == (Status.RUNNING, 1)


def test_a_case_that_was_begun_ten_times_asks_a_human(played: Played) -> None:
    Case.objects.filter(pk=played.case.pk).update(lost_leases=10, next_action_at=work.now(), due_at=work.now())
    run_due()
    assert played.reload().status == Status.INPUT_NEEDED
    assert "begun 10 times" in played.question.question


# --- Repeated and reordered (R12) ---


def test_events_that_come_ten_times_in_any_order_count_once(played: Played) -> None:
    mail = original(played)
    raws = [
        counterparty.reply(mail, text="Invoice number: INV-7"),
        counterparty.out_of_office(mail, until=date(2030, 1, 1)),
        counterparty.bounce(mail, permanent=False),
    ]
    repeated = raws * 10
    random.Random(7).shuffle(repeated)
    for raw in repeated:
        played.take(raw)
    case = played.reload()
    assert (InboundPayload.objects.count(), len(played.received)) == (3, 3)
    assert (case.status, case.attempt_count, played.timeline.count("verdict")) == (Status.RUNNING, 2, 1)


def test_the_same_mail_by_another_door_counts_once(played: Played) -> None:
    raw = counterparty.reply(original(played), text="Invoice number: INV-7")
    played.take(raw)
    played.take(b"Received: by another server\r\n" + raw)
    assert (InboundPayload.objects.count(), len(played.received)) == (2, 1)
    assert played.timeline.count("verdict") == 1


def test_transitions_know_no_way_out_of_the_end(played: Played) -> None:
    from cases.errors import IllegalTransition

    ended(played)
    with work.transaction(), pytest.raises(IllegalTransition):
        transitions.run(Case.objects.locked(played.case.pk), next_action_at=None)


def test_a_case_that_is_due_for_nothing_keeps_no_worker_turning(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advance, "TABLE", ())
    Case.objects.filter(pk=played.case.pk).update(next_action_at=work.now())
    reschedule(played.case)
    run_due()
    case = played.reload()
    assert case.due_at is not None
    assert timedelta(seconds=50) < case.due_at - work.now() < timedelta(seconds=70)
