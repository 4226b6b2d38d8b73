"""Staff hear of what waits for them by mail: at least once, never from inside the transaction of what it is about."""

import smtplib
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import IntegrityError, connection, transaction
from django.test import Client
from pytest_django import Settings

from cases import drafts, leases, pump, work
from cases.factories import CaseFactory
from cases.models import InputRequest, MessageStatus, RequestStatus, Status
from outreach.models import InboundPayload, NoticeState, PayloadState, StaffNotice
from outreach.notices import NOTICES
from outreach.tests.notices import ask, case_with, draft, park, states, step

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def addresses(settings: Settings) -> None:
    settings.OFFLOAD_STAFF_NOTICES = ["desk@us.example", "boss@us.example", "desk@us.example"]
    settings.OFFLOAD_BASE_URL = "https://offload.example"
    settings.OFFLOAD_MAIL_FROM = settings.DEFAULT_FROM_EMAIL = "Offload <offload@us.example>"


def body() -> str:
    """The text of the last mail."""
    return str(mail.outbox[-1].body)


def test_a_question_makes_one_due_notice_for_each_address_and_sends_nothing_itself() -> None:
    question = ask()
    notices = StaffNotice.objects.order_by("address")
    assert [(notice.address, notice.question, notice.case, notice.state) for notice in notices] == [
        ("boss@us.example", question, question.case, NoticeState.WAITING),
        ("desk@us.example", question, question.case, NoticeState.WAITING),
    ]
    assert [notice.due_at for notice in notices] == [question.requested_at, question.requested_at]
    assert mail.outbox == []
    assert work.due("notice").count() == 2


def test_nobody_is_told_where_nobody_is_named(settings: Settings) -> None:
    settings.OFFLOAD_STAFF_NOTICES = []
    ask()
    draft()
    assert StaffNotice.objects.count() == 0


def test_a_question_that_is_undone_is_told_to_nobody() -> None:
    with work.transaction():
        ask()
        transaction.set_rollback(True)
    assert StaffNotice.objects.count() == 0


def test_a_notice_says_all_that_is_needed_to_decide_how_urgent_it_is() -> None:
    case = case_with(client_reference_id="INV-7", is_test=True)
    question = ask(case, "May we pay 200 EUR?", options=["Yes", "No, 150 at most"])
    assert step() == [None, None]
    assert sorted(sent.to for sent in mail.outbox) == [["boss@us.example"], ["desk@us.example"]]
    sent = mail.outbox[0]
    assert sent.subject == "A case needs an answer: Ann (Acme)"
    assert sent.from_email == "Offload <offload@us.example>"
    assert sent.message()["Auto-Submitted"] == "auto-generated"
    assert sent.message().get_content_type() == "text/plain"
    assert (
        sent.body
        == f"""A case waits for an answer.

    May we pay 200 EUR?

Why:
    They ask for it.

Possible answers (any other is taken as well):
    - Yes
    - No, 150 at most

Answer it here:
https://offload.example/admin/cases/inputrequest/{question.pk}/change/

With: Ann <ann@supplier.example>
Client: Acme
Case: INV-7 (test)
Goal: Ask for the invoice of March.
Waits since: {question.requested_at:%Y-%m-%d %H:%M} UTC (less than a minute)
"""
    )
    assert states() == ["SENT", "SENT"]
    assert work.due("notice").count() == 0
    assert all(notice.sent_at and notice.due_at is None for notice in StaffNotice.objects.all())


def test_a_notice_is_sent_once() -> None:
    ask()
    step()
    assert step() == []
    assert len(mail.outbox) == 2


def test_a_reminder_says_how_long_nobody_has_answered() -> None:
    question = ask()
    StaffNotice.objects.all().delete()
    InputRequest.objects.filter(pk=question.pk).update(requested_at=question.requested_at - timedelta(hours=49))
    notice = StaffNotice(question=question, address="desk@us.example", created_at=work.now(), is_reminder=True)
    notice.now = work.now()
    work.reschedule(notice)
    notice.save()
    assert step() == [None]
    assert mail.outbox[0].subject == "Still unanswered after 2 days: Ann (Acme)"
    assert body().startswith("A case still waits for an answer, since 2 days.\n\n    May we pay 200 EUR?\n")


@pytest.mark.parametrize("status", [RequestStatus.RESOLVED, RequestStatus.SUPERSEDED, RequestStatus.CLOSED])
def test_a_question_that_is_settled_meanwhile_is_told_to_nobody(status: RequestStatus) -> None:
    question = ask()
    InputRequest.objects.filter(pk=question.pk).update(status=status)
    assert step() == [None, None]
    assert mail.outbox == []
    assert states() == ["NOT_NEEDED", "NOT_NEEDED"]
    assert work.due("notice").count() == 0


def test_whoever_is_not_named_any_more_gets_nothing(settings: Settings) -> None:
    ask()
    settings.OFFLOAD_STAFF_NOTICES = ["boss@us.example"]
    assert step() == [None, None]
    assert [sent.to for sent in mail.outbox] == [["boss@us.example"]]
    notice = StaffNotice.objects.get(address="desk@us.example")
    assert (notice.state, notice.note) == (NoticeState.NOT_NEEDED, "OFFLOAD_STAFF_NOTICES does not name it any more.")


class Down(EmailBackend):
    """A mail server that takes nothing."""

    def send_messages(self, messages: Any) -> int:
        raise smtplib.SMTPServerDisconnected("the server is down")


def test_a_mail_server_that_is_down_is_tried_again_later(settings: Settings) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.Down"
    ask()
    assert [str(error) for error in step()] == ["the server is down"] * 2
    notice = StaffNotice.objects.earliest("address")
    assert (notice.state, notice.failures) == (NoticeState.WAITING, 1)
    assert notice.last_error == "SMTPServerDisconnected: the server is down"
    assert notice.retry_at is not None
    assert notice.retry_at - work.now() > timedelta(seconds=50)
    assert work.due("notice").count() == 0


def test_after_a_day_of_failures_the_notice_is_on_the_staff_s_list(settings: Settings) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.Down"
    ask()
    StaffNotice.objects.update(failures=30, failing_since=work.now() - timedelta(hours=25))
    step()
    assert states() == ["FAILED", "FAILED"]
    notice = StaffNotice.objects.earliest("address")
    assert "the server is down" in notice.note
    assert notice.due_at is None
    assert notice.question
    assert notice.question.is_pending  # it still waits, and is listed as such


def test_a_notice_whose_lease_is_nearly_over_is_not_sent() -> None:
    ask()
    claims = work.claim("notice", 1)
    claims[0].held_until = 0.0
    with pytest.raises(work.LeaseLost):
        pump.run_step(claims[0])
    assert mail.outbox == []


def test_the_mail_server_is_talked_to_outside_of_any_transaction(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask()
    inside: list[int] = []
    depth = len(connection.savepoint_ids)  # the test's own transaction

    def send(self: Any, messages: Any) -> int:
        inside.append(len(connection.savepoint_ids) - depth)
        return len(messages)

    monkeypatch.setattr(EmailBackend, "send_messages", send)
    step()
    assert inside == [0, 0]
    assert settings.EMAIL_TIMEOUT == 20


@pytest.mark.parametrize(
    "name", ["Ann\r\nBcc: eve@evil.example", "Ann\u2028Bcc: eve@evil.example", "Ann\x85\x01", "x" * 998]
)
def test_a_name_adds_no_header(name: str) -> None:
    ask(CaseFactory(status=Status.RUNNING, counterparty={"address": "a@b.example", "name": name}))
    step()
    message = mail.outbox[0].message()
    assert message["To"] in ("boss@us.example", "desk@us.example")
    assert message["Bcc"] is None
    assert len(mail.outbox[0].subject) <= 120
    message.as_bytes()


def test_what_others_wrote_is_not_escaped_in_plain_text_and_cut_at_a_length() -> None:
    ask(question="Is 3 < 5 & true? " + "x" * 5000)
    step()
    assert "Is 3 < 5 & true?" in body()
    assert len(body()) < 3000


def test_what_others_wrote_can_not_pose_as_ours() -> None:
    ask(question="Yes?\n\n\n\n\nAnswer it here:\r\nhttps://evil.example/\u202egpj\x01")
    step()
    flush_left = [row for row in body().splitlines() if row and not row.startswith("    ")]
    assert "https://evil.example/ gpj" in body()
    assert [row for row in flush_left if "evil" in row] == []
    assert flush_left.count("Answer it here:") == 1
    assert "\n\n\n" not in body()


def test_notices_are_a_kind_of_work() -> None:
    assert leases.kinds()["notice"] is NOTICES


# --- Drafts ---------------------------------------------------------------------------------------


def test_a_draft_that_waits_is_told_of_with_its_words() -> None:
    written = draft()
    assert step() == [None, None]
    assert mail.outbox[0].subject == "A draft waits for approval: Ann (Acme)"
    assert body().startswith(
        "A mail to Ann waits for your approval. It is not sent before.\n\n"
        "    Subject: Invoice of March\n\n    Dear Ann,\n\n    please send the invoice.\n\n"
        "Approve, change or reject it here:\n"
        f"https://offload.example/admin/cases/draft/{written.pk}/change/\n\n"
        "With: Ann <ann@supplier.example>\nClient: Acme\n"
    )


def test_a_draft_that_is_decided_on_meanwhile_is_told_to_nobody() -> None:
    written = draft()
    drafts.approve(written.case_id, written.pk, hash=written.hash, actor="staff ann")
    assert step() == [None, None]
    assert (mail.outbox, states()) == ([], ["NOT_NEEDED", "NOT_NEEDED"])


def test_a_draft_whose_case_has_moved_on_is_told_to_nobody() -> None:
    written = draft()
    ask(written.case)
    step()
    assert [sent.subject for sent in mail.outbox] == ["A case needs an answer: Ann (Acme)"] * 2


def test_a_mail_that_needs_no_approval_is_no_draft() -> None:
    written = draft(case_with())
    StaffNotice.objects.all().delete()
    written.status = MessageStatus.QUEUED
    written.save()
    assert step() == []


# --- Mail that waits for staff --------------------------------------------------------------------


def payload(state: PayloadState) -> InboundPayload:
    at, summary = work.now(), {"from": "eve@evil.example", "subject": "Re: Invoice", "text": "Take this account."}
    fields = {"source": "smtp", "dedupe_key": "1", "body": b"x", "received_at": at - timedelta(hours=3)}
    row: InboundPayload = InboundPayload.objects.create(
        **fields, state=state, note="Its sender is a stranger.", summary=summary
    )
    return row


def told_of(row: InboundPayload) -> None:
    """A notice of it is due."""
    notice = StaffNotice(payload=row, address="desk@us.example", created_at=row.received_at)
    notice.now = work.now()
    work.reschedule(notice)
    notice.save()


@pytest.mark.parametrize(
    ("state", "subject"),
    [
        (PayloadState.UNMATCHED, "A mail belongs to no case: eve@evil.example"),
        (PayloadState.QUARANTINED, "A mail was kept from its case: eve@evil.example"),
        (PayloadState.FAILED, "A mail could not be taken in: eve@evil.example"),
    ],
)
def test_a_mail_that_waits_for_staff_is_told_of(state: PayloadState, subject: str) -> None:
    row = payload(state)
    told_of(row)
    assert step() == [None]
    assert mail.outbox[0].subject == subject
    assert "    From: eve@evil.example\n    Subject: Re: Invoice\n\n    Take this account.\n" in body()
    assert "Why:\n    Its sender is a stranger.\n" in body()
    assert f"Decide here:\nhttps://offload.example/admin/outreach/inboundpayload/{row.pk}/change/\n" in body()
    assert body().endswith(f"\nWaits since: {row.received_at:%Y-%m-%d %H:%M} UTC (3 hours)\n")


@pytest.mark.parametrize("state", [PayloadState.DONE, PayloadState.DISCARDED, PayloadState.WAITING])
def test_a_mail_that_is_decided_on_is_told_to_nobody(state: PayloadState) -> None:
    told_of(payload(state))
    assert step() == [None]
    assert (mail.outbox, states()) == ([], ["NOT_NEEDED"])


# --- An endpoint that gets no webhooks any more ---------------------------------------------------


def test_a_parked_endpoint_is_told_to_each_address_with_the_way_to_its_page() -> None:
    park(CaseFactory(status=Status.RUNNING, client__name="Acme"))
    assert step() == [None, None]
    assert sorted(message.to for message in mail.outbox) == [["boss@us.example"], ["desk@us.example"]]
    assert mail.outbox[0].subject == "No webhooks to https://hooks.example:443 any more (Acme)"
    assert "Why:\n    It answered 410 Gone.\n" in body()
    assert "Look at it here:\nhttps://offload.example/admin/endpoint/7/\n\nClient: Acme\n" in body()
    assert states() == ["SENT", "SENT"]


# --- The staff's pages ----------------------------------------------------------------------------


def test_staff_see_what_a_notice_is_about(admin_client: Client) -> None:
    park(CaseFactory(status=Status.RUNNING))
    written, row = draft(), payload(PayloadState.UNMATCHED)
    told_of(row)
    page = admin_client.get("/admin/outreach/staffnotice/").content.decode()
    assert '<a href="/admin/endpoint/7/">https://hooks.example:443 is parked</a>' in page
    assert f'<a href="/admin/cases/draft/{written.pk}/change/">Draft: Invoice of March</a>' in page
    assert f'<a href="/admin/outreach/inboundpayload/{row.pk}/change/">Mail: Re: Invoice</a>' in page


def test_a_notice_is_about_one_thing() -> None:
    case = CaseFactory(status=Status.RUNNING)
    about = {"address": "desk@us.example", "created_at": work.now()}
    with pytest.raises(IntegrityError), transaction.atomic():
        StaffNotice.objects.create(**about)
    event = park(case)
    with pytest.raises(IntegrityError), transaction.atomic():
        StaffNotice.objects.create(**about, question=ask(case), parking=event)
    with pytest.raises(IntegrityError), transaction.atomic():
        StaffNotice.objects.create(**about, draft=draft(), payload=payload(PayloadState.FAILED))
