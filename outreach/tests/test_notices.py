"""Staff hear of questions by mail: at least once, never from inside the question's own transaction."""

import smtplib
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import IntegrityError, connection, transaction
from django.test import Client
from pytest_django import Settings

from cases import events, leases, pump, transitions, work
from cases.factories import CaseFactory
from cases.models import Case, Event, InputRequest, RequestStatus, Status
from outreach.models import NoticeState, StaffNotice
from outreach.notices import NOTICES, compose

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def addresses(settings: Settings) -> None:
    settings.OFFLOAD_STAFF_NOTICES = ["desk@us.example", "boss@us.example", "desk@us.example"]
    settings.OFFLOAD_BASE_URL = "https://offload.example"
    settings.OFFLOAD_MAIL_FROM = settings.DEFAULT_FROM_EMAIL = "Offload <offload@us.example>"


def ask(case: Case | None = None, question: str = "May we pay 200 EUR?") -> InputRequest:
    case = case or CaseFactory(
        status=Status.RUNNING, client__name="Acme", counterparty={"address": "ann@supplier.example", "name": "Ann"}
    )
    with work.transaction():
        locked = Case.objects.locked(case.pk)
        return transitions.ask(locked, question=question, reason="They ask for it.")


def step() -> list[BaseException | None]:
    """What a pump does with the notices that are due; the errors of their steps."""
    outcomes: dict[work.Claim[Any], BaseException | None] = {}
    for held in work.claim("notice", 10):
        try:
            pump.run_step(held)
            outcomes[held] = None
        except Exception as error:  # noqa: BLE001 (as the pump's threads do)
            outcomes[held] = error
    pump.settle(outcomes)
    return list(outcomes.values())


def states() -> list[str]:
    return sorted(StaffNotice.objects.values_list("state", flat=True))


def test_a_question_makes_one_due_notice_for_each_address_and_sends_nothing_itself() -> None:
    question = ask()
    notices = StaffNotice.objects.order_by("address")
    assert [(notice.address, notice.question, notice.state) for notice in notices] == [
        ("boss@us.example", question, NoticeState.WAITING),
        ("desk@us.example", question, NoticeState.WAITING),
    ]
    assert [notice.due_at for notice in notices] == [question.requested_at, question.requested_at]
    assert mail.outbox == []
    assert work.due("notice").count() == 2


def test_nobody_is_told_where_nobody_is_named(settings: Settings) -> None:
    settings.OFFLOAD_STAFF_NOTICES = []
    ask()
    assert StaffNotice.objects.count() == 0


def test_a_question_that_is_undone_is_told_to_nobody() -> None:
    with work.transaction():
        ask()
        transaction.set_rollback(True)
    assert StaffNotice.objects.count() == 0


def test_a_notice_links_to_the_page_on_which_the_question_is_answered() -> None:
    question = ask()
    assert step() == [None, None]
    assert sorted(sent.to for sent in mail.outbox) == [["boss@us.example"], ["desk@us.example"]]
    sent = mail.outbox[0]
    assert sent.subject == "A case needs an answer: Ann (Acme)"
    assert sent.from_email == "Offload <offload@us.example>"
    assert f"\nhttps://offload.example/admin/cases/inputrequest/{question.pk}/change/\n" in sent.body
    assert "May we pay 200 EUR?" in sent.body
    assert sent.message()["Auto-Submitted"] == "auto-generated"
    assert states() == ["SENT", "SENT"]
    assert work.due("notice").count() == 0
    assert all(notice.sent_at and notice.due_at is None for notice in StaffNotice.objects.all())


def test_a_notice_is_sent_once() -> None:
    ask()
    step()
    assert step() == []
    assert len(mail.outbox) == 2


def test_a_notice_that_may_have_been_sent_is_sent_again_under_the_same_id() -> None:
    ask()
    notice = StaffNotice.objects.earliest("address")
    first, second = compose(notice).message(), compose(notice).message()
    assert first["Message-ID"] == second["Message-ID"] == f"<notice-{notice.pk}@us.example>"


@pytest.mark.parametrize("status", [RequestStatus.RESOLVED, RequestStatus.SUPERSEDED, RequestStatus.CLOSED])
def test_a_question_that_is_settled_meanwhile_is_told_to_nobody(status: RequestStatus) -> None:
    question = ask()
    InputRequest.objects.filter(pk=question.pk).update(status=status)
    assert step() == [None, None]
    assert mail.outbox == []
    assert states() == ["NOT_NEEDED", "NOT_NEEDED"]
    assert work.due("notice").count() == 0


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
    message = compose(StaffNotice.objects.earliest("address")).message()
    assert message["To"] == "boss@us.example"
    assert message["Bcc"] is None
    assert len(compose(StaffNotice.objects.earliest("address")).subject) <= 120
    message.as_bytes()


def test_what_others_wrote_is_not_escaped_in_plain_text_and_cut_at_a_length() -> None:
    ask(question="Is 3 < 5 & true? " + "x" * 5000)
    body = compose(StaffNotice.objects.earliest("address")).body
    assert "Is 3 < 5 & true?" in str(body)
    assert len(str(body)) < 3000


def test_notices_are_a_kind_of_work() -> None:
    assert leases.kinds()["notice"] is NOTICES


# --- An endpoint that gets no webhooks any more ---------------------------------------------------


def park(case: Case) -> Event:
    with work.transaction():
        facts = {"origin": "https://hooks.example:443", "reason": "It answered 410 Gone.", "page": "/admin/endpoint/7/"}
        return events.record(Case.objects.locked(case.pk), "webhook.parked", **facts)


def test_a_parked_endpoint_is_told_to_each_address_with_the_way_to_its_page() -> None:
    park(CaseFactory(status=Status.RUNNING, client__name="Acme"))
    assert step() == [None, None]
    assert [message.to for message in mail.outbox] == [["desk@us.example"], ["boss@us.example"]]
    assert mail.outbox[0].subject == "No webhooks to https://hooks.example:443 any more (Acme)"
    text = str(mail.outbox[0].body)
    assert "It answered 410 Gone." in text
    assert "https://offload.example/admin/endpoint/7/" in text
    assert "Client: Acme" in text
    assert states() == ["SENT", "SENT"]


def test_staff_see_what_a_notice_of_an_endpoint_is_about(admin_client: Client) -> None:
    park(CaseFactory(status=Status.RUNNING))
    page = admin_client.get("/admin/outreach/staffnotice/").content.decode()
    assert '<a href="/admin/endpoint/7/">https://hooks.example:443 is parked</a>' in page


def test_a_notice_is_about_one_thing() -> None:
    case = CaseFactory(status=Status.RUNNING)
    about = {"address": "desk@us.example", "created_at": work.now()}
    with pytest.raises(IntegrityError), transaction.atomic():
        StaffNotice.objects.create(**about)
    event = park(case)
    with pytest.raises(IntegrityError), transaction.atomic():
        StaffNotice.objects.create(**about, question=ask(case), parking=event)
