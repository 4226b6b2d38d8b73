"""Staff are told by mail that a case asks a question, and that a client's endpoint gets no webhooks any more.

The listener writes a row for each address, in the transaction of what it tells of; a worker sends it afterwards. At
least once: a worker that dies between the mail server's answer and its own commit sends the notice again, with the same
Message-ID. For a mere reminder that is better than none.
"""

from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.urls import reverse

from cases import work
from cases.models import Case, Event, InputRequest
from outreach.models import NoticeState, StaffNotice
from outreach.transports.base import one_line

Claim = work.Claim[StaffNotice]

MAX_QUESTION_CHARS = 2000  # enough to decide whether it is urgent; the page has it all
MAX_SUBJECT_CHARS = 120


def tell_staff(case: Case, event: Event) -> None:
    """Listener of `case.input_needed`: one notice for each of OFFLOAD_STAFF_NOTICES. Sends nothing itself."""
    _write(event, question_id=event.data["inputRequestId"])


def tell_staff_of_parking(case: Case, event: Event) -> None:
    """Listener of `webhook.parked`: likewise."""
    _write(event, parking=event)


def _write(event: Event, **about: Any) -> None:
    for address in dict.fromkeys(settings.OFFLOAD_STAFF_NOTICES):
        notice = StaffNotice(address=address, created_at=event.at, **about)
        notice.now = event.at
        work.reschedule(notice)
        notice.save(force_insert=True)


def send(claimed: Claim) -> None:
    """Send one notice, unless its question has been settled meanwhile.

    Whatever the mail server says against it is raised, and tried again later: its settings may be put right.
    """
    notice = claimed.read(StaffNotice.objects.select_related("question__case__client", "parking__case__client"))
    if notice.question and not notice.question.is_pending:
        _settle(claimed, NoticeState.NOT_NEEDED)
        return
    mail = compose(notice)
    work.let_go_of_connection()
    if not claimed.renewed():
        raise work.LeaseLost(f"notice {claimed.pk}: too little of the lease is left to send")
    mail.send()  # within EMAIL_TIMEOUT
    claimed.insist(lambda: _settle(claimed, NoticeState.SENT))


def _settle(claimed: Claim, state: NoticeState, note: str = "") -> None:
    with claimed.write() as notice:
        notice.state, notice.note = state, note
        notice.sent_at = notice.now if state == NoticeState.SENT else None
        work.reschedule(notice)
        notice.save()


def give_up(claimed: Claim, cause: str) -> None:
    """Nobody could be told: staff find the notice on their list, and the question among the open ones."""
    _settle(claimed, NoticeState.FAILED, cause)


def compose(notice: StaffNotice) -> EmailMessage:
    """The notice as a mail in plain text, with a link to the page on which people can do something about it."""
    subject, text = _of_question(notice.question) if notice.question else _of_parking(notice.parking)
    return EmailMessage(
        subject=one_line(subject, MAX_SUBJECT_CHARS),
        body=text,
        to=[notice.address],
        headers={
            "Message-ID": f"<notice-{notice.pk}@{settings.OFFLOAD_MAIL_FROM.rpartition('@')[2].strip('> ')}>",
            "Auto-Submitted": "auto-generated",  # RFC 3834: an absence note must not answer it
        },
    )


def _of_question(question: InputRequest) -> tuple[str, str]:
    case = question.case
    facts = {
        "case": case,
        "question": _shortened(question.question, MAX_QUESTION_CHARS),
        "reason": question.reason,
        "link": settings.OFFLOAD_BASE_URL + reverse("admin:cases_inputrequest_change", args=[question.pk]),
    }
    subject = f"A case needs an answer: {case.counterparty['name']} ({case.client.name})"
    return subject, render_to_string("mail/staff_notice.txt", facts)


def _of_parking(event: Event) -> tuple[str, str]:
    facts = {"client": event.case.client, **event.data, "link": settings.OFFLOAD_BASE_URL + event.data["page"]}
    subject = f"No webhooks to {event.data['origin']} any more ({event.case.client.name})"
    return subject, render_to_string("mail/parking_notice.txt", facts)


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


NOTICES = work.Kind(
    name="notice",
    model=StaffNotice,
    step=send,
    give_up=give_up,
    task="outreach.notices.pump_notices",
    of_case="question__case_id",
)


def pump_notices() -> None:
    """The wake-up for notices."""
    work.run_pump("notice")
