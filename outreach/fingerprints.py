"""What stands in place of an address that was erased, and still tells it again: a keyed hash.

The key is random, made once, and kept encrypted (cases/encryption.py): a dump of the database does not even allow to
guess addresses, and a change of the encryption keys leaves all fingerprints as they are. Without it nobody could be
recognised any more, so whoever asks is told of that by an error, never by "not on the list".
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable

from django.db.models import QuerySet

from cases import encryption, work
from cases.prepared import Prepared
from outreach.models import FingerprintKey

PREFIX = "erased:"
PURPOSE = "offload fingerprints of addresses"
KEY_BYTES = 32


def fingerprint(address: str) -> str:
    """Of an address in the spelling that is compared; makes the key where there is none yet. Raises Unreadable."""
    with work.transaction():
        row, _ = FingerprintKey.objects.get_or_create(pk=1, defaults=_new_key())
    return _of(address, row)


def known(addresses: Iterable[str]) -> set[str]:
    """The fingerprints under which these addresses may stand; none where nobody was ever erased. Raises Unreadable."""
    row = _key.first()
    return {_of(address, row) for address in addresses} if row else set()


@Prepared
def _key() -> QuerySet[FingerprintKey]:
    return FingerprintKey.objects.order_by("pk")[:1]


def reencrypt() -> int:
    """Encrypt the key under the one that comes first now; how many there are. Raises Unreadable, changing nothing."""
    with work.transaction():
        rows = list(FingerprintKey.objects.select_for_update())
        for row in rows:
            row.encrypted = encryption.encrypt(_key_in(row), purpose=PURPOSE)
            row.save(update_fields=["encrypted"])
    return len(rows)


def check() -> None:
    """Raises Unreadable where the key can't be read."""
    known([""])


def _new_key() -> dict[str, object]:
    key = secrets.token_hex(KEY_BYTES)
    return {"encrypted": encryption.encrypt(key, purpose=PURPOSE), "created_at": work.now()}


def _of(address: str, row: FingerprintKey) -> str:
    return (
        PREFIX
        + hmac.new(bytes.fromhex(_key_in(row)), address.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()
    )


def _key_in(row: FingerprintKey) -> str:
    return encryption.decrypt(row.encrypted, purpose=PURPOSE)
