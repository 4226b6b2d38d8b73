"""What pages that show files need in templates."""

import re

from django import template

from cases import previews
from cases.file_kinds import kind_of
from cases.models import Attachment

register = template.Library()


@register.filter
def kind_of_file(file: Attachment) -> str:
    """Its kind in words."""
    return str(kind_of(file.type).label)


@register.filter
def in_words(note: str) -> str:
    """What is said of a file that can't be read or shown, without the name of the error at its end."""
    return re.sub(r"(?<=damaged) \(\w+\)$", "", note)


@register.filter
def picture_of(file: Attachment) -> str:
    """The address of a small picture of it, or of the icon of its kind."""
    return previews.picture_of(file)


@register.filter
def was_sent_as_another(file: Attachment) -> bool:
    """Whether its sender said that it is of another type than its bytes show."""
    declared = file.declared_type.partition(";")[0].strip().lower()
    return declared not in ("", "application/octet-stream", file.type.lower())
