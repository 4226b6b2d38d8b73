"""Mail that waits in a mailbox: fetched by IMAP, stored, and only then marked as seen or moved.

It needs a folder that no person reads: what is not seen yet is what is not stored yet. Nothing is remembered between
two connections, so that a server may number its mail anew (UIDVALIDITY); within one, UIDs hold.
"""

import imaplib
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from imap_tools import BaseMailBox, ImapToolsError, MailBox, MailBoxStartTls, MailBoxUnencrypted, MailMessageFlags

from outreach.inbound.served import accept_mail

# What a server that is out of reach, or does what it should not, makes the libraries raise.
ERRORS = (OSError, imaplib.IMAP4.error, ImapToolsError)
TIMEOUT_SECONDS = 30.0
IDLE_AT_MOST_SECONDS = 29 * 60.0  # RFC 2177: servers log out who idles for 30 minutes

# They have one base class, but not one signature that it would tell.
_KINDS: dict[str, tuple[Callable[..., BaseMailBox], int]] = {
    "imaps": (MailBox, 993),
    "imap+tls": (MailBoxStartTls, 143),
    "imap": (MailBoxUnencrypted, 143),
}


@dataclass(frozen=True)
class Account:
    """Where the mail waits."""

    kind: Callable[..., BaseMailBox]
    host: str
    port: int
    user: str
    password: str
    folder: str

    def login(self) -> BaseMailBox:
        """A mailbox that is open, to be used in a with statement. Raises one of ERRORS."""
        return self.kind(self.host, self.port, timeout=TIMEOUT_SECONDS).login(self.user, self.password, self.folder)


def account(url: str) -> Account:
    """The account of `imaps://user:password@host/folder`. Raises ValueError with what is wrong."""
    parts = urlsplit(url)
    if parts.scheme not in _KINDS:
        raise ValueError("IMAP_URL must begin with imaps://, imap+tls:// (STARTTLS) or imap:// (not encrypted).")
    if not (parts.hostname and parts.username and parts.password):
        raise ValueError("IMAP_URL needs a user, a password and a host: imaps://user:password@host/INBOX.")
    kind, port = _KINDS[parts.scheme]
    return Account(
        kind,
        parts.hostname,
        parts.port or port,
        unquote(parts.username),
        unquote(parts.password),
        unquote(parts.path.strip("/")) or "INBOX",
    )


def take_all(mailbox: BaseMailBox, *, move_to: str = "") -> int:
    """Store what is not seen yet and mark it, or move it; how many there were.

    Raises one of ERRORS, or what the database raises; whatever was not stored and marked by then is found again.
    """
    mailbox.client.noop()  # a server may tell of new mail only when asked something (RFC 3501 §7)
    uids: list[str] = mailbox.uids("UNSEEN")
    for uid in uids:
        accept_mail("imap", _fetch(mailbox, uid))
        mailbox.flag(uid, MailMessageFlags.SEEN, True)
        if move_to:
            mailbox.move(uid, move_to)
    return len(uids)


def _fetch(mailbox: BaseMailBox, uid: str) -> bytes:
    """The mail's bytes, without marking it as seen (RFC 3501 §6.4.5, PEEK)."""
    _, answers = mailbox.client.uid("FETCH", uid, "(BODY.PEEK[])")
    for answer in answers:
        if isinstance(answer, tuple):
            return bytes(answer[1])
    raise imaplib.IMAP4.error(f"there is no mail with the UID {uid}")


def wait_for_mail(mailbox: BaseMailBox, *, stopped: Callable[[float], bool], seconds: float) -> None:
    """Wait until the server says that something has changed, at most so long; where it can't (IDLE), just so long.

    `stopped` waits so many seconds and says whether to end.
    """
    if "IDLE" not in mailbox.client.capabilities:
        stopped(seconds)
        return
    end = time.monotonic() + min(seconds, IDLE_AT_MOST_SECONDS)
    with mailbox.idle as idle:
        while time.monotonic() < end and not stopped(0) and not idle.poll(timeout=1):
            pass
