"""Pieces of a case in the words of the API, shared by its answers and the webhooks."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from cases.models import Attachment, Case

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def milliseconds(moment: datetime) -> int:
    """An aware moment as Unix milliseconds, cut, not rounded, as the database keeps them."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def attachment_metadata(case: Case) -> list[dict[str, Any]]:
    """What clients see of each received file, oldest first.

    Files of mail that came after the case's end are left out: nothing that clients see of it changes any more.
    """
    return attachments_of([case])[case.pk]


def attachments_of(cases: Sequence[Case]) -> dict[UUID, list[dict[str, Any]]]:
    """The same for several cases at once, by the case's id."""
    of_case: dict[UUID, list[dict[str, Any]]] = {case.pk: [] for case in cases}
    cases_by_id = {case.pk: case for case in cases}
    shown = Attachment.objects.shown(*cases).select_related("message")
    for attachment in shown.defer("text", "message__text", "message__full_text", "message__html"):
        case_id = attachment.message.case_id
        of_case[case_id].append(describe(attachment, cases_by_id[case_id]))
    return of_case


def describe(attachment: Attachment, case: Case) -> dict[str, Any]:
    """One file's metadata; `messageId` is the RFC 5322 Message-ID of the mail, `inboxId` our address it came to."""
    return {
        "attachmentId": str(attachment.pk),
        "name": attachment.name,
        "size": attachment.size,
        "type": attachment.type,
        "messageId": attachment.message.message_id,
        "inboxId": case.our_address,
        "receivedAt": milliseconds(attachment.message.created_at),
    }
