"""Mail as it came or went, byte for byte, where another room has kept it (settings.OFFLOAD_MAIL_ORIGINALS)."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Protocol, cast

from django.conf import settings
from django.utils.module_loading import import_string

from cases.models import Message


@dataclass(frozen=True)
class Original:
    """The bytes, and how the file's name ends: `eml` for a mail, `json` for a provider's own wrapping of one."""

    content: bytes
    ending: str


class Originals(Protocol):
    def kept(self, messages: Collection[Message]) -> set[uuid.UUID]:
        """Ids of those messages of which the original is kept."""

    def read(self, message: Message) -> Original | None:
        """The original of one; None where it is not kept."""


@cache
def originals() -> Originals:
    """Where they are. Raises ImportError on a wrong path."""
    return cast(Originals, import_string(settings.OFFLOAD_MAIL_ORIGINALS))
