"""The Offload API from Python: typed, sync and async, with retries and webhook verification."""

from offload_client.aio import AsyncClient
from offload_client.bodies import Counterparty, Goal, NewCase, SenderPersona
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
    Case,
    CasePage,
    InputRequest,
    SandboxMail,
    Source,
)
from offload_client.retries import Retries
from offload_client.webhooks import WebhookEvent, verify_webhook

__all__ = [
    "AnswerMalformed",
    "ApiError",
    "AsyncClient",
    "Attachment",
    "AttachmentDownload",
    "Case",
    "CasePage",
    "Client",
    "ConnectionFailed",
    "Counterparty",
    "DownloadIncomplete",
    "Goal",
    "InputRequest",
    "NewCase",
    "NotInTime",
    "OffloadError",
    "Retries",
    "SandboxMail",
    "SenderPersona",
    "Source",
    "WebhookEvent",
    "WebhookInvalid",
    "verify_webhook",
]
