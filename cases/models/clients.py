import hashlib
import secrets
import uuid
from datetime import datetime
from typing import Self

from django.db import models


class Client(models.Model):
    """An application that posts cases."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=200)
    is_active = models.BooleanField(default=True)
    # The inbox from which its live cases write; empty: the one that all share. `manage.py agentmail_setup` fills it in.
    agentmail_inbox = models.CharField(max_length=320, blank=True)
    # Of settings.OFFLOAD_OPTIONAL_EVENTS those that its webhooks tell of, besides the three that every client hears of.
    event_types = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class ApiKey(models.Model):
    """A client's key. Only its hash is kept; the key itself is shown once, when it is issued."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="keys")
    name = models.CharField(max_length=100, blank=True)
    prefix = models.CharField(max_length=20, editable=False)  # enough to recognise the key by, too little to use it
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    is_test = models.BooleanField(default=False)  # its cases always use the sandbox
    is_active = models.BooleanField(default=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"{self.prefix}…"

    @classmethod
    def issue(
        cls, client: Client, *, is_test: bool = False, name: str = "", key_id: uuid.UUID | None = None
    ) -> tuple[Self, str]:
        """A new key of the client, of this id; returns the row and the key in clear, which can't be had again."""
        key = f"offload_{'test' if is_test else 'live'}_{secrets.token_urlsafe(32)}"
        row = cls.objects.create(
            pk=key_id or uuid.uuid4(),
            client=client,
            name=name,
            prefix=key[:17],
            key_hash=hash_key(key),
            is_test=is_test,
        )
        return row, key

    def is_usable(self, at: datetime) -> bool:
        """Whether a request with this key is let in at that moment."""
        expired = self.expires_at is not None and self.expires_at <= at
        return self.is_active and self.client.is_active and self.revoked_at is None and not expired


def hash_key(key: str) -> str:
    """SHA-256 of the key in hex. A key is 32 random bytes, so it needs neither salt nor a slow hash."""
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()
