"""Which case a mail belongs to."""

from typing import Any

import pytest

from cases.factories import CaseFactory, MessageFactory
from cases.models import Case, Direction, MessageStatus, Status
from outreach.inbound.mail import InboundMail, parse
from outreach.inbound.matching import Match, find_case

pytestmark = pytest.mark.django_db


def mail(**headers: str) -> InboundMail:
    fields = {"From": "Ann <ann@supplier.example>", "To": "us@ours.example", "Message-ID": "<new@supplier.example>"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return parse(f"{head}\r\nHello".encode())


def real_case(**fields: Any) -> Case:
    case: Case = CaseFactory(transport="email", status=Status.RUNNING, our_address="us@ours.example", **fields)
    return case


def test_by_the_mail_that_it_answers() -> None:
    sent = MessageFactory(case=real_case(), message_id="<sent@ours.example>")
    MessageFactory(case=real_case())
    for header in ("In_Reply_To", "References"):
        assert find_case(mail(**{header: "<x@y> <sent@ours.example>"})) == Match(sent.case)


def test_by_a_mail_that_is_not_committed_as_sent_yet() -> None:
    queued = MessageFactory(case=real_case(), status=MessageStatus.QUEUED, message_id="<q@ours.example>")
    assert find_case(mail(In_Reply_To="<q@ours.example>")).case == queued.case


def test_not_by_mail_of_the_other_side() -> None:
    MessageFactory(case=real_case(), direction=Direction.IN, message_id="<theirs@supplier.example>")
    found = find_case(mail(References="<theirs@supplier.example>"))
    assert found == Match(None, "It belongs to no case.", may_come=False)


def test_by_the_address_that_is_the_cases_own() -> None:
    case = CaseFactory()
    CaseFactory()
    assert find_case(mail(To=case.our_address)).case == case
    assert find_case(mail(Cc=case.our_address.upper())).case == case
    assert find_case(mail(To="case-0@sandbox.invalid")).case is None


def test_not_by_an_address_that_cases_share() -> None:
    real_case()
    assert find_case(mail()) == Match(None, "It belongs to no case.", may_come=False)


def test_several_cases_are_no_match() -> None:
    first, second = MessageFactory(case=real_case()), MessageFactory(case=real_case())
    found = find_case(mail(References=f"{first.message_id} {second.message_id}"))
    assert found == Match(None, "It belongs to 2 cases.", may_come=False)


def test_several_mails_of_one_case_are_one_match() -> None:
    case = real_case()
    first, second = MessageFactory(case=case), MessageFactory(case=case)
    assert find_case(mail(References=f"{first.message_id} {second.message_id}")).case == case


def test_the_thread_counts_more_than_the_address() -> None:
    sent, other = MessageFactory(case=real_case()), CaseFactory()
    assert find_case(mail(In_Reply_To=sent.message_id, To=other.our_address)).case == sent.case


@pytest.mark.parametrize(("to", "may_come"), [("ANN@supplier.example", True), ("bob@supplier.example", False)])
def test_while_a_send_to_the_sender_is_under_way_a_match_may_come(to: str, may_come: bool) -> None:
    MessageFactory(case=real_case(), status=MessageStatus.QUEUED, to_address=to)
    assert find_case(mail(In_Reply_To="<chosen-by-the-provider@x>")) == Match(
        None, "It belongs to no case.", may_come=may_come
    )
