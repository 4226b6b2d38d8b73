"""Taking in what a door has stored: understand it, find its case, record what it means."""

import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from cases import correspondence, work
from cases.correspondence import ReceivedMail, StoredFile
from cases.models import Case, Purpose, ResultStatus
from outreach import reading
from outreach.agents import guard
from outreach.inbound import attachments
from outreach.inbound.absence import absent_until
from outreach.inbound.arrival import DoorError, EventKind, ProviderEvent
from outreach.inbound.classify import InboundKind
from outreach.inbound.content import InboundAttachment
from outreach.inbound.doors import open_payload
from outreach.inbound.mail import InboundMail
from outreach.inbound.matching import find_case, find_sent
from outreach.models import InboundPayload, PayloadState

Claim = work.Claim[InboundPayload]

TRY_AGAIN = timedelta(seconds=20)
TIME_TO_RECORD_SECONDS = 20.0  # of a step, kept free of reading
TRY_FOR = timedelta(minutes=10)  # a reply can be faster than the commit of the send that it answers

PURPOSES = {
    InboundKind.REPLY: Purpose.HUMAN,
    InboundKind.AUTO_REPLY: Purpose.MACHINE,
    InboundKind.DELAY: Purpose.MACHINE,
    InboundKind.SOFT_BOUNCE: Purpose.MACHINE,
    InboundKind.BOUNCE: Purpose.REPORT,
    InboundKind.COMPLAINT: Purpose.REPORT,
}
EVENT_ENDS = {
    EventKind.BOUNCED: (ResultStatus.BOUNCED, "The mail could not be delivered: {reason}"),
    EventKind.COMPLAINED: (ResultStatus.COMPLAINED, "The recipient reported the mail as unwanted."),
    EventKind.REJECTED: (ResultStatus.REJECTED, "The provider refused the mail: {reason}"),
}
ENDS = {InboundKind.BOUNCE: ResultStatus.BOUNCED, InboundKind.COMPLAINT: ResultStatus.COMPLAINED}


def accept(source: str, raw: bytes, dedupe_key: str, *, envelope: dict[str, Any] | None = None) -> bool:
    """Store what came in by a door; once this returns it is safe. False if it was there already.

    `envelope` is what the door knows of a mail besides its bytes: see doors.py.
    """
    with work.transaction():
        at = work.now()
        payload, is_new = InboundPayload.objects.get_or_create(
            source=source,
            dedupe_key=dedupe_key,
            defaults={"body": raw, "envelope": envelope or {}, "received_at": at, "due_at": at},
        )
        if is_new:
            work.wake_after_commit(payload)
    return is_new


def take_in(claimed: Claim) -> None:
    """One payload: its mail is recorded and the payload done in one transaction, so neither happens twice."""
    payload = claimed.read()
    work.let_go_of_connection()
    try:
        arrival = open_payload(payload, seconds=claimed.remaining() - TIME_TO_RECORD_SECONDS)
    except DoorError as error:
        if not error.permanent:
            raise
        give_up(claimed, str(error))
        return
    if arrival.event:
        _take_in_event(claimed, arrival.event)
    elif arrival.mail:
        _take_in_mail(claimed, payload, arrival.mail)
    else:
        _finish(claimed, arrival.note)


def _finish(claimed: Claim, note: str) -> None:
    with claimed.write() as payload:
        payload.state, payload.note = PayloadState.DONE, note
        _save(payload)


def _take_in_event(claimed: Claim, event: ProviderEvent) -> None:
    match = find_sent(event)
    if match.case is None:
        _keep_unmatched(claimed, match.why_not, may_come=match.may_come)
        return
    with claimed.write() as payload:
        if event.kind in EVENT_ENDS:
            result_status, sentence = EVENT_ENDS[event.kind]
            reason = sentence.format(reason=event.reason or "no reason given")
            correspondence.record_delivery_failure(match.case.pk, result_status=result_status, reason=reason)
        payload.state, payload.note = PayloadState.DONE, f"{event.kind} on case {match.case.pk}"
        _save(payload)


def _take_in_mail(claimed: Claim, payload: InboundPayload, mail: InboundMail) -> None:
    match = find_case(mail)
    if match.case is None:
        _keep_unmatched(claimed, match.why_not, may_come=match.may_come)
        return
    work.let_go_of_connection()
    files = read_files(claimed, mail, store_files(payload, mail))
    suspicions = _steering(mail, files)
    with claimed.write() as payload:
        _record(match.case, payload, mail, files, suspicions)
        payload.state, payload.note = PayloadState.DONE, f"{mail.kind} on case {match.case.pk}"
        _save(payload)


def _keep_unmatched(claimed: Claim, why: str, *, may_come: bool) -> None:
    with claimed.write() as payload:
        payload.note = why
        if may_come and payload.now - payload.received_at < TRY_FOR:
            payload.try_again_at = payload.now + TRY_AGAIN
        else:
            payload.state = PayloadState.UNMATCHED
        _save(payload)


def give_up(claimed: Claim, cause: str) -> None:
    """Hand the payload to staff; what it holds is kept."""
    with claimed.write() as payload:
        payload.state, payload.note = PayloadState.FAILED, cause
        _save(payload)


def _save(payload: InboundPayload) -> None:
    work.reschedule(payload)
    payload.save()


def _record(
    case: Case, payload: InboundPayload, mail: InboundMail, files: tuple[StoredFile, ...], suspicions: list[str]
) -> None:
    received = ReceivedMail(
        purpose=PURPOSES[mail.kind],
        message_id=mail.message_id or f"<{payload.pk}@missing.invalid>",
        from_address=mail.from_address,
        from_name=mail.from_name,
        to_address=next(iter(mail.to), ""),
        cc=mail.cc,
        subject=mail.subject,
        text=mail.reply_text,
        full_text=mail.text,
        html=mail.html,
        in_reply_to=" ".join(mail.in_reply_to),
        references=" ".join(mail.references),
        sent_by_them_at=mail.sent_at,
        files=files,
    )
    payload.message = correspondence.record_received(
        case.pk,
        received,
        absent_until=_back_at_work(case, mail, payload.now),
        suspicions=suspicions,
    )
    if mail.kind in ENDS:
        why = mail.report.diagnostic if mail.report else ""
        reason = {
            InboundKind.BOUNCE: f"The mail could not be delivered: {why or 'no reason given'}",
            InboundKind.COMPLAINT: "The recipient reported the mail as unwanted.",
        }[mail.kind]
        correspondence.record_delivery_failure(case.pk, result_status=ENDS[mail.kind], reason=reason)


def _steering(mail: InboundMail, files: tuple[StoredFile, ...]) -> list[str]:
    """In what ways the mail tries to steer a machine that reads it: in sight, hidden in its HTML, or in a file."""
    return guard.steering(
        "\n".join([mail.subject, mail.from_name, mail.text, mail.html, *(file.text for file in files)])
    )


def _back_at_work(case: Case, mail: InboundMail, now: datetime) -> datetime | None:
    """The first working hour of the day on which somebody says to be back."""
    if mail.kind != InboundKind.AUTO_REPLY:
        return None
    day = absent_until(f"{mail.subject}\n{mail.reply_text}", now.date())
    if day is None:
        return None
    return correspondence.working_time(case, datetime(day.year, day.month, day.day, tzinfo=now.tzinfo))


def store_files(payload: InboundPayload, mail: InboundMail) -> tuple[StoredFile, ...]:
    """Put the mail's files into the storage, under names that a repeated step finds again."""
    return tuple(_store_file(payload, number, found) for number, found in enumerate(mail.attachments))


def _store_file(payload: InboundPayload, number: int, found: InboundAttachment) -> StoredFile:
    identity = uuid.uuid5(payload.pk, str(number))
    path = f"attachments/{identity}"
    if default_storage.exists(path) and default_storage.size(path) != len(found.content):
        default_storage.delete(path)  # an earlier step was killed while it wrote
    if not default_storage.exists(path):
        path = default_storage.save(path, ContentFile(found.content))
    name = attachments.safe_name(found.name)
    return StoredFile(
        id=identity,
        path=path,
        name=name,
        type=attachments.sniff_type(found.content, name, found.declared_type),
        declared_type=found.declared_type[:150],
        size=len(found.content),
        sha256=attachments.digest(found.content),
        is_inline=found.inline,
    )


def read_files(claimed: Claim, mail: InboundMail, files: tuple[StoredFile, ...]) -> tuple[StoredFile, ...]:
    """The stored files of the mail with what could be read of each. What the step has no time for is noted as such."""
    return tuple(_read_file(claimed, found, file) for found, file in zip(mail.attachments, files, strict=True))


def _read_file(claimed: Claim, found: InboundAttachment, file: StoredFile) -> StoredFile:
    seconds = claimed.remaining() - TIME_TO_RECORD_SECONDS
    result = reading.read(found.content, file.type, file.name, seconds=seconds)
    return replace(file, text=result.text, note=result.note)
