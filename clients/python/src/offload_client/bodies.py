"""What is sent with a request. Inside of objects names are the API's own: a case shows them as they were sent."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, Required, TypedDict

Channel = Literal["EMAIL", "SMS"]


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
    client_webhook_url: str
    metadata: Mapping[str, Any]


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


class SandboxAttachment(TypedDict):
    name: str
    type: str  # MIME type
    content: bytes
