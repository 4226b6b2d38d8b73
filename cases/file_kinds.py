"""What kind of thing a file is, for people, by the type that its bytes show."""

from django.db import models
from django.db.models import Q


class FileKind(models.TextChoices):
    PDF = "pdf", "PDF"
    IMAGE = "image", "Image"
    OFFICE = "office", "Office document"
    TEXT = "text", "Text"
    OTHER = "other", "Other"


PDF_TYPES = ("application/pdf", "application/x-pdf")
IMAGE_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")  # those that are shown
_OFFICE = (
    "application/vnd.openxmlformats-officedocument.",
    "application/vnd.oasis.opendocument.",
    "application/vnd.ms-",
)
_OFFICE_TYPES = ("application/msword", "application/rtf", "text/rtf", "application/x-ole-storage")
_TEXT_TYPES = ("application/json", "application/xml", "application/csv", "message/rfc822")


def kind_of(type: str) -> FileKind:
    """The kind of a MIME type."""
    if type in PDF_TYPES:
        return FileKind.PDF
    if type.startswith("image/"):
        return FileKind.IMAGE
    if type in _OFFICE_TYPES or type.startswith(_OFFICE):
        return FileKind.OFFICE
    return FileKind.TEXT if type.startswith("text/") or type in _TEXT_TYPES else FileKind.OTHER


def of_kind(kind: FileKind) -> Q:
    """The same as a condition on rows with a field `type`."""
    office = Q(type__in=_OFFICE_TYPES)
    for prefix in _OFFICE:
        office |= Q(type__startswith=prefix)
    conditions = {
        FileKind.PDF: Q(type__in=PDF_TYPES),
        FileKind.IMAGE: Q(type__startswith="image/"),
        FileKind.OFFICE: office,
        FileKind.TEXT: (Q(type__startswith="text/") | Q(type__in=_TEXT_TYPES)) & ~office,
    }
    if kind in conditions:
        return conditions[kind]
    known = conditions[FileKind.PDF] | conditions[FileKind.IMAGE] | office | conditions[FileKind.TEXT]
    return ~known


def can_be_shown(type: str) -> bool:
    """Whether pictures can be drawn of it (settings.OFFLOAD_FILE_PREVIEW). SVG and HTML never are."""
    return type in IMAGE_TYPES or type in PDF_TYPES
