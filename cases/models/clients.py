import hashlib
import secrets
import uuid
from collections.abc import Iterable
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
    # What its cases go by where they say nothing themselves.
    default_webhook_url = models.TextField(null=True, blank=True)
    settle_seconds = models.PositiveIntegerField(null=True, blank=True)  # null: OFFLOAD_SETTLE_SECONDS
    reminder_hours = models.PositiveIntegerField(null=True, blank=True)  # null: nobody is reminded of questions
    daily_send_limit = models.PositiveIntegerField(  # null: OFFLOAD_MAX_MAILS_PER_CLIENT_DAY; 0: no limit
        "mails a day", null=True, blank=True, help_text="Beyond it mails wait. Empty: what holds for all. 0: no limit."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Scope(models.TextChoices):
    """What a key may do besides reading its client's own cases; the words are the API's."""

    CASES = "cases", "Post, change and cancel cases"
    ANSWERS = "answers", "Answer questions"
    APPROVALS = "approvals", "Approve, edit and reject drafts"


def all_scopes() -> list[str]:
    """The default of a key."""
    return [str(scope) for scope in Scope]


class ApiKey(models.Model):
    """A client's key. Only its hash is kept; the key itself is shown once, when it is issued."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="keys")
    name = models.CharField(max_length=100, blank=True)
    prefix = models.CharField(max_length=20, editable=False)  # enough to recognise the key by, too little to use it
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    is_test = models.BooleanField(default=False)  # its cases always use the sandbox
    scopes = models.JSONField(default=all_scopes, blank=True)  # list of Scope
    is_active = models.BooleanField(default=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)  # to a minute or so; null: never
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"{self.prefix}…"

    @classmethod
    def issue(
        cls,
        client: Client,
        *,
        is_test: bool = False,
        name: str = "",
        scopes: Iterable[str] = tuple(Scope),
        key_id: uuid.UUID | None = None,
        expires_at: datetime | None = None,
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
            scopes=[str(scope) for scope in Scope if scope in set(scopes)],
            expires_at=expires_at,
        )
        return row, key

    def may(self, scope: Scope) -> bool:
        """Whether the key was issued for that too."""
        return scope in self.scopes

    def is_usable(self, at: datetime) -> bool:
        """Whether a request with this key is let in at that moment."""
        expired = self.expires_at is not None and self.expires_at <= at
        return self.is_active and self.client.is_active and self.revoked_at is None and not expired


def hash_key(key: str) -> str:
    """SHA-256 of the key in hex. A key is 32 random bytes, so it needs neither salt nor a slow hash."""
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()
