"""The thread as one text."""

from datetime import UTC, datetime, timedelta

import pytest

from cases.factories import AttachmentFactory, CaseFactory, MessageFactory
from cases.models import MessageStatus, Purpose, Status
from cases.payload_parts import attachment_metadata
from cases.transcript import transcript

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def test_it_reads_in_order_with_who_when_and_what() -> None:
    case = CaseFactory(status=Status.RUNNING, our_address="case-1@sandbox.invalid")
    reply = MessageFactory(
        case=case,
        direction="IN",
        created_at=NOON + timedelta(hours=2),
        from_name="Ann\nSupplier",
        subject="Re: Invoice\n of March",
        text="Here it is.\n\nAnn\n",
        full_text="Here it is.\n\nAnn\n> Please send",
    )
    AttachmentFactory(message=reply, name="a.pdf")
    AttachmentFactory(message=reply, name="b\r\nc.pdf", content=b"12")
    MessageFactory(case=case, created_at=NOON - timedelta(hours=1), sent_at=NOON, text="Please send the invoice.\n")
    assert transcript(case) == (
        "2026-03-01 12:00:00 UTC, sent\n"
        "From: Bob Buyer <case-1@sandbox.invalid>\n"
        "To: ann@supplier.example\n"
        "Subject: Invoice of March\n"
        "\n"
        "Please send the invoice.\n"
        "\n"
        "----------------------------------------\n"
        "\n"
        "2026-03-01 14:00:00 UTC, received\n"
        "From: Ann Supplier <ann@supplier.example>\n"
        "To: case-1@sandbox.invalid\n"
        "Subject: Re: Invoice of March\n"
        "Attachments: a.pdf (19 bytes), b c.pdf (2 bytes)\n"
        "\n"
        "Here it is.\n"
        "\n"
        "Ann"
    )


@pytest.mark.parametrize("purpose", [Purpose.HUMAN, Purpose.MACHINE, Purpose.REPORT])
def test_all_mail_that_came_is_in_it(purpose: Purpose) -> None:
    message = MessageFactory(direction="IN", purpose=purpose, from_name="", text="", full_text="I am away.")
    text = transcript(message.case)
    assert text is not None
    assert "From: ann@supplier.example\n" in text
    assert text.endswith("\n\nI am away.")


def test_a_delay_notice_is_for_staff() -> None:
    notice = AttachmentFactory(message__purpose=Purpose.DELAY).message
    assert transcript(notice.case) is None
    assert attachment_metadata(notice.case) == []


@pytest.mark.parametrize(
    "status",
    [
        MessageStatus.DRAFT,
        MessageStatus.QUEUED,
        MessageStatus.DROPPED,
        MessageStatus.REFUSED,
        MessageStatus.UNKNOWN,
    ],
)
def test_what_was_not_sent_is_not_in_it(status: MessageStatus) -> None:
    assert transcript(MessageFactory(status=status).case) is None


def test_nothing_is_in_it_where_no_message_exists() -> None:
    MessageFactory()  # of another case
    assert transcript(CaseFactory()) is None


def test_of_a_case_that_has_ended_it_does_not_change_any_more() -> None:
    case = CaseFactory(status=Status.FAILED, created_at=NOON, updated_at=NOON + timedelta(hours=3))
    MessageFactory(case=case, created_at=NOON, text="Sent in time.")
    before = transcript(case)
    assert before is not None
    assert before.endswith("Sent in time.")
    after = NOON + timedelta(hours=3, milliseconds=1)
    MessageFactory(case=case, created_at=NOON, sent_at=after, text="Was under way at the end.")
    MessageFactory(case=case, direction="IN", created_at=after, is_after_end=True, text="Came too late.")
    assert transcript(case) == before
