"""Two machines that write to each other fall silent."""

from datetime import timedelta

import pytest
from pytest_django import Settings

from cases import services
from cases.models import Case, Message, Purpose, Status
from cases.testing import run_due
from outreach import deliberation
from outreach.agents.base import Decision, Verdict
from outreach.factories import FORM, Played
from outreach.inbound import counterparty, intake
from outreach.tests.memory import Outbox, begin
from outreach.tests.test_suppression import original
from outreach.transports.base import as_email

pytestmark = pytest.mark.django_db
RECEIPT = "Your message has been received and will be looked at. Your ticket is {}."


@pytest.fixture
def talkative(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that has an answer to everything."""
    monkeypatch.setattr(deliberation, "judge", lambda *_: Verdict(Decision.REPLY, reply_body="What do you mean?"))


def test_two_cases_of_ours_that_write_to_each_other(outbox: Outbox) -> None:
    """Each takes the other for the machine that it is: there is no answer at all, and no follow-up comes sooner."""
    one = begin(our_address="a@ours.example", counterparty={"address": "b@ours.example", "name": "B"})
    other = begin(our_address="b@ours.example", counterparty={"address": "a@ours.example", "name": "A"})
    for delivered in range(2):
        raw = as_email(outbox.sent[delivered]).as_bytes()
        intake.accept("sandbox", raw, str(delivered))
        run_due()
    assert len(outbox.sent) == 2
    assert [case.reload().status for case in (one, other)] == [Status.RUNNING, Status.RUNNING]
    assert not Message.objects.filter(purpose=Purpose.HUMAN).exists()


def test_a_ticket_system_that_looks_like_a_person_gets_one_answer(talkative: None) -> None:
    played = Played.begin()
    for number in range(10):
        played.reply(RECEIPT.format(f"T-{number}"))
    assert (len(played.mails), played.reload().status) == (2, Status.INPUT_NEEDED)
    assert played.question.question.startswith("The same reply has come before. A machine may be answering")


def test_a_mirror_gets_no_answer(talkative: None) -> None:
    played = Played.begin()
    for _ in range(5):
        played.reply(played.mails[-1]["text"])
    assert len(played.mails) == 1
    assert played.reload().status == Status.INPUT_NEEDED


def test_who_answers_within_seconds_each_time_gets_two_answers(talkative: None, outbox: Outbox) -> None:
    played = begin()
    words = ("alpha", "bravo", "charlie", "delta", "echo")
    for number, word in enumerate(words):
        payload = counterparty.reply(original(played), text=f"Total: {number}\n{word}")
        played.take(payload)
    assert played.reload().status == Status.INPUT_NEEDED
    assert (len(outbox.sent), "come within seconds" in played.question.question) == (3, True)


def test_a_person_who_takes_their_time_is_answered_on(talkative: None, outbox: Outbox) -> None:
    played = begin()
    for number in range(5):
        Message.objects.filter(case=played.case, direction="OUT").update(
            sent_at=played.sent[-1].created_at - timedelta(minutes=2)
        )
        played.take(counterparty.reply(original(played), text=f"Total: {number}"))
    assert (len(outbox.sent), played.reload().status) == (6, Status.RUNNING)


def test_what_a_human_wants_said_is_said_to_a_machine_too() -> None:
    played = Played.begin(result_schema=FORM)
    for number in range(3):
        played.reply(RECEIPT.format(number))
    services.provide_input(
        case_id=played.case.pk, input_request_id=played.question.pk, provided_context="Please tell us the number."
    )
    run_due()
    assert "Please tell us the number." in played.mails[-1]["text"]
    assert Case.objects.get(pk=played.case.pk).status == Status.RUNNING


def test_a_repeated_reply_that_completes_the_case_completes_it(settings: Settings) -> None:
    played = Played.begin(result_schema=FORM)
    played.reply("Invoice number: 7\nTotal: 5")
    assert played.reload().status == Status.COMPLETED
