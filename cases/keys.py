"""Replacing a client's key by a new one, without a moment in which neither is let in."""

import uuid
from datetime import datetime, timedelta

from cases import work
from cases.errors import CaseError
from cases.models import ApiKey, Client


class KeyNotReplaceable(CaseError):
    """The key lets nobody in any more, so there is nothing to change over from."""

    code, status, message = "KEY_NOT_USABLE", 409, "This key is not usable any more. Issue a new one instead."


class KeyIssuedAlready(CaseError):
    """The request has been made before: a key is shown once, not twice."""

    code, status = "KEY_ISSUED_ALREADY", 409
    message = "This form has issued its key already. A key is shown once, not twice."


def issue(
    client: Client, *, key_id: uuid.UUID, is_test: bool, name: str, scopes: list[str], expires_at: datetime | None
) -> tuple[ApiKey, str]:
    """A new key of this id: its row, and the key in clear. Raises KeyIssuedAlready for an id that is taken."""
    with work.transaction():
        Client.objects.select_for_update().get(pk=client.pk)  # of two such requests at once, the second waits
        if ApiKey.objects.filter(pk=key_id).exists():
            raise KeyIssuedAlready
        return ApiKey.issue(client, key_id=key_id, is_test=is_test, name=name, scopes=scopes, expires_at=expires_at)


def replace(key: ApiKey, *, old_valid_for: timedelta, key_id: uuid.UUID) -> tuple[ApiKey, str]:
    """A new key that may what this one may; this one is let in for so long, or until it would have ended anyway.

    The new one ends as long after this as the old one would have, counted from its own beginning; never, if that had no
    end. Raises KeyIssuedAlready, KeyNotReplaceable.
    """
    now = work.now()
    with work.transaction():
        Client.objects.select_for_update().get(pk=key.client_id)
        old = ApiKey.objects.select_related("client").get(pk=key.pk)
        if not old.is_usable(now):
            raise KeyNotReplaceable
        made = issue(
            old.client,
            key_id=key_id,
            is_test=old.is_test,
            name=old.name,
            scopes=old.scopes,
            expires_at=old.expires_at and now + (old.expires_at - old.created_at),
        )
        old.expires_at = min(now + old_valid_for, old.expires_at or now + old_valid_for)
        old.save(update_fields=["expires_at"])
    return made
