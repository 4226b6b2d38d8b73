"""Signatures by Standard Webhooks, and the secrets behind them, encrypted at rest.

A dump of the database gives no secret away: the key that encrypts them is derived from the first of
OFFLOAD_ENCRYPTION_KEYS, or from SECRET_KEY where there is none. After a change, the old key has to stay behind the new
one (or among SECRET_KEY_FALLBACKS) until `manage.py rotate_secrets` has run. See cases/encryption.py.
"""

import base64
import secrets
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import Q
from standardwebhooks import Webhook

from cases import encryption, work
from cases.models import Client
from webhooks.errors import SecretUnreadable
from webhooks.models import SigningSecret

PREFIX = "whsec_"
SECRET_BYTES = 32  # Standard Webhooks asks for 24 to 64
PURPOSE = "offload webhooks signing secrets"  # part of the key under which they are encrypted
OVERLAP = timedelta(hours=24)  # how long the old secret signs along after a rotation


def secrets_for(client: Client) -> list[str]:
    """The client's valid secrets, newest first; makes the first one where there is none. Raises SecretUnreadable."""
    return _valid(client) or [_first(client)]


def secrets_of(client_id: uuid.UUID, encrypted: Sequence[str]) -> list[str]:
    """As `secrets_for`, where the encrypted ones are at hand."""
    return [_decrypt(each) for each in encrypted] or [_first(Client.objects.get(pk=client_id))]


def new_secret(client: Client) -> str:
    """One more secret of the client, `whsec_…`, valid until a rotation; the rows keep it only encrypted."""
    secret = PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    encrypted = encryption.encrypt(secret, purpose=PURPOSE)
    SigningSecret.objects.create(client=client, encrypted=encrypted, created_at=work.now())
    return secret


def rotate(client: Client) -> str:
    """A new secret in place of the others, which sign along for 24 more hours so that the receiver can change over."""
    with work.transaction():
        Client.objects.select_for_update().get(pk=client.pk)
        now = work.now()
        client.signing_secrets.filter(retires_at__lte=now).delete()
        client.signing_secrets.filter(retires_at=None).update(retires_at=now + OVERLAP)
        return new_secret(client)


def reencrypt() -> int:
    """Encrypt every secret under the key that comes first now; how many. Raises SecretUnreadable, changing nothing."""
    with work.transaction():
        rows = list(SigningSecret.objects.select_for_update())
        for row in rows:
            row.encrypted = encryption.encrypt(_decrypt(row.encrypted), purpose=PURPOSE)
            row.save(update_fields=["encrypted"])
    return len(rows)


def rotated_lately(client: Client) -> bool:
    """Whether the last rotation's old secret still signs along: the receiver may just be changing over."""
    return client.signing_secrets.filter(retires_at__gt=work.now()).exists()


def headers(secrets_: list[str], event_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers of Standard Webhooks for an attempt at `at` (UTC), one signature for each secret."""
    signatures = [Webhook(secret).sign(event_id, at, body.decode()) for secret in secrets_]
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def readable(client: Client) -> int:
    """How many of the client's secrets are in use. Raises SecretUnreadable; makes none."""
    return len(_valid(client))


def _valid(client: Client) -> list[str]:
    in_use = client.signing_secrets.filter(Q(retires_at=None) | Q(retires_at__gt=work.now()))
    return [_decrypt(row.encrypted) for row in in_use]


def _first(client: Client) -> str:
    with work.transaction():
        Client.objects.select_for_update().get(pk=client.pk)  # two deliveries may be the first at once
        return next(iter(_valid(client)), None) or new_secret(client)


def _decrypt(encrypted: str) -> str:
    try:
        return encryption.decrypt(encrypted, purpose=PURPOSE)
    except encryption.Unreadable as error:
        raise SecretUnreadable("A signing secret was encrypted under a key that is not configured.") from error
