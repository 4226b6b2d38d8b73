"""Links under which an attachment can be downloaded without a key, for 15 minutes."""

import logging
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.core import signing
from django.core.files.storage import FileSystemStorage, InMemoryStorage
from django.http import FileResponse, Http404
from django.urls import reverse
from django.utils.http import content_disposition_header
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from cases.models import Attachment

logger = logging.getLogger(__name__)

LIFETIME = timedelta(minutes=15)
OPAQUE = "application/octet-stream"  # whatever it is, no browser shows it as a page of ours
_signer = signing.TimestampSigner(salt="cases.downloads")


def link(attachment: Attachment) -> dict[str, str]:
    """`downloadUrl` and `expiresAt` (ISO 8601 in UTC) for whoever may see the attachment."""
    expires_at = datetime.now(UTC).replace(microsecond=0) + LIFETIME
    return {"downloadUrl": _url(attachment), "expiresAt": f"{expires_at:%Y-%m-%dT%H:%M:%SZ}"}


def _url(attachment: Attachment) -> str:
    if url := presigned(attachment):
        return url
    path = reverse("download", args=[_signer.sign(str(attachment.pk))])
    return f"{settings.OFFLOAD_BASE_URL}{path}"  # not the Host header's, which may be an inner name, or a forger's


def presigned(attachment: Attachment) -> str | None:
    """The storage's own link to the file, good for LIFETIME and for saving only; None where it has no links."""
    storage: Any = attachment.file.storage
    if isinstance(storage, FileSystemStorage | InMemoryStorage):
        return None
    disposition = content_disposition_header(True, file_name(attachment))
    parameters = {"ResponseContentDisposition": disposition, "ResponseContentType": OPAQUE}
    return str(storage.url(attachment.file.name, parameters=parameters, expire=int(LIFETIME.total_seconds())))


def file_name(attachment: Attachment) -> str:
    """The attachment's name as that of a file: no path, no control or direction characters, never empty."""
    name = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069/\\]", "_", attachment.name).strip(". ")
    return name or "attachment"


@extend_schema(exclude=True)  # its address is opaque: clients get it in downloadUrl
class DownloadView(APIView):
    """The file behind a link that has not expired; anything else is 404 NOT_FOUND."""

    authentication_classes = ()
    permission_classes = ()

    def get(self, request: Request, token: str) -> FileResponse:
        try:
            pk = uuid.UUID(_signer.unsign(token, max_age=LIFETIME))
            attachment = Attachment.objects.get(pk=pk)
            content = attachment.file.open("rb")
        except (signing.BadSignature, Attachment.DoesNotExist) as error:
            raise Http404 from error
        except FileNotFoundError as error:
            logger.error("the file of attachment %s is not in the storage", pk)
            raise Http404 from error
        return FileResponse(
            content,
            as_attachment=True,
            filename=file_name(attachment),
            content_type=OPAQUE,
            headers={
                "Cache-Control": "private, no-store",
                "Content-Security-Policy": "sandbox; default-src 'none'",
                "X-Content-Type-Options": "nosniff",
            },
        )
