"""The read phase of a step: a case as it stands, with all that the step needs."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Self
from uuid import UUID

from django.core.files.storage import default_storage
from django.db.models import QuerySet

from cases import drafts, work
from cases.enclosures import given_along
from cases.models import (
    Attachment,
    Case,
    Direction,
    Draft,
    Enclosure,
    InputRequest,
    Message,
    MessageStatus,
    Purpose,
    RequestStatus,
    Status,
)
from cases.prepared import Prepared
from cases.time_travel import Skipped
from outreach import reading
from outreach.agents.base import Answer, CaseView, File, Mail, Rejection

MOST_PICTURES = 8  # of a case that an agent is shown, those of the newest mail first
_SHOWN = (MessageStatus.SENT, MessageStatus.RECEIVED, MessageStatus.UNKNOWN)


@dataclass(frozen=True)
class Situation:
    """A case, its mail in order, its questions, and the time by which to judge what is due."""

    case: Case
    messages: tuple[Message, ...]
    questions: tuple[InputRequest, ...]  # oldest first
    now: datetime
    rejected: tuple[Draft, ...] = ()  # the drafts that people have just rejected, oldest first
    earlier: tuple[Message, ...] = ()  # of the cases that it continues
    earlier_questions: tuple[InputRequest, ...] = ()  # likewise

    @classmethod
    def read(cls, claimed: work.Claim[Case]) -> Self:
        """The situation of the claimed case. Its time is that of the first look: what comes in after it is not due."""
        case = claimed.read()
        return cls.of(case, now=case.now)

    @classmethod
    def of(cls, case: Case, *, now: datetime | None = None) -> Self:
        return cls(
            case,
            tuple(_mail_of(case)),
            tuple(_questions_of(case)),
            now or work.now(),
            rejected=tuple(drafts.rejected(case)),
            earlier=tuple(message for one in case.earlier for message in _mail_of(one)),
            earlier_questions=tuple(asked for one in case.earlier for asked in _questions_of(one)),
        )

    @property
    def is_open(self) -> bool:
        return not self.case.is_terminal

    @property
    def has_queued(self) -> bool:
        return any(message.status == MessageStatus.QUEUED for message in self.messages)

    @property
    def has_outdated_draft(self) -> bool:
        """Whether a draft waits although the case has moved on."""
        drafted = (message for message in self.messages if message.status == MessageStatus.DRAFT)
        return any(draft.case_version != self.case.version for draft in drafted)

    @property
    def is_sending(self) -> bool:
        """Whether the send of a mail has begun, so that it may be out there already."""
        return any(message.status == MessageStatus.QUEUED and message.send_started_at for message in self.messages)

    @property
    def question_is_overdue(self) -> bool:
        overdue_at = self.case.input_overdue_at
        return self.case.status == Status.INPUT_NEEDED and overdue_at is not None and overdue_at <= self.now

    @property
    def is_paused(self) -> bool:
        return self.case.paused_at is not None

    @property
    def is_too_late(self) -> bool:
        """Whether the deadline has passed and nothing is left that came in before it and can be looked at."""
        has_passed = self.case.deadline_at is not None and self.case.deadline_at <= self.now
        return has_passed and self._has_nothing_to_look_at

    @property
    def is_unanswered_for_too_long(self) -> bool:
        """Whether the client would rather have the case fail than wait any longer, and nothing else has come in."""
        return self.case.fails_unanswered and self.question_is_overdue and self._has_nothing_to_look_at

    @property
    def _has_nothing_to_look_at(self) -> bool:
        return self.is_held_up or not (self.unread or self.has_new_answer)

    @property
    def unread(self) -> list[Message]:
        """A person's mail that nothing has taken into account yet, oldest first."""
        return [
            message
            for message in self.messages
            if message.direction == Direction.IN and message.purpose == Purpose.HUMAN and message.read_at is None
        ]

    @property
    def has_heard(self) -> bool:
        """Whether a person has written on this case, even before anything was sent: a reopened one begins so."""
        return any(message.direction == Direction.IN and message.purpose == Purpose.HUMAN for message in self.messages)

    @property
    def has_settled(self) -> bool:
        """Whether the unread mail has waited long enough for a correction to join it."""
        unread, settle = self.unread, self.case.settle
        if not unread:
            return False
        return min(unread[-1].created_at + settle, unread[0].created_at + 5 * settle) <= self.now

    @property
    def is_held_up(self) -> bool:
        """Whether the service itself asks what to do: what has come in waits until somebody says."""
        return any(asked.is_operational and asked.status == RequestStatus.PENDING for asked in self.questions)

    @property
    def has_new_answer(self) -> bool:
        return any(asked.status == RequestStatus.RESOLVED and asked.used_at is None for asked in self.questions)

    @property
    def has_thanked(self) -> bool:
        """Whether the counterparty has been thanked, although the case went on, or a person would not have it."""
        thanks = [message for message in self.messages if message.completion is not None]
        return any(message.status != MessageStatus.DROPPED or message.rejection for message in thanks)

    @property
    def follow_up_is_due(self) -> bool:
        next_action_at = self.case.next_action_at
        return self.case.status == Status.RUNNING and next_action_at is not None and next_action_at <= self.now

    def answered_since(self, reason: str, length: timedelta | None = None) -> int:
        """How often a human has let the case go on after being asked for this reason, within the last `length`."""
        return sum(
            asked.reason == reason
            and asked.resolved_at is not None
            and (length is None or self._age(asked.resolved_at) < length)
            for asked in self.questions
            if asked.status == RequestStatus.RESOLVED
        )

    @property
    def sent_within_an_hour(self) -> int:
        an_hour = timedelta(hours=1)
        return sum(1 for message in self.messages if message.sent_at and self._age(message.sent_at) < an_hour)

    def _age(self, moment: datetime) -> timedelta:
        return self._skipped.age(moment, self.now)

    @cached_property
    def _skipped(self) -> Skipped:
        return Skipped.of(self.case)

    def view(self, *, with_images: bool = False) -> CaseView:
        """What the agent may see: not the metadata, not what was never sent. Images are read from the storage."""
        case = self.case
        pictures = self._pictures() if with_images else {}
        pending = [asked.question for asked in self.questions if asked.status == RequestStatus.PENDING]
        return CaseView(
            id=str(case.pk),
            goal=case.goal,
            counterparty=case.counterparty,
            persona=case.sender_persona,
            constraints=tuple(case.constraints or ()),
            result_schema=case.result_schema,
            thread=tuple(self._mail(message, pictures) for message in self._thread if _is_shown(message)),
            answers=(
                *(_answer(asked, used=True) for asked in self.earlier_questions if _is_answered(asked)),
                *(_answer(asked, used=asked.used_at is not None) for asked in self.questions if _is_answered(asked)),
            ),
            rejections=tuple(Rejection(draft.subject, draft.text, draft.rejection) for draft in self.rejected),
            open_question=pending[0] if pending else None,
            language=case.language,
            deadline=case.deadline_at,
            now=self.now,
            enclosed=tuple(
                File(str(file.pk), file.name, file.type, file.size, file.text, file.note) for file in self.enclosed
            ),
        )

    @cached_property
    def enclosed(self) -> list[Enclosure]:
        """What the first mail will carry; once it is sent, its files stand in the thread."""
        return [] if self.case.attempt_count else given_along(self.case)

    @property
    def _thread(self) -> tuple[Message, ...]:
        return *self.earlier, *self.messages

    def _pictures(self) -> dict[str, bytes]:
        """Pictures and scans by the id of their file, as many as may be shown."""
        found: dict[str, bytes] = {}
        for message in reversed(self.messages):
            is_theirs = message.direction == Direction.IN and message.purpose == Purpose.HUMAN
            for attachment in self._files[message.pk] if is_theirs else ():
                if len(found) == MOST_PICTURES:
                    return found
                if not _is_decoration(attachment) and _file(attachment).is_picture:
                    found |= _picture(attachment)
        return found

    @cached_property
    def _files(self) -> Mapping[UUID, list[Attachment]]:
        """The files of the thread's messages, by message."""
        files: dict[UUID, list[Attachment]] = defaultdict(list)
        for case in (*self.case.earlier, self.case) if self._thread else ():
            for attachment in _files_of(case.pk):
                files[attachment.message_id].append(attachment)
        return files

    def _mail(self, message: Message, pictures: dict[str, bytes]) -> Mail:
        return Mail(
            id=str(message.pk),
            from_us=message.direction == Direction.OUT,
            from_person=message.purpose == Purpose.HUMAN,
            unread=message.read_at is None,
            at=message.at,
            subject=message.subject,
            text=message.text,
            files=tuple(
                _file(file, pictures.get(str(file.pk), b""))
                for file in self._files[message.pk]
                if not _is_decoration(file)
            ),
            sender=message.from_name,
        )


@Prepared
def _mail_of(case: Case) -> QuerySet[Message]:
    return case.messages.all()


@Prepared
def _questions_of(case: Case) -> QuerySet[InputRequest]:
    return case.input_requests.order_by("requested_at", "id")


@Prepared
def _files_of(case: UUID) -> QuerySet[Attachment]:
    return Attachment.objects.filter(message__case=case)


def _is_answered(asked: InputRequest) -> bool:
    """Whether somebody has answered what the agent wanted to know."""
    return asked.status == RequestStatus.RESOLVED and not asked.is_operational


def _answer(asked: InputRequest, *, used: bool) -> Answer:
    return Answer(str(asked.pk), asked.question, asked.provided_context, used=used)


def _is_shown(message: Message) -> bool:
    return message.status in _SHOWN and message.purpose != Purpose.DELAY


def _picture(attachment: Attachment) -> dict[str, bytes]:
    """The picture by its file's id; empty where it is of a kind or size that can't be shown."""
    image = reading.image_of(_content(attachment), attachment.type)
    return {str(attachment.pk): image} if image else {}


def _file(attachment: Attachment, image: bytes = b"") -> File:
    return File(
        str(attachment.pk),
        attachment.name,
        attachment.type,
        attachment.size,
        text=attachment.text,
        note=attachment.note,
        image=image,
    )


def _is_decoration(attachment: Attachment) -> bool:
    """A picture that the mail's own HTML shows: logos and signatures, mostly."""
    return attachment.is_inline and attachment.type.startswith("image/")


def _content(attachment: Attachment) -> bytes:
    with default_storage.open(attachment.file.name or "") as file:
        content: bytes = file.read()
    return content
