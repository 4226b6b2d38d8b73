"""What staff decide for mail that waits for them."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from cases import work
from cases.errors import CaseNotFound
from cases.factories import CaseFactory
from cases.models import Attachment, Case, Correspondent, Event, Status
from cases.services import cancel_case
from cases.testing import run_due
from outreach.factories import FORM, InboundPayloadFactory, Played
from outreach.inbound import counterparty, handling
from outreach.inbound.content import InboundAttachment
from outreach.inbound.handling import NotWaiting
from outreach.models import InboundPayload, PayloadState

pytestmark = pytest.mark.django_db

EVE = "eve@evil.example"
FILE = InboundAttachment("a.txt", "text/plain", b"words in a file")


def quarantined(text: str = "Invoice number: 7\nTotal: 12", **fields: Any) -> tuple[Played, InboundPayload]:
    played = Played.begin(**fields)
    played.reply(text, from_address=EVE, from_name="Eve", attachments=[FILE])
    payload: InboundPayload = InboundPayload.objects.get()
    assert payload.state == PayloadState.QUARANTINED
    return played, payload


def unmatched() -> InboundPayload:
    raw = counterparty.reply(
        counterparty.OriginalMail("", (), "New", "us@ours.example", "", EVE, "Eve", "", work.now()), text="Total: 12"
    )
    payload: InboundPayload = InboundPayloadFactory(body=raw)
    run_due()
    payload.refresh_from_db()
    assert payload.state == PayloadState.UNMATCHED
    return payload


def test_what_is_released_acts_as_if_the_counterparty_had_written_it() -> None:
    played, payload = quarantined(result_schema=FORM)
    released = handling.release(payload.pk, actor="staff bea")
    assert (released.state, released.decided_case, released.decided_by) == (
        PayloadState.WAITING,
        played.case,
        "staff bea",
    )
    assert (played.received, Attachment.objects.count()) == ([], 0)  # not yet: the step reads it
    run_due()
    payload.refresh_from_db()
    [message] = played.received
    assert (payload.state, payload.message, payload.summary) == (PayloadState.DONE, message, {})
    assert (message.from_address, message.text) == (EVE, "Invoice number: 7\nTotal: 12")
    assert Attachment.objects.get().text == "words in a file"
    assert (played.reload().status, played.case.result) == ("COMPLETED", {"invoiceNumber": "7", "total": 12})
    told = Event.objects.get(type="mail.released")
    assert (told.actor, told.data["sender"], told.data["admitted"]) == ("staff bea", EVE, False)
    assert not Correspondent.objects.exists()


def test_without_being_admitted_the_sender_stays_a_stranger() -> None:
    played, payload = quarantined("Hello")
    handling.release(payload.pk, actor="staff bea")
    run_due()
    played.reply("And again", from_address=EVE)
    assert InboundPayload.objects.filter(state=PayloadState.QUARANTINED).count() == 1
    assert [mail.text for mail in played.received] == ["Hello"]


def test_an_admitted_sender_acts_from_now_on_and_on_this_case_only() -> None:
    played, payload = quarantined("Hello")
    other = Played.begin()
    handling.release(payload.pk, actor="staff bea", admit=True)
    run_due()
    eve = Correspondent.objects.get()
    assert (eve.case, eve.address, eve.name, eve.how) == (played.case, EVE, "Eve", "STAFF")
    assert Event.objects.get(type="mail.sender_admitted").actor == "staff bea"
    played.reply("And again", from_address=EVE)
    other.reply("And here", from_address=EVE)
    assert [mail.text for mail in played.received] == ["Hello", "And again"]
    assert other.received == []


def test_with_the_sender_all_that_waits_of_them_is_let_through() -> None:
    played, payload = quarantined("Hello")
    played.reply("Did you get it?", from_address=EVE)
    handling.release(payload.pk, actor="staff bea", admit=True)
    run_due()
    assert sorted(mail.text for mail in played.received) == ["Did you get it?", "Hello"]
    assert not InboundPayload.objects.exclude(state=PayloadState.DONE).exists()


def test_what_is_assigned_acts_on_the_case_that_was_chosen() -> None:
    payload, played = unmatched(), Played.begin()
    handling.assign(payload.pk, played.case.pk, actor="staff bea")
    run_due()
    assert [(mail.text, mail.from_address) for mail in played.received] == [("Total: 12", EVE)]
    assert Event.objects.get(type="mail.assigned").actor == "staff bea"


def test_quarantined_mail_can_be_assigned_to_another_case() -> None:
    (played, payload), other = quarantined("Hello"), Played.begin()
    handling.assign(payload.pk, other.case.pk, actor="staff bea")
    run_due()
    assert (played.received, [mail.text for mail in other.received]) == ([], ["Hello"])


def test_a_case_that_has_ended_keeps_what_is_assigned_to_it() -> None:
    payload, played = unmatched(), Played.begin()
    cancel_case(played.case.pk, actor="client")
    before = played.reload()
    handling.assign(payload.pk, played.case.pk, actor="staff bea")
    run_due()
    after = played.reload()
    assert [mail.is_after_end for mail in played.received] == [True]
    assert (after.status, after.version, after.updated_at) == (Status.FAILED, before.version, before.updated_at)


def test_what_is_put_aside_is_kept_and_never_acts() -> None:
    played, payload = quarantined()
    before = played.reload()
    handling.discard(payload.pk, actor="staff bea", note="A forgery.")
    run_due()
    payload.refresh_from_db()
    assert (payload.state, payload.due_at, payload.decided_by) == (PayloadState.DISCARDED, None, "staff bea")
    assert payload.note == f"Its sender {EVE} is not known on this case.\nA forgery."
    assert bytes(payload.body)
    assert (played.received, played.reload().version) == ([], before.version)
    told = Event.objects.get(type="mail.discarded")
    assert (told.actor, told.data["reason"]) == ("staff bea", "A forgery.")


def test_nothing_is_decided_for_what_does_not_wait() -> None:
    played = Played.begin()
    played.reply("Hello")
    payload = InboundPayload.objects.get()
    for decide in decisions(payload, played.case):
        with pytest.raises(NotWaiting):
            decide()
    other = unmatched()
    with pytest.raises(NotWaiting):  # it is on no case
        handling.release(other.pk, actor="staff bea")
    with pytest.raises(CaseNotFound):
        handling.assign(other.pk, Case().pk, actor="staff bea")
    other.refresh_from_db()
    assert (other.state, other.decided_by) == (PayloadState.UNMATCHED, "")


def test_what_could_not_be_taken_in_can_only_be_put_aside() -> None:
    payload = InboundPayloadFactory(state=PayloadState.FAILED, due_at=None)
    with pytest.raises(NotWaiting):
        handling.assign(payload.pk, CaseFactory().pk, actor="staff bea")
    assert handling.discard(payload.pk, actor="staff bea").state == PayloadState.DISCARDED


def test_a_quarantined_mail_whose_case_is_gone_can_not_be_released() -> None:
    played, payload = quarantined()
    played.case.delete()
    with pytest.raises(CaseNotFound):
        handling.release(payload.pk, actor="staff bea")


def test_a_decision_holds_though_a_step_has_failed_since(monkeypatch: pytest.MonkeyPatch) -> None:
    played, payload = quarantined("Hello")
    handling.release(payload.pk, actor="staff bea")
    with monkeypatch.context() as patch:
        patch.setattr("cases.correspondence.keep", raise_connection_error)
        run_due(failing=ConnectionError)
    payload.refresh_from_db()
    assert (payload.state, payload.failures, played.received) == (PayloadState.WAITING, 1, [])
    InboundPayload.objects.update(retry_at=None, due_at=work.now())
    run_due()
    assert [mail.text for mail in played.received] == ["Hello"]


def raise_connection_error(*_: Any, **__: Any) -> None:
    raise ConnectionError


def decisions(payload: InboundPayload, case: Case) -> list[Callable[[], InboundPayload]]:
    return [
        lambda: handling.release(payload.pk, actor="staff bea"),
        lambda: handling.assign(payload.pk, case.pk, actor="staff bea"),
        lambda: handling.discard(payload.pk, actor="staff bea"),
    ]


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_of_several_people_at_once_one_decides() -> None:
    played, payload = quarantined("Hello")
    together, outcomes = threading.Barrier(6), []

    def decide(one: Callable[[], InboundPayload]) -> None:
        together.wait()
        try:
            outcomes.append(one().state)
        except NotWaiting as error:
            outcomes.append(error.code)
        work.let_go_of_connection()

    threads = [threading.Thread(target=decide, args=(one,)) for one in decisions(payload, played.case) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("MAIL_NOT_WAITING") == 5
    decided = Event.objects.filter(type__in=["mail.released", "mail.assigned", "mail.discarded"])
    assert decided.count() == 1
