"""Whom OFFLOAD_STAFF_NOTICES names: mail addresses, and incoming webhooks of a chat.

The address of such a webhook is a secret: whoever has it can write into the channel. So rows, logs and errors carry a
name made of its host and a fingerprint, and only the setting has the URL.

No table of refused networks here, unlike for clients' webhooks: this URL is the operator's own word, like that of the
database, and a chat server often stands in a private network. Only plain HTTP is bound to what can't be overheard.
"""

import hashlib
import re
from dataclasses import dataclass
from email.utils import parseaddr
from ipaddress import ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

FINGERPRINT_CHARS = 6
MAX_ADDRESS_CHARS = 320
_ADDRESS = re.compile(r"[^\s@<>,;\"]+@[^\s@<>,;\"]+")


@dataclass(frozen=True)
class Recipient:
    """One of those who are told. `name` may be shown; `url` is empty for a mail address."""

    name: str
    url: str = ""

    @property
    def is_webhook(self) -> bool:
        return bool(self.url)

    @property
    def host(self) -> str:
        """Of a webhook: what errors may name."""
        return urlsplit(self.url).netloc


def read(text: str) -> Recipient:
    """One entry of the setting. Raises ValueError for what is none, in words that hold no secret."""
    entry = text.strip()
    if "://" in entry:
        return _webhook(entry)
    if len(entry) > MAX_ADDRESS_CHARS or not _ADDRESS.fullmatch(parseaddr(entry)[1]):
        raise ValueError(f"{entry[:80]!r} is neither a mail address nor an https:// URL.")
    return Recipient(entry)


def _webhook(url: str) -> Recipient:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("One of the URLs can't be read.") from None
    if parts.scheme not in {"https", "http"} or not host or re.search(r"\s", url):
        raise ValueError("A webhook must be an https:// URL.")
    if "@" in parts.netloc:
        raise ValueError(f"The URL at {host} must not contain a user name or a password.")
    if parts.scheme == "http" and not _is_out_of_earshot(parts):
        raise ValueError(
            f"The URL at {host} must begin with https://. Plain http:// is for this machine, for addresses in "
            "OFFLOAD_WEBHOOK_ALLOW_CIDRS, and at a desk."
        )
    fingerprint = hashlib.sha256(url.encode()).hexdigest()[:FINGERPRINT_CHARS]
    return Recipient(f"{parts.netloc[: MAX_ADDRESS_CHARS - 20]} ({fingerprint})", url)


def _is_out_of_earshot(parts: SplitResult) -> bool:
    """Whether what is sent there unencrypted stays on this machine, or in a network that the operator trusts."""
    if settings.AT_A_DESK or parts.hostname == "localhost":
        return True
    try:
        address = ip_address(parts.hostname or "")
        trusted = [ip_network(text.strip()) for text in settings.OFFLOAD_WEBHOOK_ALLOW_CIDRS]
    except ValueError:
        return False
    return address.is_loopback or any(address in network for network in trusted)


def configured() -> dict[str, Recipient]:
    """All recipients by name, in the setting's order, without entries that are none: `manage.py check` names those."""
    return {recipient.name: recipient for recipient in filter(None, map(_read_or_none, settings.OFFLOAD_STAFF_NOTICES))}


def _read_or_none(text: str) -> Recipient | None:
    try:
        return read(text)
    except ValueError:
        return None
