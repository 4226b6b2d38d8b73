"""The facts about a case's mail: queued, begun, sent, refused, received. Each function is one short transaction.

Facts are recorded whatever has happened to the case meanwhile (rule 2 of the engine). On a case that has ended they
change nothing that clients see.
"""

import hashlib
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import make_msgid
from typing import Any

from django.db.models import QuerySet

from cases import enclosures, transitions, work
from cases.events import COUNTERPARTY, SYSTEM, record
from cases.models import (
    Attachment,
    Case,
    Direction,
    Message,
    MessageStatus,
    Purpose,
    RequestStatus,
    ResultStatus,
)
from cases.models.due import with_now
from cases.prepared import Change, Prepared, PreparedUpdate
from cases.working_hours import next_working_time

MAX_NOTES_WITHOUT_DAY = 5  # after one mail of ours; a machine that writes for ever must not keep a case open for ever
LATEST = datetime(9999, 1, 1, tzinfo=UTC)  # a follow-up later than that is due then: no calendar goes on for long


@dataclass(frozen=True)
class StoredFile:
    """A file of a received mail, already in the storage under `path`."""

    id: uuid.UUID
    path: str
    name: str
    type: str
    declared_type: str
    size: int
    sha256: str
    is_inline: bool = False
    text: str = ""
    note: str = ""


@dataclass(frozen=True)
class ReceivedMail:
    """A mail that has been matched to a case. `text` is what is new in it, `full_text` all of it."""

    purpose: Purpose
    message_id: str
    from_address: str
    from_name: str
    to_address: str
    subject: str
    text: str
    full_text: str
    html: str = ""
    cc: tuple[str, ...] = ()
    in_reply_to: str = ""
    references: str = ""
    sent_by_them_at: datetime | None = None
    files: tuple[StoredFile, ...] = field(default=())


# --- Ours -----------------------------------------------------------------------------------------


def queue(
    case: Case,
    *,
    purpose: Purpose,
    subject: str,
    text: str,
    actor: str = SYSTEM,
    completion: dict[str, Any] | None = None,
    is_draft: bool = False,
) -> Message:
    """Freeze the next mail of a case you hold locked; it answers all unread mail and makes use of all unused answers.

    From here its text, Message-ID and key never change: whoever sends it, and however often, sends the same. A draft
    is not sent before a person has approved it, who may change its words (cases/drafts.py).
    """
    case.touch()
    message = drawn(case, purpose=purpose, subject=subject, text=text, at=case.now)
    message.status = MessageStatus.DRAFT if is_draft else MessageStatus.QUEUED
    message.drafted_at = case.now if is_draft else None
    message.written_by = "" if actor == SYSTEM else actor
    message.idempotency_key = uuid.uuid4().hex
    message.completion = completion
    message.save(force_insert=True)
    if purpose == Purpose.OUTREACH:
        enclosures.attach(case, message)
    _answer_unread(case, message, case.now)
    _use_answers(case, message, case.now)
    transitions.store(case)
    type_ = "case.draft_ready" if is_draft else "message.queued"
    record(case, type_, actor=actor, messageId=str(message.pk), purpose=purpose)
    return message


@PreparedUpdate
def _answer_unread(case: Case, message: Message, at: datetime) -> Change:
    return case.messages.unread(), {"read_at": at, "answered_by": message}


@PreparedUpdate
def _use_answers(case: Case, message: Message, at: datetime) -> Change:
    return case.input_requests.unused_answers(), {"used_at": at, "used_by": message}


def drawn(case: Case, *, purpose: Purpose, subject: str, text: str, at: datetime) -> Message:
    """The case's next mail as it would be queued now, with its place in the thread; not stored."""
    thread = [message_id for one in (*case.earlier, case) for message_id in _ids_in_thread(one)]
    return Message(
        case=case,
        direction=Direction.OUT,
        purpose=purpose,
        status=MessageStatus.QUEUED,
        message_id=make_msgid(domain=case.our_address.rpartition("@")[2]),
        in_reply_to=thread[-1] if thread else "",
        references=" ".join(thread),
        from_address=case.our_address,
        from_name=case.sender_persona["name"],
        to_address=_recipient(case),
        subject=subject,
        text=text,
        created_at=at,
        case_version=case.version,
    )


@Prepared
def _ids_in_thread(case: Case) -> QuerySet[Any, Any]:
    messages = case.messages.shown().exclude(message_id="").exclude(status=MessageStatus.DROPPED)
    return messages.values_list("message_id", flat=True)


def next_to_send(case: Case) -> Message | None:
    """The queued message of a case you hold locked; None if there is none, or if the case has moved on without it.

    A message whose send has begun is given again: its outcome is unknown, and repeating it is safe. A person's own
    words are sent even if something has come in since they wrote them. While the case is paused nothing else is sent.
    """
    message = _queued.first(case)
    if message and not message.send_started_at and case.paused_at:
        return None
    if message and not message.send_started_at and not message.written_by and message.case_version != case.version:
        drop(case, message)
        return None
    return message


@Prepared
def _queued(case: Case) -> QuerySet[Message]:
    return case.messages.filter(status=MessageStatus.QUEUED)


def _recipient(case: Case) -> str:
    """The address as the client wrote it, or with its domain in ASCII: mail knows no other (RFC 5891)."""
    address: str = case.counterparty["address"]
    return address if address.isascii() else case.counterparty_address


def begin_send(case: Case, message: Message) -> None:
    """From here the message may be out there, whatever becomes of us."""
    if message.send_started_at is None:
        message.send_started_at = case.now
        message.save(update_fields=["send_started_at"])


def drop(case: Case, message: Message, actor: str = SYSTEM) -> None:
    """Take back a message whose send has not begun, and say so on the timeline: what it answered is open again."""
    take_back(case, message)
    record(case, "message.dropped", actor=actor, messageId=str(message.pk))


def take_back(case: Case, message: Message) -> None:
    """The message of a case you hold locked will never be sent: what it answered is open again."""
    case.touch()
    message.status = MessageStatus.DROPPED
    message.save(update_fields=["status"])
    case.messages.filter(answered_by=message).update(read_at=None, answered_by=None)
    case.input_requests.filter(used_by=message).update(used_at=None, used_by=None)
    transitions.store(case)


def record_sent(message_pk: uuid.UUID, *, provider_id: str = "", message_id: str = "", thread_id: str = "") -> None:
    """The transport has taken the message. `message_id` is given where the provider chose another one than ours."""
    with work.transaction():
        message, case = _locked(message_pk)
        if message.status == MessageStatus.SENT:
            return
        message.status, message.sent_at, message.provider_id = MessageStatus.SENT, case.now, provider_id
        message.message_id = message_id or message.message_id
        message.save(update_fields=["status", "sent_at", "provider_id", "message_id"])
        record(case, "message.sent", messageId=str(message.pk), purpose=message.purpose)
        if not case.is_terminal:
            _go_on_after(case, message, thread_id)


def has_news(case: Case) -> bool:
    """Whether there is mail, or an answer, that no verdict has taken into account."""
    return case.messages.unread().exists() or case.input_requests.unused_answers().exists()


def _go_on_after(case: Case, message: Message, thread_id: str) -> None:
    case.touch()
    case.thread_id = thread_id or case.thread_id
    case.attempt_count += 1
    case.follow_up_count += message.purpose == Purpose.FOLLOW_UP
    case.retry_at = None
    asked = transitions.close_operational_question(case)
    if message.completion is not None and not has_news(case):
        transitions.complete(case, **message.completion)
    elif asked is None:
        transitions.run(case, next_action_at=max([follow_up_time(case), *absences_since(case, message)]))
    elif asked.status == RequestStatus.PENDING:
        transitions.store(case)  # it is still open: no follow-up is planned until it is answered
    else:
        transitions.ask_again(case, asked)


def absences_since(case: Case, message: Message) -> list[datetime]:
    """What machines have answered to the message; while it is under way, too: some are faster than its commit."""
    return _absences(case, message.created_at)


@Prepared
def _absences(case: Case, since: datetime) -> QuerySet[Any, Any]:
    notes = case.messages.filter(created_at__gte=since, absent_until__isnull=False)
    return notes.values_list("absent_until", flat=True)


def follow_up_time(case: Case, *, waited: timedelta = timedelta()) -> datetime:
    """When the next follow-up is due after something was sent so long ago, within the counterparty's working hours."""
    delay = max(timedelta(hours=case.follow_up_delay_hours) - waited, timedelta())
    return working_time(case, case.now + min(delay, LATEST - case.now))


def working_time(case: Case, moment: datetime) -> datetime:
    """The moment, or the first one after it at which the counterparty works; nobody waits for that in the sandbox."""
    return moment if case.transport == "sandbox" else next_working_time(moment, case.counterparty.get("timezone"))


def record_refused(message_pk: uuid.UUID, *, reason: str) -> None:
    """The provider refused the message for good: the case can't go on."""
    with work.transaction():
        message, case = _locked(message_pk)
        if message.status == MessageStatus.SENT:
            return  # somebody who had lost the lease has sent it all the same; a second handing over says nothing
        message.status = MessageStatus.REFUSED
        message.save(update_fields=["status"])
        record(case, "message.refused", messageId=str(message.pk), reason=reason)
        if not case.is_terminal:
            _end_unsent(case, message, ResultStatus.REJECTED, f"The mail was refused: {reason}")


def withhold(case: Case, message: Message, *, result_status: ResultStatus, reason: str) -> None:
    """The queued message of a case you hold locked must not go out; so the case can't go on."""
    message.status = MessageStatus.UNKNOWN if message.send_started_at else MessageStatus.DROPPED
    message.save(update_fields=["status"])
    record(case, "message.withheld", messageId=str(message.pk), reason=reason)
    _end_unsent(case, message, result_status, reason)


def _end_unsent(case: Case, message: Message, result_status: ResultStatus, reason: str) -> None:
    if message.completion is not None:
        _complete_unthanked(case, message.completion)
    else:
        transitions.fail(case, result_status=result_status, reason=reason)


def _complete_unthanked(case: Case, completion: dict[str, Any]) -> None:
    """The goal is reached, whether or not they hear our thanks; unless something has come in since."""
    case.touch()
    if has_news(case):
        transitions.store(case)
    else:
        transitions.complete(case, **completion)


def _locked(message_pk: uuid.UUID) -> tuple[Message, Case]:
    [case] = map(with_now, _locked_case_of(message_pk))
    [message] = _of_case(case, message_pk)
    return message, case


@Prepared
def _locked_case_of(message: uuid.UUID) -> QuerySet[Case]:
    return Case.objects.with_time().select_for_update(of=("self",)).filter(messages=message)


@Prepared
def _of_case(case: Case, message: uuid.UUID) -> QuerySet[Message]:
    return case.messages.filter(pk=message)


def record_delivered(message: Message) -> None:
    """A mail system says that the message has reached its recipient: for staff, and nothing follows from it.

    For a message whose case you hold locked.
    """
    if message.delivered_at is None:
        message.delivered_at = message.case.now
        message.save(update_fields=["delivered_at"])


def has_unread_answer(case: Case, message: Message) -> bool:
    """Whether a person has written on the case since the message went out, and nobody has judged that yet."""
    return case.messages.unread().filter(created_at__gt=message.sent_at or message.created_at).exists()


# --- Theirs ---------------------------------------------------------------------------------------


def record_received(
    case_id: uuid.UUID, mail: ReceivedMail, *, absent_until: datetime | None = None, suspicions: Sequence[str] = ()
) -> Message | None:
    """As `keep`, for a case that you do not hold."""
    with work.transaction():
        return keep(Case.objects.locked(case_id), mail, absent_until=absent_until, suspicions=suspicions)


def keep(
    case: Case, mail: ReceivedMail, *, absent_until: datetime | None = None, suspicions: Sequence[str] = ()
) -> Message | None:
    """Keep a mail on its case, which you hold locked; None if it is there already.

    A person's mail makes the case due after the settle time. A machine's only moves the next follow-up, and never to
    an earlier time: to `absent_until`, or by a whole delay where it names no day. A delay notice changes nothing, nor
    does any mail on a case that has ended: it is kept for staff. What a report means for the case is told separately,
    to `record_delivery_failure`. `suspicions` go onto the timeline, and change nothing else.
    """
    kept = _under_free_id(case, mail)
    if kept is None:
        return None
    message = _store(case, kept, absent_until)
    if not case.is_terminal and mail.purpose in (Purpose.HUMAN, Purpose.MACHINE):
        case.touch()
        if mail.purpose == Purpose.HUMAN:
            case.retry_at = None
        elif case.next_action_at:
            case.next_action_at = max(case.next_action_at, _back(case, message))
        transitions.store(case)
    record(case, "message.received", actor=COUNTERPARTY, messageId=str(message.pk), purpose=mail.purpose)
    if suspicions:
        record(case, "mail.suspicious", messageId=str(message.pk), why=list(suspicions))
    return message


def _under_free_id(case: Case, mail: ReceivedMail) -> ReceivedMail | None:
    """The mail, or None if the case has it. Another one under a Message-ID that is taken gets an id of its own.

    Some programs give all their mail one id, and nobody may keep a reply out by being the first to use its id.
    """
    taken = _received_under.first(case, mail.message_id)
    if taken is None or not mail.message_id:
        return mail
    digests = sorted(file.sha256 for file in mail.files)
    is_same = (mail.from_address, mail.text.split()) == (taken.from_address, taken.text.split())
    if is_same and digests == sorted(taken.attachments.values_list("sha256", flat=True)):
        return None
    content = "\0".join([mail.message_id, mail.from_address, *mail.text.split(), *digests])
    own_id = f"<{hashlib.sha256(content.encode()).hexdigest()}@reused.invalid>"
    return _under_free_id(case, replace(mail, message_id=own_id))


@Prepared
def _received_under(case: Case, message_id: str) -> QuerySet[Message]:
    return case.messages.filter(direction=Direction.IN, message_id=message_id)[:1]


def _back(case: Case, note: Message) -> datetime:
    """When somebody may answer after a machine's note came just now; only so many notes without a day count."""
    if note.absent_until:
        return note.absent_until
    return follow_up_time(case) if _notes_since_our_last_mail(case) <= MAX_NOTES_WITHOUT_DAY else case.now


def _notes_since_our_last_mail(case: Case) -> int:
    notes = case.messages.filter(purpose=Purpose.MACHINE)
    ours = case.messages.filter(status=MessageStatus.SENT).order_by("sent_at").last()
    return notes.filter(created_at__gte=ours.created_at).count() if ours else notes.count()


def _store(case: Case, mail: ReceivedMail, absent_until: datetime | None) -> Message:
    fields = {name: value for name, value in vars(mail).items() if name != "files"}
    message = Message.objects.create(
        case=case,
        direction=Direction.IN,
        status=MessageStatus.RECEIVED,
        created_at=case.now,
        is_after_end=case.is_terminal,
        absent_until=absent_until,
        **{**fields, "cc": list(mail.cc)},
    )
    Attachment.objects.bulk_create(_attachments(case, message, mail.files))
    return message


def _attachments(case: Case, message: Message, files: Iterable[StoredFile]) -> list[Attachment]:
    return [
        Attachment(
            id=stored.id,
            message=message,
            name=stored.name,
            type=stored.type,
            declared_type=stored.declared_type,
            size=stored.size,
            sha256=stored.sha256,
            file=stored.path,
            is_inline=stored.is_inline,
            text=stored.text,
            note=stored.note,
            created_at=case.now,
        )
        for stored in files
    ]


def record_delivery_failure(case: Case, *, result_status: ResultStatus, reason: str) -> None:
    """A permanent bounce, a complaint or a rejection, reported after the send: the case ends, if it has not already.

    For a case you hold locked.
    """
    if not case.is_terminal:
        transitions.fail(case, result_status=result_status, reason=reason)


def clear_schedule(case: Case) -> None:
    """A follow-up is due while a reply waits to be evaluated: the reply decides. For a case you hold locked."""
    case.touch()
    case.next_action_at = None
    transitions.store(case)


def wait_until(case: Case, moment: datetime, *, actor: str = SYSTEM, reason: str = "") -> None:
    """Nothing to do before `moment`; what is unread has been taken into account. For a case you hold locked."""
    case.touch()
    transitions.mark_read(case)
    if case.input_requests.filter(status=RequestStatus.PENDING).exists():
        transitions.store(case)
    else:
        transitions.mark_used(case)
        transitions.run(case, next_action_at=moment)
    record(case, "case.waiting", actor=actor, until=moment.isoformat(), reason=reason)
