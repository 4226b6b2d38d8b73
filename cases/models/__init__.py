from cases.models.cases import OPEN, TERMINAL, Case, Channel, ResultStatus, Status
from cases.models.chores import Chore
from cases.models.clients import ApiKey, Client, hash_key
from cases.models.correspondents import Admission, Correspondent
from cases.models.due import DueRow, due_index
from cases.models.events import Event
from cases.models.heartbeats import Heartbeat
from cases.models.idempotency import IdempotencyKey
from cases.models.input_requests import InputRequest, RequestStatus
from cases.models.messages import Attachment, Direction, Message, MessageStatus, Purpose

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
    "Direction",
    "DueRow",
    "Event",
    "Heartbeat",
    "IdempotencyKey",
    "InputRequest",
    "Message",
    "MessageStatus",
    "Purpose",
    "RequestStatus",
    "ResultStatus",
    "Status",
    "due_index",
    "hash_key",
]
