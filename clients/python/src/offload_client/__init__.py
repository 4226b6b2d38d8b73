"""The Offload API from Python: typed, sync and async, with retries and webhook verification."""

from offload_client.aio import AsyncClient
from offload_client.bodies import Counterparty, File, Goal, NewCase, SenderPersona
from offload_client.client import Client
from offload_client.errors import (
    AnswerMalformed,
    ApiError,
    ConnectionFailed,
    DownloadIncomplete,
    NotInTime,
    OffloadError,
    WebhookInvalid,
)
from offload_client.models import (
    Attachment,
    AttachmentDownload,
    Attempt,
    Case,
    CasePage,
    ClientSettings,
    Draft,
    DraftFile,
    Endpoint,
    InputRequest,
    MailedFile,
    Message,
    SandboxMail,
    SentEvent,
    SentEventPage,
    Source,
    TestOutcome,
    TimelineEvent,
)
from offload_client.retries import Retries
from offload_client.webhooks import WebhookEvent, verify_webhook

__all__ = [
    "AnswerMalformed",
    "ApiError",
    "AsyncClient",
    "Attachment",
    "AttachmentDownload",
    "Attempt",
    "Case",
    "CasePage",
    "Client",
    "ClientSettings",
    "ConnectionFailed",
    "Counterparty",
    "DownloadIncomplete",
    "Draft",
    "DraftFile",
    "Endpoint",
    "File",
    "Goal",
    "InputRequest",
    "MailedFile",
    "Message",
    "NewCase",
    "NotInTime",
    "OffloadError",
    "Retries",
    "SandboxMail",
    "SenderPersona",
    "SentEvent",
    "SentEventPage",
    "Source",
    "TestOutcome",
    "TimelineEvent",
    "WebhookEvent",
    "WebhookInvalid",
    "verify_webhook",
]
