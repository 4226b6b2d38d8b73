from cases.models.cases import (
    OPEN,
    TERMINAL,
    Case,
    Channel,
    InputTimeoutAction,
    ResultStatus,
    ReviewMode,
    Status,
)
from cases.models.chores import Chore
from cases.models.clients import ApiKey, Client, Scope, hash_key
from cases.models.correspondents import Admission, Correspondent
from cases.models.days import Day
from cases.models.drafts import Draft
from cases.models.due import DueRow, TurnIndex, due_index
from cases.models.events import Event
from cases.models.heartbeats import Heartbeat, Role
from cases.models.idempotency import IdempotencyKey
from cases.models.input_requests import InputRequest, RequestStatus
from cases.models.messages import Attachment, Direction, Enclosure, Message, MessageStatus, Purpose, Waits
from cases.models.saved_filters import SavedFilter

__all__ = [
    "OPEN",
    "TERMINAL",
    "Admission",
    "ApiKey",
    "Attachment",
    "Case",
    "Channel",
    "Chore",
    "Client",
    "Correspondent",
    "Day",
    "Direction",
    "Draft",
    "DueRow",
    "Enclosure",
    "Event",
    "Heartbeat",
    "IdempotencyKey",
    "InputRequest",
    "InputTimeoutAction",
    "Message",
    "MessageStatus",
    "Purpose",
    "RequestStatus",
    "ResultStatus",
    "ReviewMode",
    "Role",
    "SavedFilter",
    "Scope",
    "Status",
    "TurnIndex",
    "Waits",
    "due_index",
    "hash_key",
]
