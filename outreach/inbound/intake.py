"""Taking in what a door has stored: understand it, find its case, and record what it means if it may act on it."""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import IntegrityError
from django.db.models import QuerySet

from cases import correspondence, correspondents, log_context, work
from cases.correspondence import ReceivedMail, StoredFile
from cases.events import SYSTEM, record
from cases.models import Admission, Case, Message, Purpose
from cases.prepared import Prepared
from outreach import consequences, notices, reading
from outreach.agents import guard
from outreach.inbound import attachments, trust
from outreach.inbound.absence import absent_until
from outreach.inbound.addresses import canonical
from outreach.inbound.arrival import DoorError, Envelope, EventKind, ProviderEvent
from outreach.inbound.classify import InboundKind
from outreach.inbound.content import InboundAttachment
from outreach.inbound.doors import open_payload
from outreach.inbound.mail import InboundMail
from outreach.inbound.matching import Match, find_case, find_sent
from outreach.inbound.summary import candidates_of, summary_of
from outreach.inbound.trust import Newcomer
from outreach.models import InboundPayload, PayloadState

Claim = work.Claim[InboundPayload]

TRY_AGAIN = timedelta(seconds=20)
TIME_TO_RECORD_SECONDS = 20.0  # of a step, kept free of reading
MAX_JUDGED_ANEW = 50
TRY_FOR = timedelta(minutes=10)  # a reply can be faster than the commit of the send that it answers

# What came in, as the staff's list says it; the case stands beside it.
TAKEN_IN: Mapping[InboundKind, str] = {
    InboundKind.REPLY: "A reply",
    InboundKind.AUTO_REPLY: "An automatic reply",
    InboundKind.BOUNCE: "A report: a mail could not be delivered",
    InboundKind.SOFT_BOUNCE: "A report: a mail could not be delivered, perhaps for a while",
    InboundKind.DELAY: "A report: a mail is delayed",
    InboundKind.COMPLAINT: "A report: a mail was called unwanted",
}
REPORTED: Mapping[EventKind, str] = {
    EventKind.SENT: "The provider has sent a mail",
    EventKind.DELIVERED: "A mail was delivered",
    EventKind.DEFERRED: "A mail is delayed",
    EventKind.BOUNCED: "A mail could not be delivered",
    EventKind.SOFT_BOUNCED: "A mail could not be delivered, perhaps for a while",
    EventKind.COMPLAINED: "A mail was called unwanted",
    EventKind.REJECTED: "The provider has refused a mail",
    EventKind.OPENED: "A mail was opened",
}
NOT_CONCERNED = ", which it does not concern: it is about another mailbox, or an answer has to be judged first"

# What becomes of a payload; what has come in, which may be long, is never written again.
OUTCOME = (*InboundPayload.WORK_FIELDS, "state", "note", "summary", "case", "message", "try_again_at")

PURPOSES = {
    InboundKind.REPLY: Purpose.HUMAN,
    InboundKind.AUTO_REPLY: Purpose.MACHINE,
    InboundKind.DELAY: Purpose.DELAY,
    InboundKind.SOFT_BOUNCE: Purpose.DELAY,
    InboundKind.BOUNCE: Purpose.REPORT,
    InboundKind.COMPLAINT: Purpose.REPORT,
}


def accept(source: str, raw: bytes, dedupe_key: str, *, envelope: dict[str, Any] | None = None) -> bool:
    """Store what came in by a door; once this returns it is safe. False if it was there already.

    `envelope` is what the door knows of a mail besides its bytes: see doors.py.
    """
    if _known(source, dedupe_key):
        return False
    fields: dict[str, Any] = {"source": source, "dedupe_key": dedupe_key, "body": raw, "envelope": envelope or {}}
    try:
        with work.transaction():
            at = work.now()
            work.wake_after_commit(InboundPayload.objects.create(**fields, received_at=at, due_at=at))
    except IntegrityError:
        if _known(source, dedupe_key):  # it came by two ways at the same moment
            return False
        raise
    return True


@Prepared
def _known(source: str, dedupe_key: str) -> QuerySet[Any, Any]:
    return InboundPayload.objects.filter(source=source, dedupe_key=dedupe_key).order_by().values_list("pk")


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
        _take_in_mail(claimed, payload, arrival.mail, arrival.envelope)
    else:
        _finish(claimed, arrival.note)


def _finish(claimed: Claim, note: str) -> None:
    with claimed.write() as payload:
        payload.state, payload.note = PayloadState.DONE, note
        _save(payload)


def _take_in_event(claimed: Claim, event: ProviderEvent) -> None:
    match = find_sent(event)
    if match.case is None or match.sent is None:
        _keep_unmatched(claimed, match)
        return
    with claimed.write() as payload:
        did = _follow_event(event, match.case, match.sent)
        payload.state, payload.note = PayloadState.DONE, f"{REPORTED[event.kind]}{did}"
        _save(payload)


def _follow_event(event: ProviderEvent, case: Case, sent: Message) -> str:
    """What the event means for the case; returns a remark for staff where it means nothing although it might."""
    case = sent.case = Case.objects.locked(case.pk)
    failure = consequences.failure_in_event(event, sent)
    if failure is None:
        if event.kind in (EventKind.DELIVERED, EventKind.OPENED):
            correspondence.record_delivered(sent)
        return ""
    if not consequences.concerns(case, failure):
        return NOT_CONCERNED
    consequences.follow(case, failure)
    return ""


def _take_in_mail(claimed: Claim, payload: InboundPayload, mail: InboundMail, envelope: Envelope) -> None:
    if payload.decided_case:
        _let_act(claimed, payload, mail, payload.decided_case, _let_in_by_staff(payload, mail, payload.decided_case))
        return
    match = find_case(mail, envelope)
    if match.case is None:
        _keep_unmatched(claimed, match, mail)
        return
    judgement = trust.judge(mail, envelope, match.evidence, partial(trust.circle_of, match.case))
    if judgement.why_not:
        _quarantine(claimed, mail, match.case, judgement.why_not)
    else:
        _let_act(claimed, payload, mail, match.case, judgement.newcomers)


def _let_in_by_staff(payload: InboundPayload, mail: InboundMail, case: Case) -> tuple[Newcomer, ...]:
    sender = canonical(mail.from_address)
    if not payload.admits_sender or not mail.from_address or sender == canonical(case.counterparty_address):
        return ()
    return (Newcomer(sender, mail.from_name, Admission.STAFF),)


def _let_act(
    claimed: Claim, payload: InboundPayload, mail: InboundMail, case: Case, newcomers: tuple[Newcomer, ...]
) -> None:
    log_context.add(case_id=case.pk, client_id=case.client_id)
    if mail.attachments:  # to store and to read them takes time
        work.let_go_of_connection()
    files = read_files(claimed, mail, store_files(payload, mail))
    suspicions = _steering(mail, files)
    with claimed.write() as payload:
        kept_from_it = _quarantined_for(case)
        _admit(case, newcomers, actor=payload.decided_by or SYSTEM)
        _record(case, payload, mail, files, suspicions)
        payload.state, payload.note, payload.summary = PayloadState.DONE, TAKEN_IN[mail.kind], {}
        _save(payload)
        _judge_anew(kept_from_it, case)


def _quarantined_for(case: Case) -> list[InboundPayload]:
    """Locked, in one order and before the case, as everybody locks them."""
    locked = [InboundPayload.objects.locked(pk) for pk in _kept_from(case.pk)]
    return [payload for payload in locked if payload.state == PayloadState.QUARANTINED]


@Prepared
def _kept_from(case: uuid.UUID) -> QuerySet[Any, Any]:
    waiting = InboundPayload.objects.filter(case=case, state=PayloadState.QUARANTINED).order_by("pk")
    return waiting.values_list("pk", flat=True)[:MAX_JUDGED_ANEW]


def _judge_anew(payloads: list[InboundPayload], case: Case) -> None:
    """Mail of those who are known by now is due again: an answer can be faster than what introduces its sender."""
    circle = trust.circle_of(case) if payloads else None
    for payload in payloads:
        if circle and trust.knows(circle, payload.summary.get("from", ""), payload.summary.get("name", "")):
            payload.state = PayloadState.WAITING
            _save(payload)


def _admit(case: Case, newcomers: tuple[Newcomer, ...], *, actor: str) -> None:
    for one in newcomers:
        locked = Case.objects.locked(case.pk)
        correspondents.admit(locked, address=one.address, name=one.name, how=one.how, actor=actor)


def _quarantine(claimed: Claim, mail: InboundMail, case: Case, why: str) -> None:
    """Keep the mail from its case: nothing of the case changes, and only its timeline tells of it."""
    with claimed.write() as payload:
        is_told_of = payload.case_id == case.pk
        payload.state, payload.note, payload.case = PayloadState.QUARANTINED, why, case
        payload.summary = summary_of(mail)
        _save(payload)
        if not is_told_of:
            locked = Case.objects.locked(case.pk)
            record(locked, "mail.quarantined", payloadId=str(payload.pk), sender=mail.from_address, why=why)
            notices.tell_staff_of_mail(payload)


def _keep_unmatched(claimed: Claim, match: Match, mail: InboundMail | None = None) -> None:
    with claimed.write() as payload:
        payload.note = match.why_not
        payload.summary = {**summary_of(mail), **candidates_of(match)} if mail else {}
        if match.may_come and payload.now - payload.received_at < TRY_FOR:
            payload.try_again_at = payload.now + TRY_AGAIN
        else:
            payload.state = PayloadState.UNMATCHED
            if mail:  # an event about no mail of ours is nobody's loss
                notices.tell_staff_of_mail(payload)
        _save(payload)


def give_up(claimed: Claim, cause: str) -> None:
    """Hand the payload to staff; what it holds is kept."""
    with claimed.write() as payload:
        payload.state, payload.note = PayloadState.FAILED, cause
        _save(payload)
        notices.tell_staff_of_mail(payload, is_urgent=True)


def _save(payload: InboundPayload) -> None:
    work.reschedule(payload)
    payload.save(update_fields=OUTCOME)


def _record(
    case: Case, payload: InboundPayload, mail: InboundMail, files: tuple[StoredFile, ...], suspicions: list[str]
) -> None:
    case = Case.objects.locked(case.pk)
    failure = consequences.failure_in_mail(case, mail)
    is_ours = failure is not None and consequences.concerns(case, failure)
    received = ReceivedMail(
        # A report that does not concern the case changes nothing, like a delay notice.
        purpose=Purpose.DELAY if failure and not is_ours else PURPOSES[mail.kind],
        message_id=mail.message_id or f"<{payload.pk}@missing.invalid>",
        from_address=mail.from_address,
        from_name=mail.from_name,
        to_address=next(iter(mail.to), ""),
        cc=(*mail.to[1:], *mail.cc),
        subject=mail.subject,
        text=mail.reply_text,
        full_text=mail.text,
        html=mail.html,
        in_reply_to=" ".join(mail.in_reply_to),
        references=" ".join(mail.references),
        sent_by_them_at=mail.sent_at,
        files=files,
    )
    payload.message = correspondence.keep(
        case,
        received,
        absent_until=_back_at_work(case, mail, payload.now),
        suspicions=suspicions,
    )
    if failure and is_ours:
        consequences.follow(case, failure)


def _steering(mail: InboundMail, files: tuple[StoredFile, ...]) -> list[str]:
    """In what ways the mail tries to steer a machine that reads it: in sight, hidden in its HTML, or in a file."""
    return guard.steering(
        "\n".join([mail.subject, mail.from_name, mail.text, mail.html, *(file.text for file in files)])
    )


def _back_at_work(case: Case, mail: InboundMail, now: datetime) -> datetime | None:
    """The first working hour of the day on which somebody says to be back, a day where they are."""
    if mail.kind != InboundKind.AUTO_REPLY:
        return None
    zone = ZoneInfo(case.counterparty.get("timezone") or "UTC")
    day = absent_until(f"{mail.subject}\n{mail.reply_text}", now.astimezone(zone).date())
    if day is None:
        return None
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    return correspondence.working_time(case, midnight)


def store_files(payload: InboundPayload, mail: InboundMail) -> tuple[StoredFile, ...]:
    """Put the mail's files into the storage, under names that a repeated step finds again."""
    return tuple(_store_file(payload, number, found) for number, found in enumerate(mail.attachments))


def stored_at(payload_pk: uuid.UUID, number: int) -> str:
    """Where a file of a payload's mail lies in the storage."""
    return f"attachments/{uuid.uuid5(payload_pk, str(number))}"


def _store_file(payload: InboundPayload, number: int, found: InboundAttachment) -> StoredFile:
    identity, path = uuid.uuid5(payload.pk, str(number)), stored_at(payload.pk, number)
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
