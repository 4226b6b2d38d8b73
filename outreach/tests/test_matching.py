"""Which case a mail belongs to."""

from collections.abc import Iterable
from typing import Any

import pytest
from pytest_django import Settings

from cases.factories import CaseFactory, MessageFactory
from cases.models import Admission, Case, Correspondent, Direction, Message, MessageStatus, Status
from cases.work import now
from outreach.inbound import matching, reply_address
from outreach.inbound.arrival import Envelope, EventKind, ProviderEvent
from outreach.inbound.mail import InboundMail, parse
from outreach.inbound.matching import NO_CASE, Evidence, Match, find_case, find_sent

pytestmark = pytest.mark.django_db

NOTHING = Envelope()


@pytest.fixture(autouse=True)
def inbox(settings: Settings) -> None:
    settings.OFFLOAD_REPLY_ADDRESS = "us@ours.example"


def mail(**headers: str) -> InboundMail:
    fields = {"From": "Ann <ann@supplier.example>", "To": "us@ours.example", "Message-ID": "<new@supplier.example>"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return parse(f"{head}\r\nHello".encode())


def real_case(**fields: Any) -> Case:
    fields = {"transport": "email", "status": Status.RUNNING, "our_address": "us@ours.example", **fields}
    case: Case = CaseFactory(**fields)
    return case


def sent(subject: str, **fields: Any) -> Case:
    """A case that has written to Ann under that subject."""
    case: Case = MessageFactory(case=real_case(**fields), subject=subject).case
    return case


def sending(**fields: Any) -> Message:
    """A mail to Ann that is on its way, and of which the provider's id is not known yet."""
    fields = {"status": MessageStatus.QUEUED, "message_id": "<ours@x>", "subject": "Order", **fields}
    message: Message = MessageFactory(case=real_case(), to_address="ann@supplier.example", **fields)
    return message


def match(case: Case, *evidence: Evidence) -> Match:
    return Match(case, evidence=frozenset(evidence))


def several(number: int, *, may_come: bool = False) -> Match:
    return Match(None, f"It belongs to {number} cases.", may_come=may_come)


# --- What only those know who have got a mail of ours ---


@pytest.mark.parametrize("header", ["To", "Cc", "Delivered_To", "X_Original_To"])
def test_by_the_signed_address_of_the_case(header: str) -> None:
    case, _ = real_case(), real_case()
    address = reply_address.address_for(case)
    assert find_case(mail(**{header: address.upper()}), NOTHING) == match(case, Evidence.ADDRESS)


def test_by_the_signed_address_of_the_envelope() -> None:
    case = real_case()
    envelope = Envelope(recipients=(reply_address.address_for(case),))
    assert find_case(mail(To="undisclosed-recipients:;"), envelope) == match(case, Evidence.ADDRESS)


def test_a_forged_token_is_no_evidence() -> None:
    case, other = real_case(), real_case()
    local, _, domain = reply_address.address_for(case).partition("@")
    forged = f"{local[:-1]}{'a' if local[-1] != 'a' else 'b'}@{domain}"
    assert find_case(mail(To=forged), NOTHING) == Match(None, NO_CASE)
    answered = MessageFactory(case=other)
    assert find_case(mail(To=forged, In_Reply_To=answered.message_id), NOTHING) == match(other, Evidence.MESSAGE_ID)


def test_a_signed_address_of_a_case_that_does_not_exist_is_no_evidence() -> None:
    assert find_case(mail(To=reply_address.address_for(Case())), NOTHING) == Match(None, NO_CASE)


def test_by_the_mail_that_it_answers() -> None:
    sent = MessageFactory(case=real_case(), message_id="<sent@ours.example>")
    MessageFactory(case=real_case())
    for header in ("In_Reply_To", "References"):
        found = find_case(mail(**{header: "<x@y> <sent@ours.example>"}), NOTHING)
        assert found == match(sent.case, Evidence.MESSAGE_ID)


def test_by_a_mail_that_is_not_committed_as_sent_yet() -> None:
    queued = MessageFactory(case=real_case(), status=MessageStatus.QUEUED, message_id="<q@ours.example>")
    assert find_case(mail(In_Reply_To="<q@ours.example>"), NOTHING).case == queued.case


def test_not_by_mail_of_the_other_side() -> None:
    MessageFactory(case=real_case(), direction=Direction.IN, message_id="<theirs@supplier.example>")
    assert find_case(mail(References="<theirs@supplier.example>"), NOTHING) == Match(None, NO_CASE)


def test_by_the_address_that_is_the_cases_own() -> None:
    case = CaseFactory()
    CaseFactory()
    assert find_case(mail(To=case.our_address), NOTHING) == match(case, Evidence.ADDRESS)
    assert find_case(mail(Cc=case.our_address.upper()), NOTHING).case == case
    assert find_case(mail(To="case-0@sandbox.invalid"), NOTHING).case is None


def test_not_by_an_address_that_cases_share() -> None:
    real_case()
    assert find_case(mail(), NOTHING) == Match(None, NO_CASE)


def test_by_the_providers_thread_within_the_inbox_that_it_came_to() -> None:
    case = real_case(transport="agentmail", our_address="Us@ours.example", thread_id="thd_1")
    real_case(transport="agentmail", our_address="other@ours.example", thread_id="thd_1")
    here = Envelope(recipients=("us@ours.example",), thread_id="thd_1")
    assert find_case(mail(), here) == match(case, Evidence.THREAD)
    assert find_case(mail(), Envelope(recipients=("third@ours.example",), thread_id="thd_1")).case is None
    assert find_case(mail(), Envelope(recipients=("us@ours.example",))).case is None


def test_all_that_speaks_for_one_case_is_told() -> None:
    answered = MessageFactory(case=real_case(thread_id="thd_1"))
    envelope = Envelope(recipients=("us@ours.example",), thread_id="thd_1")
    found = find_case(mail(Cc=reply_address.address_for(answered.case), References=answered.message_id), envelope)
    assert found == match(answered.case, Evidence.ADDRESS, Evidence.MESSAGE_ID, Evidence.THREAD)


def test_several_cases_are_no_match() -> None:
    first, second = MessageFactory(case=real_case()), MessageFactory(case=real_case())
    assert find_case(mail(References=f"{first.message_id} {second.message_id}"), NOTHING) == several(2)


def test_several_mails_of_one_case_are_one_match() -> None:
    case = real_case()
    first, second = MessageFactory(case=case), MessageFactory(case=case)
    assert find_case(mail(References=f"{first.message_id} {second.message_id}"), NOTHING).case == case


def test_evidence_of_different_kinds_for_different_cases_is_no_match() -> None:
    answered, addressed, threaded = MessageFactory(case=real_case()), real_case(), real_case(thread_id="thd_1")
    token = reply_address.address_for(addressed)
    assert find_case(mail(In_Reply_To=answered.message_id, To=token), NOTHING) == several(2)
    envelope = Envelope(recipients=("us@ours.example",), thread_id="thd_1")
    assert find_case(mail(In_Reply_To=answered.message_id), envelope) == several(2)
    assert find_case(mail(), envelope).case == threaded


# --- Sender and subject ---


@pytest.mark.parametrize(
    "subject",
    [
        "Invoice of March",
        "RE: invoice  of march",
        "Aw: WG: Invoice of March",
        "[EXTERNAL] Re[2]: Invoice of March",
        "回复：Invoice of March",
        "Automatic reply: Invoice of March",
    ],
)
def test_by_sender_and_subject_among_open_cases(subject: str) -> None:
    case = sent("Invoice of March")
    sent("Invoice of April")
    sent("Invoice of March", counterparty={"address": "bob@supplier.example", "name": "Bob"})
    sent("Invoice of March", status=Status.COMPLETED)
    sent("Invoice of March", our_address="other@ours.example", transport="agentmail")
    assert find_case(mail(Subject=subject), NOTHING) == match(case, Evidence.SUBJECT)


def test_the_sender_may_write_from_a_tagged_address_or_be_written_to_at_one() -> None:
    case = sent("Invoice", counterparty={"address": "ann+offload@supplier.example", "name": "Ann"})
    for sender in ("Ann@Supplier.example", "ann+other@supplier.example"):
        assert find_case(mail(From=sender, Subject="Re: Invoice"), NOTHING).case == case
    assert find_case(mail(From="anna@supplier.example", Subject="Re: Invoice"), NOTHING).case is None


def test_somebody_admitted_counts_as_a_sender() -> None:
    case = sent("Invoice")
    assert find_case(mail(From="carl@other.example", Subject="Re: Invoice"), NOTHING).case is None
    Correspondent.objects.create(case=case, address="carl@other.example", how=Admission.STAFF, since=now())
    assert find_case(mail(From="Carl+x@other.example", Subject="Re: Invoice"), NOTHING).case == case


def test_two_open_cases_under_one_subject_are_no_match() -> None:
    sent("Invoice")
    sent("Re: Invoice")
    assert find_case(mail(Subject="Re: Invoice"), NOTHING) == several(2)


def test_without_a_subject_or_in_another_inbox_there_is_no_match() -> None:
    sent("Invoice")
    sent("")
    assert find_case(mail(Subject="Re: "), NOTHING).case is None
    assert find_case(mail(Subject="Re: Invoice", To="other@ours.example"), NOTHING).case is None


def test_a_base_address_with_a_token_that_is_not_ours_is_still_the_inbox() -> None:
    case = sent("Invoice", our_address="robin@ours.example")
    assert find_case(mail(Subject="Re: Invoice", To="us+old@ours.example"), NOTHING).case == case


def test_a_subject_does_not_speak_against_better_evidence() -> None:
    answered = MessageFactory(case=real_case(), subject="Invoice")
    sent("Invoice")
    found = find_case(mail(Subject="Re: Invoice", In_Reply_To=answered.message_id), NOTHING)
    assert found == match(answered.case, Evidence.MESSAGE_ID)


# --- Mail before our commit ---


@pytest.mark.parametrize(("to", "may_come"), [("ANN@supplier.example", True), ("bob@supplier.example", False)])
def test_while_a_send_to_the_sender_is_under_way_a_match_may_come(to: str, may_come: bool) -> None:
    MessageFactory(case=real_case(), status=MessageStatus.QUEUED, to_address=to)
    found = find_case(mail(In_Reply_To="<chosen-by-the-provider@x>"), NOTHING)
    assert found == Match(None, NO_CASE, may_come=may_come)


def test_a_send_that_is_recorded_between_two_looks_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some answer, and some providers report, within the milliseconds that our commit takes."""
    is_being_sent_to = matching._is_being_sent_to

    def recorded_meanwhile(addresses: Iterable[str]) -> bool:
        Message.objects.filter(status=MessageStatus.QUEUED).update(status=MessageStatus.SENT, message_id="<theirs@x>")
        return is_being_sent_to(addresses)

    monkeypatch.setattr(matching, "_is_being_sent_to", recorded_meanwhile)
    case = sending().case
    found = find_case(mail(In_Reply_To="<theirs@x>", Subject="Re: Something else"), NOTHING)
    assert found == match(case, Evidence.MESSAGE_ID)
    case = sending().case
    Message.objects.exclude(case=case).delete()
    event = ProviderEvent(EventKind.BOUNCED, "<theirs@x>", recipients=("ann@supplier.example",))
    assert find_sent(event).case == case


def test_while_a_send_is_under_way_better_evidence_than_a_shared_subject_may_come() -> None:
    sent("Invoice")
    MessageFactory(case=real_case(), status=MessageStatus.QUEUED, subject="Invoice")
    assert find_case(mail(Subject="Re: Invoice"), NOTHING) == several(2, may_come=True)


def test_a_draft_that_nobody_has_got_is_no_subject_of_ours() -> None:
    MessageFactory(case=real_case(), status=MessageStatus.DRAFT, subject="Invoice")
    assert find_case(mail(Subject="Re: Invoice"), NOTHING).case is None
