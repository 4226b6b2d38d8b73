"""Races: what happens to a case in the middle of a step, while an agent thinks or a mail is under way."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import close_old_connections
from pytest_django import Settings

from cases import correspondence, services, transitions, work
from cases.correspondence import ReceivedMail
from cases.errors import CaseError, InputRequestMismatch
from cases.factories import CaseFactory, InputRequestFactory, MessageFactory
from cases.models import Case, Message, MessageStatus, Purpose, RequestStatus, ResultStatus, Status
from cases.testing import run_due
from cases.time_travel import bring_nearer
from offload_project.tests.processes import in_threads
from offload_project.tests.steps import RecordingTransport, answer, let_lease_end, new_case, run, step
from outreach.agents import registry
from outreach.agents.base import AgentGaveUp, CaseView, Decision, Verdict
from outreach.agents.form import FormAgent
from outreach.inbound import intake
from outreach.models import InboundPayload, PayloadState
from outreach.transports import OutgoingMail, TransportError

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]
HOUR = timedelta(hours=1)
GOAL_ACHIEVED = Verdict(Decision.GOAL_ACHIEVED)
REPLY = Verdict(Decision.REPLY, reply_body="Which one do you mean?")
WAIT = Verdict(Decision.WAIT, reason="Not yet.")


class Scripted(FormAgent):
    """Gives the verdicts it was given, the last one again and again; `meanwhile` happens while it thinks."""

    name = "scripted"

    def __init__(self) -> None:
        self.verdicts = [WAIT]
        self.seen: list[CaseView] = []
        self.meanwhile: Callable[[], object] | None = None

    def evaluate(self, case: CaseView, *more: Any) -> Verdict:
        self.seen.append(case)
        happening, self.meanwhile = self.meanwhile, None
        if happening:
            happening()
        return self.verdicts.pop(0) if len(self.verdicts) > 1 else self.verdicts[0]

    @property
    def read(self) -> list[list[str]]:
        """What of the counterparty's mail was there at each evaluation."""
        return [[mail.text for mail in case.from_counterparty] for case in self.seen]


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    scripted = Scripted()
    monkeypatch.setattr(registry, "current", lambda seconds: scripted)
    return scripted


@pytest.fixture
def running(transport: RecordingTransport) -> Case:
    """A case whose first mail has been sent."""
    case = new_case()
    run_due("case")
    case.refresh_from_db()
    return case


def during_the_next_send(transport: RecordingTransport, act: Callable[[], object]) -> None:
    def once(mail: OutgoingMail) -> None:
        transport.meanwhile = lambda mail: None
        act()

    transport.meanwhile = once


def ask(case: Case, question: str = "Which one?") -> Any:
    with work.transaction():
        return transitions.ask(Case.objects.locked(case.pk), question=question, reason="")


def tell(case: Case, question: Any, text: str) -> None:
    """A human answers the question."""
    services.provide_input(case_id=case.pk, input_request_id=question.pk, provided_context=text)


# --- The last mail, and what comes while it is on its way -------------------------------------------------------------


@pytest.fixture
def thanked(running: Case, agent: Scripted, settings: Settings) -> Case:
    """A case that has reached its goal, and whose counterparty is about to be thanked."""
    settings.OFFLOAD_CLOSING_MAIL = True
    agent.verdicts = [GOAL_ACHIEVED, GOAL_ACHIEVED]
    answer(running, "Here it is.")
    assert step() is None
    assert running.messages.get(status=MessageStatus.QUEUED).completion is not None
    return running


def test_mail_that_comes_while_thanks_are_sent_is_judged_before_the_case_completes(
    thanked: Case, agent: Scripted, transport: RecordingTransport
) -> None:
    during_the_next_send(transport, lambda: answer(thanked, "Sorry, that was the wrong one."))
    assert step() is None
    thanked.refresh_from_db()
    assert (thanked.status, thanked.attempt_count, thanked.result_status) == (Status.RUNNING, 2, None)
    assert thanked.messages.unread().count() == 1
    run_due("case")
    thanked.refresh_from_db()
    assert agent.read == [["Here it is."], ["Here it is.", "Sorry, that was the wrong one."]]
    assert thanked.status == Status.COMPLETED
    assert len(transport.sent) == 2  # nobody is thanked twice


def test_the_second_look_may_find_otherwise(thanked: Case, agent: Scripted, transport: RecordingTransport) -> None:
    agent.verdicts = [Verdict(Decision.INPUT_NEEDED, question="What now?")]
    during_the_next_send(transport, lambda: answer(thanked, "Sorry, that was the wrong one."))
    run_due("case")
    thanked.refresh_from_db()
    assert (thanked.status, thanked.result_status) == (Status.INPUT_NEEDED, None)


def test_mail_that_comes_before_thanks_are_sent_takes_them_back(
    thanked: Case, agent: Scripted, transport: RecordingTransport
) -> None:
    answer(thanked, "Sorry, that was the wrong one.")
    run_due("case")
    thanked.refresh_from_db()
    assert agent.read[1:] == [["Here it is.", "Sorry, that was the wrong one."]]
    assert (thanked.status, thanked.attempt_count, len(transport.sent)) == (Status.COMPLETED, 2, 2)


def test_an_answer_that_is_given_while_thanks_are_sent_is_used_before_the_case_completes(
    running: Case, agent: Scripted, transport: RecordingTransport, settings: Settings
) -> None:
    settings.OFFLOAD_CLOSING_MAIL = True
    agent.verdicts = [GOAL_ACHIEVED]
    question = ask(running, "Is one enough?")
    answer(running, "Here it is.")
    assert step() is None
    during_the_next_send(transport, lambda: tell(running, question, "No, two."))
    assert step() is None
    running.refresh_from_db()
    assert running.status == Status.RUNNING
    run_due("case")
    running.refresh_from_db()
    assert [told.text for told in agent.seen[1].answers if not told.used] == ["No, two."]
    assert running.status == Status.COMPLETED


def test_a_machines_note_while_thanks_are_sent_changes_nothing(thanked: Case, transport: RecordingTransport) -> None:
    during_the_next_send(transport, lambda: machine_note(thanked))
    assert step() is None
    thanked.refresh_from_db()
    assert thanked.status == Status.COMPLETED


def machine_note(case: Case) -> None:
    note = ReceivedMail(Purpose.MACHINE, "<note@supplier.example>", "ann@supplier.example", "", "", "", "Away.", "")
    correspondence.record_received(case.pk, note)


def test_thanks_that_are_refused_end_the_case_unless_mail_has_come(
    thanked: Case, agent: Scripted, transport: RecordingTransport
) -> None:
    def refuse(mail: OutgoingMail) -> None:
        transport.meanwhile = lambda mail: None
        answer(thanked, "Sorry, that was the wrong one.")
        raise TransportError("no such user", permanent=True)

    transport.meanwhile = refuse
    assert step() is None
    thanked.refresh_from_db()
    assert (thanked.status, thanked.result_status) == (Status.RUNNING, None)
    run_due("case")
    thanked.refresh_from_db()
    assert (thanked.status, len(agent.seen), len(transport.sent)) == (Status.COMPLETED, 2, 2)


# --- While a reply is judged ------------------------------------------------------------------------------------------


def test_a_follow_up_that_falls_due_while_a_reply_is_judged_is_not_sent(
    running: Case, agent: Scripted, transport: RecordingTransport
) -> None:
    agent.verdicts = [REPLY]
    agent.meanwhile = lambda: bring_nearer(running.pk, 100 * HOUR)
    answer(running, "Which invoice?")
    run_due("case")
    assert len(transport.sent) == 2
    assert [mail.purpose for mail in running.messages.filter(direction="OUT")] == [Purpose.OUTREACH, Purpose.REPLY]
    running.refresh_from_db()
    assert (running.attempt_count, running.follow_up_count) == (2, 0)


def test_a_case_that_is_cancelled_while_a_reply_is_judged_sends_nothing(
    running: Case, agent: Scripted, transport: RecordingTransport
) -> None:
    agent.verdicts = [REPLY]
    agent.meanwhile = lambda: services.cancel_case(running.pk, actor="client")
    answer(running, "Which invoice?")
    run_due("case")
    running.refresh_from_db()
    assert (running.status, running.result_status, running.due_at) == (Status.FAILED, ResultStatus.CANCELLED, None)
    assert len(transport.sent) == 1


def test_an_answer_that_is_given_while_another_reply_is_judged_is_accepted_and_both_are_judged(
    running: Case, agent: Scripted, transport: RecordingTransport
) -> None:
    question = ask(running)
    agent.verdicts = [Verdict(Decision.INPUT_NEEDED, question="Another?"), REPLY]
    agent.meanwhile = lambda: tell(running, question, "The one of March.")
    answer(running, "Hurry up.")
    run_due("case")
    question.refresh_from_db()
    reply = running.messages.get(purpose=Purpose.REPLY)
    assert (question.status, question.used_by) == (RequestStatus.RESOLVED, reply)
    assert running.input_requests.count() == 1  # what was found without the answer is dropped
    assert [[told.text for told in case.answers] for case in agent.seen] == [[], ["The one of March."]]
    assert len(transport.sent) == 2


def test_an_answer_to_a_question_that_was_superseded_meanwhile_is_a_mismatch(running: Case, agent: Scripted) -> None:
    question = ask(running)
    agent.verdicts = [Verdict(Decision.INPUT_NEEDED, question="And which of the two?")]
    answer(running, "There are two.")
    run_due("case")
    with pytest.raises(InputRequestMismatch):
        tell(running, question, "Too late.")
    assert running.input_requests.get(status=RequestStatus.PENDING).question == "And which of the two?"


def test_a_verdict_whose_lease_has_gone_to_somebody_else_is_dropped(
    running: Case, agent: Scripted, transport: RecordingTransport
) -> None:
    agent.verdicts = [REPLY]
    answer(running, "Which invoice?")
    (slow,) = work.claim("case", 1)

    def taken_over() -> None:
        let_lease_end(running)
        assert step() is None  # somebody else judges, and is done with it
        work.let_go_of_connection()

    agent.meanwhile = taken_over
    assert isinstance(run(slow), work.LeaseLost)
    run_due("case")
    assert len(transport.sent) == 2
    assert running.messages.filter(purpose=Purpose.REPLY).count() == 1


# --- Two who send the same --------------------------------------------------------------------------------------------


def test_a_refusal_after_the_mail_was_sent_by_somebody_else_says_nothing(
    running: Case, transport: RecordingTransport
) -> None:
    services.reply_to_counterparty(running.pk, text="See above.", actor="staff ann")
    (slow,) = work.claim("case", 1)

    def sent_by_another(mail: OutgoingMail) -> None:
        transport.meanwhile = lambda mail: None
        let_lease_end(running)
        assert step() is None
        raise TransportError("this key has been used", permanent=True)

    transport.meanwhile = sent_by_another
    assert run(slow) is None
    running.refresh_from_db()
    assert (running.status, running.attempt_count) == (Status.RUNNING, 2)
    assert running.messages.get(purpose=Purpose.REPLY).status == MessageStatus.SENT
    assert transport.sent[1] == transport.sent[2]


# --- Questions of the service itself ----------------------------------------------------------------------------------


def test_an_answer_outlives_a_question_of_the_service_itself(
    running: Case, agent: Scripted, transport: RecordingTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = ask(running)
    tell(running, question, "The one of March.")

    def give_up(case: CaseView, *more: Any) -> Verdict:
        raise AgentGaveUp("It says nothing.")

    with monkeypatch.context() as patch:
        patch.setattr(agent, "evaluate", give_up)
        run_due("case")
    running.refresh_from_db()
    assert (running.status, running.due_at) == (Status.INPUT_NEEDED, None)
    agent.verdicts = [REPLY]
    tell(running, running.input_requests.get(status=RequestStatus.PENDING), "Try again.")
    running.refresh_from_db()
    assert (running.status, running.next_action_at) == (Status.RUNNING, None)  # the answer decides, no follow-up
    run_due("case")
    assert [told.text for told in agent.seen[0].answers if not told.used] == ["The one of March."]
    assert [mail.purpose for mail in running.messages.filter(direction="OUT")] == [Purpose.OUTREACH, Purpose.REPLY]


def test_a_send_that_works_after_a_day_closes_the_question_about_it(transport: RecordingTransport) -> None:
    case = new_case()
    step()

    def refuse(mail: OutgoingMail) -> None:
        raise TransportError("try later", permanent=False)

    transport.meanwhile = refuse
    Case.objects.update(failing_since=work.now() - 25 * HOUR, failures=30)
    assert isinstance(step(), TransportError)
    question = case.input_requests.get(status=RequestStatus.PENDING)
    transport.meanwhile = lambda mail: None
    bring_nearer(case.pk, 2 * HOUR)  # after an hour it is tried again, whether or not somebody has answered
    run_due("case")
    case.refresh_from_db()
    question.refresh_from_db()
    assert (case.status, case.attempt_count, question.status) == (Status.RUNNING, 1, RequestStatus.CLOSED)
    assert case.next_action_at is not None
    assert case.next_action_at > work.now() + 71 * HOUR
    with pytest.raises(CaseError):
        tell(case, question, "Try again.")
    run_due("case")
    assert len(transport.sent) == 2  # the same mail, refused and taken; no follow-up on its heels


# --- Threads with connections of their own ----------------------------------------------------------------------------


def reply_to(sent: Message) -> bytes:
    return (
        "From: Ann <ann@supplier.example>\r\nTo: us@example.com\r\nSubject: Re: Invoice\r\n"
        f"Message-ID: <one@supplier.example>\r\nIn-Reply-To: {sent.message_id}\r\n\r\nHere it is.\r\n"
    ).encode()


def test_a_mail_that_comes_by_ten_doors_at_once_is_kept_once() -> None:
    sent = MessageFactory()
    for door in range(10):
        assert intake.accept("sandbox", reply_to(sent), f"one, by door {door}")
    claims = work.claim("payload", 10)
    assert len(claims) == 10

    def take_in() -> None:
        assert run(claims.pop()) is None

    in_threads(10, take_in)
    assert set(InboundPayload.objects.values_list("state", flat=True)) == {PayloadState.DONE}
    assert InboundPayload.objects.filter(message__isnull=False).count() == 1
    assert sent.case.messages.filter(direction="IN").count() == 1


def test_a_payload_that_the_provider_hands_over_twenty_times_at_once_is_stored_once() -> None:
    stored = []
    in_threads(20, lambda: stored.append(intake.accept("sandbox", b"Subject: one\r\n\r\nx", "evt_1")))
    assert sorted(stored) == [False] * 19 + [True]
    assert InboundPayload.objects.count() == 1


def test_a_payload_that_somebody_else_has_taken_in_meanwhile_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = MessageFactory()
    intake.accept("sandbox", reply_to(sent), "one")
    (slow,) = work.claim("payload", 1)
    read_files = intake.read_files

    def taken_over(*args: Any) -> Any:
        monkeypatch.setattr(intake, "read_files", read_files)
        InboundPayload.objects.update(lease_until=work.now() - HOUR)
        assert step("payload") is None
        return read_files(*args)

    monkeypatch.setattr(intake, "read_files", taken_over)
    assert isinstance(run(slow), work.LeaseLost)
    assert sent.case.messages.filter(direction="IN").count() == 1
    assert InboundPayload.objects.get().state == PayloadState.DONE


def test_replies_and_ends_at_once_leave_one_end_and_every_mail() -> None:
    case = MessageFactory(case__client_webhook_url="https://client.example/hook").case
    acts: list[Callable[[], object]] = [lambda: answer(case, "Here it is.")] * 10
    acts += [lambda: services.cancel_case(case.pk, actor="client")] * 5
    acts += [lambda: services.fail_case(case.pk, reason="No.", actor="staff ann")] * 5
    refused = []

    def act() -> None:
        close_old_connections()
        try:
            acts.pop(len(acts) // 2)()
        except CaseError:
            refused.append(1)

    in_threads(20, act)
    case.refresh_from_db()
    assert (case.status, case.due_at, len(refused)) == (Status.FAILED, None, 9)
    [ended] = case.events.filter(type="case.failed")
    assert case.deliveries.count() == 1
    for event in case.events.filter(type="message.received"):
        assert Message.objects.get(pk=event.data["messageId"]).is_after_end == (event.pk > ended.pk)
    assert case.messages.filter(direction="IN").count() == 10
    assert not case.messages.unread().filter(is_after_end=False).exists()


def test_what_is_due_in_a_query_is_due_in_its_step() -> None:
    case = CaseFactory()
    with work.transaction():
        assert all(Case.objects.locked(case.pk).now.microsecond % 1000 == 0 for _ in range(20))


def test_while_a_question_of_the_service_itself_is_open_nothing_is_due() -> None:
    question = InputRequestFactory(is_operational=True)
    InputRequestFactory(case=question.case, status=RequestStatus.RESOLVED)
    MessageFactory(case=question.case, direction="IN")
    question.case.refresh_from_db()
    assert question.case.due_at is None
