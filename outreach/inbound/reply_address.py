"""The address to which a case's counterparty answers: `inbox+<token>@domain`, which says whose case it is, signed.

The token is the id of the case and a tag over it, in base32, since servers on the way may change case. The tag keeps
anyone who knows or guesses an id from writing to the case; it does not keep out those who have got a mail of ours.
"""

import base64
import binascii
import hmac
import re
from email.utils import parseaddr
from uuid import UUID

from django.conf import settings
from django.utils.crypto import salted_hmac

from cases.models import Case

ID_BYTES = 16
TAG_BYTES = 9  # 72 bits; with the id 25 bytes, which base32 writes without padding
TOKEN_CHARS = 40
MAX_LOCAL_PART_CHARS = 64  # RFC 5321 §4.5.3.1.1
MAX_INBOX_CHARS = MAX_LOCAL_PART_CHARS - TOKEN_CHARS - len("+")

_TOKEN = re.compile(rf"[^@]*\+([a-z2-7]{{{TOKEN_CHARS}}})@[^@]+")


def inbox() -> str:
    """The address that answers come to, in lower case; empty where the server behind it knows no plus-addressing."""
    if settings.OFFLOAD_REPLY_ADDRESS == "off":
        return ""
    return parseaddr(settings.OFFLOAD_REPLY_ADDRESS or settings.OFFLOAD_MAIL_FROM)[1].lower()


def address_for(case: Case) -> str:
    """The case's own address; empty where there are none."""
    name, _, domain = inbox().rpartition("@")
    return f"{name}+{_token(case.pk)}@{domain}" if domain else ""


def case_id_in(address: str) -> UUID | None:
    """The id that the address carries, whatever case it is written in; None if we have not signed it.

    Its domain and the part before the plus sign may have changed since: the tag alone counts.
    """
    found = _TOKEN.fullmatch(address.lower())
    if found is None:
        return None
    try:
        token = base64.b32decode(found[1].upper())
    except binascii.Error:
        return None
    case_id, tag = UUID(bytes=token[:ID_BYTES]), token[ID_BYTES:]
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return case_id if any(hmac.compare_digest(tag, _tag(case_id, key)) for key in keys) else None


def _token(case_id: UUID) -> str:
    return base64.b32encode(case_id.bytes + _tag(case_id, settings.SECRET_KEY)).decode().lower()


def _tag(case_id: UUID, key: str) -> bytes:
    return salted_hmac("offload.reply_address", case_id.bytes, secret=key, algorithm="sha256").digest()[:TAG_BYTES]
