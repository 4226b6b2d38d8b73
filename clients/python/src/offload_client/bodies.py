"""What is sent with a request. Inside of objects names are the API's own: a case shows them as they were sent."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Required, TypedDict

Channel = Literal["EMAIL", "SMS"]
InputTimeoutAction = Literal["wait", "fail"]
ReviewMode = Literal["none", "first", "all"]


class Goal(TypedDict, total=False):
    objective: Required[str]
    knowledge: str | Mapping[str, Any]


class Counterparty(TypedDict, total=False):
    address: Required[str]
    name: Required[str]
    company: str
    timezone: str  # IANA name
    customData: Mapping[str, str]


class SenderPersona(TypedDict, total=False):
    name: Required[str]
    role: str
    company: str
    tone: str


class File(TypedDict):
    name: str
    type: str  # MIME type
    content: bytes


class NewCase(TypedDict, total=False):
    """The arguments of `create_case`. What is left out is not sent, and has the API's default."""

    channel: Channel  # EMAIL unless given
    goal: Required[Goal]
    counterparty: Required[Counterparty]
    sender_persona: Required[SenderPersona]
    client_reference_id: str
    constraints: list[str]
    language: str  # BCP 47
    max_attempts: int
    follow_up_delay_hours: int
    result_schema: Mapping[str, Any]
    deadline_at: datetime  # aware
    input_timeout_hours: int
    input_timeout_action: InputTimeoutAction
    client_webhook_url: str
    metadata: Mapping[str, Any]
    attachments: Sequence[File]  # of the first mail
    review_mode: ReviewMode  # which mails wait as drafts


class GoalChange(TypedDict, total=False):
    knowledge: str | Mapping[str, Any]


class CounterpartyChange(TypedDict, total=False):
    address: str  # as long as nothing has been sent


class CaseChange(TypedDict, total=False):
    """The arguments of `change_case`: what is left out stays."""

    goal: GoalChange
    counterparty: CounterpartyChange
    constraints: list[str]
    follow_up_delay_hours: int
    deadline_at: datetime  # aware
    input_timeout_hours: int
    input_timeout_action: InputTimeoutAction
    client_webhook_url: str


class GoalAnew(TypedDict, total=False):
    objective: str
    knowledge: str | Mapping[str, Any]


class Reopening(TypedDict, total=False):
    """The arguments of `reopen`: what the new case goes by instead of what the old one did."""

    goal: GoalAnew
    constraints: list[str]


class SettingsChange(TypedDict, total=False):
    """The arguments of `change_client_settings`: what is left out stays, None switches off."""

    default_webhook_url: str | None
    settle_seconds: int | None
    reminder_hours: int | None
    event_types: list[str]


class CaseFilters(TypedDict, total=False):
    """The filters of `list_cases`; datetimes are aware."""

    status: str
    client_reference_id: str
    created_after: datetime
    created_before: datetime
    limit: int  # of a page
    cursor: str


class EventFilters(TypedDict, total=False):
    """The filters of `list_events`."""

    type: str
    state: str
    case_id: str
    limit: int  # of a page
    cursor: str
