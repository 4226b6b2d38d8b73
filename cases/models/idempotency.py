import uuid
from typing import ClassVar

from django.db import models

from cases.models.clients import Client


class IdempotencyKey(models.Model):
    """The first answer to a request that its client may repeat. See cases/idempotency.py."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="idempotency_keys")
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)  # of the request: SHA-256 in hex
    status = models.PositiveSmallIntegerField()
    answer = models.JSONField()  # the data of the envelope
    created_at = models.DateTimeField()

    class Meta:
        ordering = ("-created_at",)
        constraints: ClassVar = [
            models.UniqueConstraint(name="idempotency_key_once_a_client", fields=["client", "key"]),
        ]
        indexes: ClassVar = [models.Index(fields=["created_at"], name="idempotency_key_age")]

    def __str__(self) -> str:
        return self.key
