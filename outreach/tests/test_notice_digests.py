"""What goes out together, what is held and until when."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.test import Client
from pytest_django import Settings

from cases import moments, pump, services, work
from cases.models import InputRequest
from outreach.factories import InboundPayloadFactory
from outreach.models import InboundPayload, NoticeHold, NoticeState, PayloadState, StaffNotice
from outreach.notices import tell_staff_of_mail
from outreach.staff_notices import mail as wording
from outreach.tests.notices import ask, case_with, draft, let_pass, park, states, step, steps

pytestmark = [pytest.mark.engine, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def desk(settings: Settings) -> None:
    settings.OFFLOAD_STAFF_NOTICES = ["desk@us.example"]
    settings.OFFLOAD_BASE_URL = "https://offload.example"
    settings.OFFLOAD_MAIL_FROM = settings.DEFAULT_FROM_EMAIL = "Offload <offload@us.example>"


def subjects() -> list[str]:
    return [str(sent.subject) for sent in mail.outbox]


def body() -> str:
    return str(mail.outbox[-1].body)


def answer(question: InputRequest) -> None:
    services.provide_input(case_id=question.case_id, input_request_id=question.pk, provided_context="Yes.")


@pytest.fixture
def quiet(settings: Settings) -> datetime:
    """It is a quiet hour, whatever the time; gives its end."""
    now = work.now()
    begins, ends = now - timedelta(hours=1), (now + timedelta(hours=5)).replace(second=0, microsecond=0)
    settings.OFFLOAD_NOTICE_QUIET_HOURS = f"{begins:%H:%M}-{ends:%H:%M} UTC"
    return ends


def end_quiet(settings: Settings) -> None:
    """The quiet hours are over."""
    settings.OFFLOAD_NOTICE_QUIET_HOURS = ""
    let_pass(hours=6)


# --- The window -----------------------------------------------------------------------------------


def test_the_first_goes_at_once_and_what_comes_soon_after_goes_out_as_one(settings: Settings) -> None:
    ask(case_with("Ann"))
    steps()
    assert subjects() == ["A case needs an answer: Ann (Acme)"]
    ask(case_with("Ben", "Beta"), "Which one?", options=["This", "That"])
    draft()
    steps()
    assert len(mail.outbox) == 1
    held = StaffNotice.objects.filter(state=NoticeState.WAITING)
    last = StaffNotice.objects.get(state=NoticeState.SENT).sent_at
    assert last
    assert [(notice.hold, notice.held_until) for notice in held] == [("WINDOW", last + timedelta(minutes=10))] * 2
    assert work.due("notice").count() == 0
    let_pass(minutes=11)
    steps()
    assert subjects()[1:] == ["1 question and 1 draft wait for you (Beta, Acme)"]
    assert states() == ["SENT"] * 3


def test_a_digest_lists_all_with_age_client_options_and_links(settings: Settings) -> None:
    settings.OFFLOAD_NOTICE_DIGEST_MINUTES = 10
    first = ask(case_with("Ann"), "May we pay 200 EUR?", options=["Yes", "No"])
    InputRequest.objects.filter(pk=first.pk).update(requested_at=first.requested_at - timedelta(hours=3))
    second = ask(case_with("Ben", "Beta", is_test=False), "Which\n\n\none?")
    written = draft()
    park(case_with("Zoe", "Gamma", is_test=False))
    steps()
    assert subjects() == ["2 questions, 1 draft and 1 endpoint wait for you (Acme, Beta, Gamma)"]
    base = "https://offload.example/admin"
    assert (
        body()
        == f"""2 questions, 1 draft and 1 endpoint wait for you.

1. Question: Ann (Acme), test. Waits for 3 hours.

    May we pay 200 EUR?

   Why: They ask for it.

   Possible answers: Yes | No

   Answer it here:
   {base}/cases/inputrequest/{first.pk}/change/

2. Question: Ben (Beta). Waits for less than a minute.

    Which

    one?

   Why: They ask for it.

   Answer it here:
   {base}/cases/inputrequest/{second.pk}/change/

3. Draft: Ann (Acme), test. Waits for less than a minute.

    Subject: Invoice of March

    Dear Ann,

    please send the invoice.

   Approve, change or reject it here:
   {base}/cases/draft/{written.pk}/change/

4. No webhooks to https://hooks.example:443 any more (Gamma). Waits for less than a minute.

    https://hooks.example:443

   Why: It answered 410 Gone.

   Look at it here:
   {base}/endpoint/7/

All that is open:
{base}/
"""
    )
    assert mail.outbox[0].message()["Auto-Submitted"] == "auto-generated"


def test_what_is_settled_meanwhile_is_left_out(settings: Settings) -> None:
    questions = [ask(case_with(name)) for name in ("Ann", "Ben", "Cem")]
    answer(questions[1])
    steps()
    assert subjects() == ["2 questions wait for you (Acme)"]
    assert "Ben" not in body()
    assert states() == ["NOT_NEEDED", "SENT", "SENT"]
    assert StaffNotice.objects.get(question=questions[1]).sent_at is None


def test_of_several_the_only_one_left_goes_out_by_itself() -> None:
    questions = [ask(case_with(name)) for name in ("Ann", "Ben")]
    answer(questions[0])
    steps()
    assert subjects() == ["A case needs an answer: Ben (Acme)"]


def test_where_nothing_is_left_nothing_is_sent() -> None:
    for question in [ask(case_with(name)) for name in ("Ann", "Ben")]:
        answer(question)
    steps()
    assert (mail.outbox, states()) == ([], ["NOT_NEEDED", "NOT_NEEDED"])


def test_without_a_window_each_goes_at_once_and_by_itself(settings: Settings) -> None:
    settings.OFFLOAD_NOTICE_DIGEST_MINUTES = 0
    for name in ("Ann", "Ben", "Cem"):
        ask(case_with(name))
    steps()
    assert sorted(subjects()) == [f"A case needs an answer: {name} (Acme)" for name in ("Ann", "Ben", "Cem")]


def test_each_recipient_has_a_window_of_its_own(settings: Settings) -> None:
    ask(case_with("Ann"))
    steps()
    settings.OFFLOAD_STAFF_NOTICES = ["desk@us.example", "boss@us.example"]
    ask(case_with("Ben"))
    steps()
    assert [(sent.to, sent.subject[-10:]) for sent in mail.outbox] == [
        (["desk@us.example"], "Ann (Acme)"),
        (["boss@us.example"], "Ben (Acme)"),
    ]


def test_a_question_and_its_reminder_are_listed_once(settings: Settings) -> None:
    late, other = ask(case_with("Ann")), ask(case_with("Ben"))
    notice = StaffNotice(question=late, address="desk@us.example", created_at=work.now(), is_reminder=True)
    notice.now = work.now()
    work.reschedule(notice)
    notice.save()
    steps()
    assert subjects() == ["2 questions wait for you (Acme)"]
    assert body().count(str(late.pk)) == 1
    assert "\n1. Question: Ann (Acme), test. OVERDUE, waits for less than a minute.\n" in body()
    assert "\n2. Question: Ben (Acme), test. Waits" in body()
    assert states() == ["SENT"] * 3
    assert other.is_pending


def test_a_long_digest_lists_the_first_and_counts_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wording, "MAX_LISTED", 2)
    for number in range(5):
        ask(case_with(f"Ann {number}"))
    steps()
    assert subjects() == ["5 questions wait for you (Acme)"]
    assert re.findall(r"^(\d)\. Question: Ann \d \(Acme\)", body(), re.MULTILINE) == ["1", "2"]
    assert body().endswith("\nAnd 3 more. All that is open:\nhttps://offload.example/admin/\n")


# --- At least once, and one digest of one thing ---------------------------------------------------


class Down(EmailBackend):
    """A mail server that takes nothing."""

    def send_messages(self, messages: Any) -> int:
        raise OSError("down")


def test_a_digest_that_may_have_been_sent_goes_out_again_with_the_same_id_and_nothing_new(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("Ann", "Ben"):
        ask(case_with(name))
    (held,) = work.claim("notice", 10)
    with monkeypatch.context() as patch:

        def die(*_: Any, **__: Any) -> None:
            raise SystemExit  # the worker dies after the server has taken the mail

        patch.setattr("outreach.notices._finish", die)
        with pytest.raises(SystemExit):
            pump.run_step(held)
    assert len(mail.outbox) == 1
    ask(case_with("Cem"))
    StaffNotice.objects.filter(pk=held.pk).update(lease_until=work.now() - timedelta(seconds=1))
    assert step() == [None]
    first, second = mail.outbox
    assert first.message()["Message-ID"] == second.message()["Message-ID"] == f"<notice-{held.pk}@us.example>"
    assert first.subject == second.subject == "2 questions wait for you (Acme)"
    steps()
    assert len(mail.outbox) == 2  # the new one waits for the window
    assert states() == ["SENT", "SENT", "WAITING"]


def test_while_a_digest_can_not_be_sent_its_rows_wait_as_one_and_later_ones_behind_it(settings: Settings) -> None:
    backend = settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND = f"{__name__}.Down"
    for name in ("Ann", "Ben"):
        ask(case_with(name))
    assert [str(error) for error in step()] == ["down"]
    assert work.due("notice").count() == 0
    late = ask(case_with("Cem"))
    assert step() == [None]  # it is held, and nothing tried
    notice, leader = StaffNotice.objects.get(question=late), StaffNotice.objects.get(failures=1)
    assert leader.retry_at
    assert (notice.hold, notice.held_until) == (NoticeHold.BEHIND, leader.retry_at + timedelta(seconds=5))
    assert StaffNotice.objects.get(leader=leader).due_at is not None
    settings.EMAIL_BACKEND = backend
    let_pass(minutes=2)
    steps()
    assert subjects() == ["2 questions wait for you (Acme)"]
    let_pass(minutes=11)
    steps()
    assert subjects()[1:] == ["A case needs an answer: Cem (Acme)"]


def test_a_digest_that_is_given_up_is_given_up_as_a_whole(settings: Settings) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.Down"
    for name in ("Ann", "Ben"):
        ask(case_with(name))
    StaffNotice.objects.update(failures=30, failing_since=work.now() - timedelta(hours=25))
    step()
    assert states() == ["FAILED", "FAILED"]
    assert all("down" in notice.note and notice.due_at is None for notice in StaffNotice.objects.all())


def test_what_went_with_a_case_that_is_deleted_is_told_of_later(settings: Settings) -> None:
    backend = settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND = f"{__name__}.Down"
    for name in ("Ann", "Ben"):
        ask(case_with(name))
    step()
    StaffNotice.objects.get(failures=1).delete()
    left = StaffNotice.objects.get()
    assert left.question
    settings.EMAIL_BACKEND = backend
    steps()
    assert mail.outbox == []
    let_pass(hours=26)
    steps()
    assert subjects() == [f"A case needs an answer: {left.question.case.counterparty['name']} (Acme)"]


def test_no_two_notices_of_one_recipient_are_held_at_a_time(settings: Settings) -> None:
    settings.OFFLOAD_NOTICE_DIGEST_MINUTES = 0
    for name in ("Ann", "Ben"):
        ask(case_with(name))
    assert len(work.claim("notice", 10)) == 1
    assert work.claim("notice", 10) == []
    assert work.due("notice").count() == 0


# --- Quiet hours ----------------------------------------------------------------------------------


def test_what_falls_into_quiet_hours_is_held_and_comes_as_one(settings: Settings, quiet: datetime) -> None:
    ask(case_with("Ann"))
    steps()
    ask(case_with("Ben"))
    steps()
    assert mail.outbox == []
    assert [(notice.hold, notice.held_until) for notice in StaffNotice.objects.all()] == [("QUIET", quiet)] * 2
    assert [notice.due_at for notice in StaffNotice.objects.all()] == [quiet, quiet]
    end_quiet(settings)
    steps()
    assert subjects() == ["2 questions wait for you (Acme)"]


def test_quiet_hours_make_one_digest_even_without_a_window(settings: Settings, quiet: datetime) -> None:
    settings.OFFLOAD_NOTICE_DIGEST_MINUTES = 0
    for name in ("Ann", "Ben"):
        ask(case_with(name))
    steps()
    end_quiet(settings)
    ask(case_with("Cem"))
    steps()
    assert sorted(subjects()) == ["2 questions wait for you (Acme)", "A case needs an answer: Cem (Acme)"]


def test_what_is_settled_by_the_morning_wakes_nobody(settings: Settings, quiet: datetime) -> None:
    question = ask()
    steps()
    answer(question)
    end_quiet(settings)
    steps()
    assert (mail.outbox, states()) == ([], ["NOT_NEEDED"])


def test_a_repetition_waits_for_the_morning_too(settings: Settings) -> None:
    backend = settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND = f"{__name__}.Down"
    ask()
    step()
    settings.EMAIL_BACKEND = backend
    let_pass(minutes=5)
    now = work.now()
    settings.OFFLOAD_NOTICE_QUIET_HOURS = f"{now - timedelta(hours=1):%H:%M}-{now + timedelta(hours=1):%H:%M} UTC"
    steps()
    assert (mail.outbox, StaffNotice.objects.get().hold) == ([], NoticeHold.QUIET)


# --- Mail that waits for staff --------------------------------------------------------------------


def keep(state: PayloadState, *, is_urgent: bool = False) -> InboundPayload:
    """A mail is kept for staff, as it is taken in."""
    made = InboundPayloadFactory(state=state, summary={"from": "eve@evil.example", "subject": "Hi"}, due_at=None)
    with work.transaction():
        row: InboundPayload = InboundPayload.objects.locked(made.pk)
        tell_staff_of_mail(row, is_urgent=is_urgent)
    return row


def test_staff_have_time_to_decide_before_they_are_told_of_mail() -> None:
    row = keep(PayloadState.UNMATCHED)
    steps()
    assert mail.outbox == []
    notice = StaffNotice.objects.get()
    assert (notice.hold, notice.payload) == (NoticeHold.PATIENCE, row)
    assert notice.held_until
    wait = notice.held_until - row.now
    assert timedelta(hours=2) <= wait <= timedelta(hours=4)
    assert (notice.held_until - datetime(1970, 1, 1, tzinfo=UTC)) % timedelta(hours=2) == timedelta()
    let_pass(hours=4)
    steps()
    assert subjects() == ["A mail belongs to no case: eve@evil.example"]


def test_mail_of_strangers_makes_one_notice_in_that_time_however_much_there_is() -> None:
    for _ in range(4):
        keep(PayloadState.UNMATCHED)
    let_pass(hours=4)
    steps()
    assert subjects() == ["4 mails wait for you"]


def test_mail_that_could_not_be_taken_in_is_told_of_at_once() -> None:
    keep(PayloadState.FAILED, is_urgent=True)
    steps()
    assert subjects() == ["A mail could not be taken in: eve@evil.example"]


def test_mail_that_is_kept_again_is_told_of_once() -> None:
    row = keep(PayloadState.QUARANTINED)
    with work.transaction():
        tell_staff_of_mail(InboundPayload.objects.locked(row.pk))
    assert StaffNotice.objects.count() == 1


def test_staff_can_be_spared_notices_of_mail(settings: Settings) -> None:
    settings.OFFLOAD_NOTICE_MAIL_HOURS = 0
    keep(PayloadState.UNMATCHED)
    assert StaffNotice.objects.count() == 0
    keep(PayloadState.FAILED, is_urgent=True)
    assert StaffNotice.objects.count() == 1


# --- The staff's list -----------------------------------------------------------------------------


def test_the_list_says_why_a_notice_is_held_and_what_it_went_with(admin_client: Client) -> None:
    for name in ("Ann", "Ben"):
        ask(case_with(name))
    steps()
    ask(case_with("Cem"))
    steps()
    html = admin_client.get("/admin/outreach/staffnotice/").content.decode()
    leader = StaffNotice.objects.get(joined__isnull=False)
    held = StaffNotice.objects.get(state=NoticeState.WAITING)
    assert f'<a href="/admin/outreach/staffnotice/{leader.pk}/change/">with an earlier one</a>' in html
    assert "with 1 other<" in html
    assert f"until {moments.shortly(held.held_until)}: joins the next digest" in html
    page = admin_client.get(f"/admin/outreach/staffnotice/{leader.pk}/change/").content.decode()
    url = f"/admin/outreach/staffnotice/?leader__id__exact={leader.pk}"
    assert f'<a href="{url}">with 1 other</a>' in page
    assert list(admin_client.get(url).context["cl"].result_list) == [leader.joined.get()]
