"""To whom we no longer write: how an address gets onto the list, what that keeps from being sent, how it gets off."""

from dataclasses import replace
from typing import Any

import pytest

from cases import services, work
from cases.factories import CaseFactory, ClientFactory, MessageFactory, reschedule
from cases.models import Case, Event, MessageStatus, ResultStatus, Status
from cases.testing import run_due
from outreach import deliberation, suppression
from outreach.agents.base import Decision, Verdict
from outreach.factories import FORM, InboundPayloadFactory, Played
from outreach.inbound import counterparty, doors
from outreach.inbound.arrival import Arrival, EventKind, ProviderEvent
from outreach.inbound.counterparty import OriginalMail
from outreach.models import Suppression, SuppressionReason
from outreach.tests.memory import Outbox, begin

pytestmark = pytest.mark.django_db


def original(played: Played) -> OriginalMail:
    """The newest mail of ours, as the counterparty has it."""
    sent = played.sent[-1]
    return OriginalMail(
        message_id=sent.message_id,
        references=(),
        subject=sent.subject,
        from_address=sent.from_address,
        from_name=sent.from_name,
        to_address=sent.to_address,
        to_name="Ann Supplier",
        text=sent.text,
        sent_at=sent.created_at,
    )


def say(played: Played, text: str) -> Case:
    played.take(counterparty.reply(original(played), text=text))
    return played.reload()


def listed() -> list[tuple[Any, ...]]:
    return list(Suppression.objects.order_by("id").values_list("address", "reason", "client", "case"))


def suppress(address: str = "ann@supplier.example", **more: Any) -> Suppression:
    return suppression.add_by_hand(**{"address": address, "client": None, "note": "no", "actor": "staff bob", **more})


# --- How an address gets onto the list ---


def test_a_bounce_ends_the_case_and_holds_for_every_client(outbox: Outbox) -> None:
    played = begin()
    played.take(counterparty.bounce(original(played)))
    case = played.reload()
    assert (case.status, case.result_status) == (Status.FAILED, ResultStatus.BOUNCED)
    assert listed() == [("ann@supplier.example", "bounce", None, case.pk)]
    assert Event.objects.filter(case=case, type="address.suppressed").count() == 1
    other = begin(client=ClientFactory()).reload()
    assert (other.status, other.result_status, other.attempt_count) == (Status.FAILED, ResultStatus.SUPPRESSED, 0)
    assert other.failure_reason == "No mail is sent to this address: earlier mail to it could not be delivered."
    assert len(outbox.sent) == 1


def test_a_complaint_does_so_too(outbox: Outbox) -> None:
    played = begin()
    played.take(counterparty.complaint(original(played)))
    assert played.reload().result_status == ResultStatus.COMPLAINED
    assert listed() == [("ann@supplier.example", "complaint", None, played.case.pk)]


@pytest.mark.parametrize("status", ["5.2.2", "5.7.1", "5.3.4", "5.4.4", "5.1.8"])
def test_a_bounce_for_what_may_pass_keeps_nobody_off(outbox: Outbox, status: str) -> None:
    played = begin()
    played.take(counterparty.bounce(original(played)).replace(b"5.1.1", status.encode()))
    assert played.reload().result_status == ResultStatus.BOUNCED
    assert listed() == []


def test_a_soft_bounce_changes_nothing(outbox: Outbox) -> None:
    played = begin()
    before = played.reload().version
    played.take(counterparty.bounce(original(played), permanent=False))
    assert (played.reload().status, played.case.version, listed()) == (Status.RUNNING, before, [])


def test_a_bounce_of_somebody_else_changes_nothing(outbox: Outbox) -> None:
    """An alias has passed the mail on to two, and one of them has left."""
    played = begin()
    before = played.reload().version
    passed_on = replace(original(played), to_address="bob@supplier.example")
    payload = played.take(counterparty.bounce(passed_on))
    assert (payload.state, played.reload().status, played.case.version) == ("DONE", Status.RUNNING, before)
    assert listed() == []
    assert [message.purpose for message in played.received] == ["DELAY"]


def test_an_answer_that_nobody_has_judged_outlives_a_bounce(outbox: Outbox, settings: Any) -> None:
    played = begin(result_schema=FORM)
    settings.OFFLOAD_SETTLE_SECONDS = 3600
    say(played, "Invoice number: 7\nTotal: 5")
    played.take(counterparty.bounce(original(played)))
    assert (played.reload().status, listed()) == (Status.RUNNING, [])
    settings.OFFLOAD_SETTLE_SECONDS = 0
    reschedule(played.case)
    run_due()
    assert played.reload().status == Status.COMPLETED


def test_a_bounce_of_an_ended_case_changes_nothing_of_it_and_is_true_all_the_same(outbox: Outbox) -> None:
    played = begin()
    services.cancel_case(played.case.pk, actor="client x")
    before = played.reload()
    played.take(counterparty.bounce(original(played)))
    after = Case.objects.get(pk=before.pk)
    assert (after.result_status, after.version, after.updated_at) == ("cancelled", before.version, before.updated_at)
    assert listed() == [("ann@supplier.example", "bounce", None, before.pk)]


def test_nothing_that_is_played_in_the_sandbox_puts_anybody_on_the_list() -> None:
    for number, does in enumerate((counterparty.bounce, counterparty.complaint)):
        played = Played.begin(counterparty={"address": f"ann{number}@supplier.example", "name": "Ann"})
        played.take(does(original(played)))
        assert played.reload().status == Status.FAILED
    played = Played.begin()
    played.reply("STOP")
    assert played.reload().result_status == ResultStatus.OPTED_OUT
    assert listed() == []


# --- Providers' events ---


def happen(monkeypatch: pytest.MonkeyPatch, played: Played, event: ProviderEvent) -> str:
    monkeypatch.setitem(doors.READERS, "reporting", lambda payload, seconds: Arrival(event=event))
    payload = InboundPayloadFactory(source="reporting")
    run_due()
    payload.refresh_from_db()
    played.reload()
    return str(payload.note)


@pytest.mark.parametrize(
    ("kind", "result_status", "reason"),
    [
        (EventKind.BOUNCED, "BOUNCED", "bounce"),
        (EventKind.COMPLAINED, "COMPLAINED", "complaint"),
        (EventKind.REJECTED, "REJECTED", None),
    ],
)
def test_what_a_providers_event_does(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch, kind: EventKind, result_status: str, reason: str | None
) -> None:
    played = begin()
    happen(monkeypatch, played, ProviderEvent(kind, "provider-1", recipients=("ann@supplier.example",)))
    assert (played.case.status, played.case.result_status) == (Status.FAILED, result_status)
    assert [row[1] for row in listed()] == ([reason] if reason else [])


def test_an_event_about_another_recipient_changes_nothing(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    played = begin()
    event = ProviderEvent(EventKind.BOUNCED, "provider-1", recipients=("bob@supplier.example",))
    assert "does not concern" in happen(monkeypatch, played, event)
    assert (played.case.status, listed()) == (Status.RUNNING, [])


def test_staff_see_that_a_mail_was_delivered_and_nothing_else_changes(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = begin()
    before = played.reload().version
    happen(monkeypatch, played, ProviderEvent(EventKind.DELIVERED, "provider-1"))
    delivered_at = played.sent[0].delivered_at
    happen(monkeypatch, played, ProviderEvent(EventKind.OPENED, "provider-1"))
    assert delivered_at is not None
    assert (played.sent[0].delivered_at, played.case.version) == (delivered_at, before)


# --- Stop ---


def test_who_says_stop_gets_nothing_more_from_that_client(outbox: Outbox) -> None:
    played = begin()
    case = say(played, "Please stop writing to me.\n\nKind regards\nAnn Supplier")
    assert (case.status, case.result_status) == (Status.FAILED, ResultStatus.OPTED_OUT)
    assert case.failure_reason == "The counterparty wants no more mail."
    assert listed() == [("ann@supplier.example", "stop", case.client_id, case.pk)]
    assert begin(client=case.client).reload().result_status == ResultStatus.SUPPRESSED
    assert begin(client=ClientFactory()).reload().status == Status.RUNNING  # the wish was meant for one of them
    assert len(outbox.sent) == 2


def test_another_tag_of_the_mailbox_is_no_way_round(outbox: Outbox) -> None:
    played = begin()
    say(played, "STOP")
    tagged = {"address": "Ann+Offers@Supplier.example", "name": "Ann"}
    assert begin(client=played.case.client, counterparty=tagged).reload().result_status == ResultStatus.SUPPRESSED


def test_longer_words_are_left_to_the_agent(outbox: Outbox) -> None:
    case = say(begin(), "Stop the order of the two machines, please, we have found them cheaper.")
    assert (case.status, listed()) == (Status.INPUT_NEEDED, [])


def test_an_agent_that_sees_a_stop_ends_the_case_and_its_reply_is_not_written(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = Verdict(Decision.REPLY, reply_body="One more question.", opts_out=True, reason="She wants no more mail.")
    monkeypatch.setattr(deliberation, "judge", lambda *_: verdict)
    played = begin()
    case = say(played, "We have nothing to do with each other, so spare me the next ones.")
    assert (case.result_status, case.failure_reason) == (ResultStatus.OPTED_OUT, "She wants no more mail.")
    assert (len(outbox.sent), played.case.messages.filter(direction="OUT").count()) == (1, 1)


def test_what_somebody_has_given_counts_although_they_want_no_more_mail(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.OFFLOAD_CLOSING_MAIL = True
    verdict = Verdict(Decision.GOAL_ACHIEVED, result={"total": 5}, opts_out=True, reason="She gave it.")
    monkeypatch.setattr(deliberation, "judge", lambda *_: verdict)
    case = say(begin(), "Five. And now leave me alone.")
    assert (case.status, case.result) == (Status.COMPLETED, {"total": 5})
    assert [row[1] for row in listed()] == ["stop"]
    assert len(outbox.sent) == 1  # nor is she thanked


# --- What that keeps from being sent ---


def test_no_model_is_asked_to_write_to_a_suppressed_address(monkeypatch: pytest.MonkeyPatch) -> None:
    suppress()

    def written(*_: Any, **__: Any) -> Any:
        raise AssertionError("nothing is to be written")

    monkeypatch.setattr(deliberation, "write", written)
    case = Played.begin().reload()
    assert (case.status, case.result_status) == (Status.FAILED, ResultStatus.SUPPRESSED)
    assert case.failure_reason == "No mail is sent to this address: the operator has ruled it out."


@pytest.mark.parametrize(("began", "left"), [(False, MessageStatus.DROPPED), (True, MessageStatus.UNKNOWN)])
def test_a_queued_mail_is_not_sent_any_more_nor_a_send_of_unknown_outcome_repeated(
    outbox: Outbox, began: bool, left: MessageStatus
) -> None:
    case = CaseFactory(transport="memory", status=Status.RUNNING)
    message = MessageFactory(case=case, status=MessageStatus.QUEUED, send_started_at=work.now() if began else None)
    suppress()
    run_due()
    message.refresh_from_db()
    assert Case.objects.get(pk=case.pk).result_status == ResultStatus.SUPPRESSED
    assert (message.status, outbox.sent) == (left, [])


def test_thanks_that_may_not_be_sent_do_not_spoil_the_end(outbox: Outbox, settings: Any) -> None:
    settings.OFFLOAD_CLOSING_MAIL = True
    played = begin(result_schema=FORM)
    suppress()
    case = say(played, "Invoice number: 7\nTotal: 5")
    assert (case.status, case.result_status) == (Status.COMPLETED, ResultStatus.GOAL_ACHIEVED)
    assert len(outbox.sent) == 1


# --- How it gets off ---


def test_a_lifted_address_gets_mail_again_and_can_be_listed_again(outbox: Outbox) -> None:
    row = suppress()
    assert suppress() == row
    lifted = suppression.lift(row.pk, actor="staff ann")
    assert (lifted.lifted_by, lifted.lifted_at is not None) == ("staff ann", True)
    with pytest.raises(suppression.NotSuppressed):
        suppression.lift(row.pk, actor="staff bob")
    assert begin().reload().status == Status.RUNNING
    assert suppress() != row
    assert SuppressionReason(suppress().reason) == SuppressionReason.STAFF


def test_each_reason_is_lifted_by_itself(outbox: Outbox) -> None:
    played = begin()
    played.take(counterparty.bounce(original(played)))
    suppression.lift(suppress().pk, actor="staff ann")
    assert begin().reload().result_status == ResultStatus.SUPPRESSED
