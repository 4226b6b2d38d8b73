"""What the API answers, as frozen dataclasses.

Names are the API's in Python's spelling (`caseId` is `case_id`), Unix milliseconds are aware datetimes in UTC. Fields
that the API leaves out are None. Fields that a later version of the service adds are ignored; they stand in `raw`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from offload_client.bodies import Counterparty, Goal, SenderPersona
from offload_client.errors import AnswerMalformed

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOTHING_SCHEDULED = 253402300799999


def moment(milliseconds: int) -> datetime:
    """Unix milliseconds as an aware datetime in UTC."""
    return EPOCH + timedelta(milliseconds=milliseconds)


def schedule(milliseconds: int) -> datetime | None:
    """The same, but None for the value by which the API says that nothing is scheduled."""
    return None if milliseconds == NOTHING_SCHEDULED else moment(milliseconds)


def camel(name: str) -> str:
    """`case_id` as `caseId`."""
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def read(convert: Callable[[Any], Any], **options: Any) -> Any:
    """A dataclass field whose JSON value is converted, unless it is null. `name` is its JSON name, if another one."""
    name = options.pop("name", None)
    return field(metadata={"convert": convert, "name": name}, **options)


def each(model: type["Model"]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """A converter for a list of that model."""
    return lambda items: tuple(model.from_json(item) for item in items)


@dataclass(frozen=True, kw_only=True)
class Model:
    """Something that came as a JSON object, which is kept in `raw`."""

    raw: Mapping[str, Any] = field(repr=False, compare=False)

    @classmethod
    def json_names(cls) -> dict[str, str]:
        """Attribute to JSON name."""
        return {
            each_field.name: each_field.metadata.get("name") or camel(each_field.name)
            for each_field in fields(cls)
            if each_field.name != "raw"
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The model. Raises AnswerMalformed where a field is missing that is always there."""
        given = {}
        optional = {each_field.name for each_field in fields(cls) if each_field.default is not MISSING}
        converters = {each_field.name: each_field.metadata.get("convert") for each_field in fields(cls)}
        for name, json_name in cls.json_names().items():
            if json_name in data:
                value, convert = data[json_name], converters[name]
                given[name] = value if convert is None or value is None else convert(value)
            elif name not in optional:
                raise AnswerMalformed(f"{cls.__name__} has come without {json_name}")
        return cls(raw=data, **given)


@dataclass(frozen=True, kw_only=True)
class Attachment(Model):
    attachment_id: str
    name: str
    size: int  # bytes
    type: str  # MIME type
    message_id: str
    inbox_id: str
    received_at: datetime = read(moment)


@dataclass(frozen=True, kw_only=True)
class AttachmentDownload(Attachment):
    download_url: str  # needs no key
    expires_at: datetime = read(datetime.fromisoformat)


@dataclass(frozen=True, kw_only=True)
class InputRequest(Model):
    """A question that a human must answer; `status` is PENDING or RESOLVED. Any words answer it, whatever it offers."""

    id: str
    question: str
    status: str
    requested_at: datetime = read(moment)
    options: list[str] | None = None
    answer_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Source(Model):
    """Where a value of a result comes from: `path` is a JSON Pointer into it."""

    path: str
    source_id: str
    quote: str


@dataclass(frozen=True, kw_only=True)
class DraftFile(Model):
    name: str
    size: int  # bytes
    type: str  # MIME type
    sha256: str  # in hex


@dataclass(frozen=True, kw_only=True)
class Draft(Model):
    """A mail that waits to be approved; `hash` is of all that an approval is about."""

    id: str
    purpose: str
    to: str
    subject: str
    body: str
    attachments: tuple[DraftFile, ...] = read(each(DraftFile))
    hash: str
    created_at: datetime = read(moment)


@dataclass(frozen=True, kw_only=True)
class Case(Model):
    """A case as it stands. `has_result` tells a result that is null from none."""

    case_id: str
    status: str
    created_at: datetime = read(moment)
    updated_at: datetime = read(moment)
    next_action_at: datetime | None = read(schedule)
    attempt_count: int
    max_attempts: int
    channel: str
    counterparty: Counterparty
    attachments: tuple[Attachment, ...] = read(each(Attachment))
    goal: Goal
    sender_persona: SenderPersona
    input_request: InputRequest | None = read(InputRequest.from_json)
    client_reference_id: str | None = None
    result_status: str | None = None
    result: Any = None
    result_schema: Mapping[str, Any] | None = None
    constraints: list[str] | None = None
    language: str | None = None
    deadline_at: datetime | None = read(moment, default=None)
    input_timeout_hours: int | None = None
    input_timeout_action: str | None = None
    paused: bool = False
    review_mode: str | None = None
    draft: Draft | None = read(Draft.from_json, default=None)
    reopened_from: str | None = None
    reopened_as: str | None = None
    conversation_thread: str | None = None
    sources: tuple[Source, ...] | None = read(each(Source), default=None)

    @property
    def has_result(self) -> bool:
        return "result" in self.raw

    @property
    def is_finished(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in {"COMPLETED", "FAILED"}

    @property
    def open_question(self) -> InputRequest | None:
        """The question that the case waits on, if it does."""
        question = self.input_request
        return question if question and question.status == "PENDING" else None


@dataclass(frozen=True, kw_only=True)
class CasePage(Model):
    cases: tuple[Case, ...] = read(each(Case))
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class Message(Model):
    """A mail of the thread; `direction` is OUTBOUND or INBOUND. `message_id` is the mail's own (RFC 5322)."""

    id: str
    message_id: str
    direction: str
    purpose: str
    sender: str = read(str, name="from")
    from_name: str
    to: str
    cc: list[str]
    subject: str
    text: str
    attachments: tuple[Attachment, ...] = read(each(Attachment))
    sent_at: datetime | None = read(moment, default=None)
    received_at: datetime | None = read(moment, default=None)


@dataclass(frozen=True, kw_only=True)
class MessagePage(Model):
    messages: tuple[Message, ...] = read(each(Message))
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class TimelineEvent(Model):
    type: str
    at: datetime = read(moment)
    actor: str
    data: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class TimelinePage(Model):
    events: tuple[TimelineEvent, ...] = read(each(TimelineEvent))
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class Attempt(Model):
    number: int
    started_at: datetime = read(moment)
    duration_ms: int
    status: int | None
    error: str
    response_body: str


@dataclass(frozen=True, kw_only=True)
class SentEvent(Model):
    """A webhook as the service keeps it; `attempts` are there where one case's events are asked for."""

    event_id: str
    event_type: str
    case_id: str
    state: str
    url: str
    attempt_count: int
    created_at: datetime = read(moment)
    next_attempt_at: datetime | None = read(moment)
    delivered_at: datetime | None = read(moment, default=None)
    attempts: tuple[Attempt, ...] | None = read(each(Attempt), default=None)


@dataclass(frozen=True, kw_only=True)
class SentEventPage(Model):
    events: tuple[SentEvent, ...] = read(each(SentEvent))
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class Endpoint(Model):
    """Where webhooks go; `health` is OK, FAILING or PARKED."""

    origin: str
    health: str
    consecutive_failures: int
    failing_since: datetime | None = read(moment, default=None)
    last_success_at: datetime | None = read(moment, default=None)
    last_failure_at: datetime | None = read(moment, default=None)
    parked_at: datetime | None = read(moment, default=None)
    parked_reason: str | None = None
    parked_event_count: int


@dataclass(frozen=True, kw_only=True)
class TestOutcome(Model):
    """What an endpoint said to a test."""

    __test__ = False  # whatever pytest makes of its name

    event_id: str
    url: str
    delivered: bool
    status: int | None
    duration_ms: int
    error: str
    response_body: str
    replayed_count: int


@dataclass(frozen=True, kw_only=True)
class ClientSettings(Model):
    """What goes for all cases of the client that the key belongs to. None: not set."""

    client_id: str
    name: str
    default_webhook_url: str | None
    settle_seconds: int | None
    reminder_hours: int | None
    event_types: list[str]


@dataclass(frozen=True, kw_only=True)
class MailedFile(Model):
    name: str
    size: int  # bytes
    type: str  # MIME type


@dataclass(frozen=True, kw_only=True)
class SandboxMail(Model):
    """A mail as the counterparty got it; `raw_mail` is what went over the wire (RFC 5322)."""

    message_id: str
    sender: str = read(str, name="from")
    to: str
    subject: str
    text: str
    sent_at: datetime = read(moment)
    attachments: tuple[MailedFile, ...] = read(each(MailedFile))
    raw_mail: str = read(str, name="raw")
