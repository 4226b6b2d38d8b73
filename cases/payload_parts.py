"""Parts that the API's answers and the webhooks' payloads have in common."""

from datetime import datetime
from typing import Any

from cases.models import Attachment, Case


def milliseconds(moment: datetime) -> int:
    """Unix time in milliseconds."""
    return round(moment.timestamp() * 1000)


def attachment_metadata(case: Case) -> list[dict[str, Any]]:
    """What clients see of the case's attachments, oldest first.

    Files that came when the case was over are kept for staff: nothing that clients see of a case changes after its end.
    """
    attachments = Attachment.objects.filter(message__case=case, message__is_after_end=False)
    return [metadata(attachment, case) for attachment in attachments.select_related("message")]


def metadata(attachment: Attachment, case: Case) -> dict[str, Any]:
    """What clients see of one attachment, its content apart."""
    return {
        "attachmentId": str(attachment.pk),
        "name": attachment.name,
        "size": attachment.size,
        "type": attachment.type,
        "messageId": attachment.message.message_id,
        "inboxId": case.our_address,
        "receivedAt": milliseconds(attachment.message.created_at),
    }
