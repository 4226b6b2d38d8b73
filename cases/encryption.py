"""Secrets that stand in the database encrypted, so that a dump gives none away.

The key is derived from the first of OFFLOAD_ENCRYPTION_KEYS, or from SECRET_KEY where there is none; what was
encrypted under a later one of the list, or one of SECRET_KEY_FALLBACKS, is still read. `manage.py rotate_secrets` moves
all to the first.
"""

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class Unreadable(Exception):
    """It was encrypted under a key that is not configured. Helps: the old key behind the new one."""


def encrypt(secret: str, *, purpose: str) -> str:
    """A Fernet token under the first key. `purpose` keeps secrets of one kind from being taken for another."""
    return _cipher(purpose).encrypt(secret.encode()).decode()


def decrypt(token: str, *, purpose: str) -> str:
    """The secret. Raises Unreadable."""
    try:
        return _cipher(purpose).decrypt(token).decode()
    except InvalidToken as error:
        raise Unreadable("A secret was encrypted under a key that is not configured.") from error


def _cipher(purpose: str) -> MultiFernet:
    keys = (*settings.OFFLOAD_ENCRYPTION_KEYS, settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return _cipher_of(purpose, *keys)


@lru_cache(maxsize=8)
def _cipher_of(purpose: str, *keys: str) -> MultiFernet:
    """Encrypts under the first key, decrypts under any."""
    return MultiFernet([Fernet(base64.urlsafe_b64encode(_derive(key, purpose))) for key in keys])


def _derive(key: str, purpose: str) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=purpose.encode()).derive(key.encode())
