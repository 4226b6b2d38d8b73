import hashlib
import json
from typing import ClassVar, Self

from django.db import models
from django.db.models import F

from cases.models.cases import TERMINAL, Case
from cases.models.messages import Message, MessageQuerySet, MessageStatus


class DraftQuerySet(MessageQuerySet):
    def waiting(self) -> Self:
        """Those that can be decided on: neither decided yet, nor outdated by what has happened to their case."""
        return self.filter(status=MessageStatus.DRAFT, case_version=F("case__version")).exclude(
            case__status__in=TERMINAL
        )


class DraftManager(models.Manager.from_queryset(DraftQuerySet)):  # type: ignore[misc]
    def get_queryset(self) -> DraftQuerySet:
        drafts: DraftQuerySet = super().get_queryset()
        return drafts.filter(drafted_at__isnull=False)


class Draft(Message):
    """A mail of ours that waits, or has waited, for a person's approval."""

    objects: ClassVar[DraftManager] = DraftManager()

    class Meta:
        proxy = True
        verbose_name = "draft"

    @property
    def hash(self) -> str:
        """SHA-256 in hex of all that an approval is about: recipient, subject, body and attachments."""
        files = sorted((file.name, file.sha256) for file in self.attachments.all())
        content = json.dumps([self.to_address, self.subject, self.text, files], ensure_ascii=False)
        return hashlib.sha256(content.encode(errors="surrogatepass")).hexdigest()

    def waits_on(self, case: Case) -> bool:
        """Whether it can be decided on, the case being as given."""
        return self.status == MessageStatus.DRAFT and self.case_version == case.version and not case.is_terminal
