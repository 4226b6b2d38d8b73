"""Mail by whatever Django sends with: an SMTP server, or a provider through django-anymail."""

import re
from collections.abc import Iterator
from typing import Any

from anymail.exceptions import AnymailError
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection

from cases.examination import Examination, Finding, fail, ok
from outreach.transports import refusals
from outreach.transports.base import (
    MAX_SUBJECT_CHARS,
    OutgoingMail,
    Receipt,
    TransportError,
    as_email,
    one_line,
)
from outreach.transports.html import html_of

_MESSAGE_ID = re.compile(r"<[!-;=?-~]+@[!-;=?-~]+>")
_REFUSED = {"invalid", "rejected"}  # in django-anymail's words, of a recipient
_NOT_SENT = {"failed"}


class EmailTransport:
    """Sends by EMAIL_BACKEND: the mail server, not we, signs (DKIM), queues and tries again.

    SMTP knows no idempotency key: a send whose answer got lost is repeated, and may arrive twice, with one Message-ID.
    """

    @staticmethod
    def check(examination: Examination) -> Iterator[Finding]:
        """Whether the server lets us in; of a provider's API only that it is configured. No mail is sent."""
        connection = get_connection()
        try:
            connection.open()
        except OSError as error:
            yield fail("mail", f"the server does not let us in: {type(error).__name__}", "Check EMAIL_URL.")
        else:
            yield ok("mail", f"email by {settings.EMAIL_BACKEND.split('.')[-2]}, from {settings.OFFLOAD_MAIL_FROM}")
        finally:
            connection.close()

    def send(self, mail: OutgoingMail) -> Receipt:
        message = FrozenMessage(mail)
        try:
            message.send()
        except AnymailError as error:
            raise refusals.from_anymail(error) from error
        except OSError as error:
            raise refusals.from_smtp(error) from error
        return _receipt(mail, getattr(message, "anymail_status", None))


def _receipt(mail: OutgoingMail, status: Any) -> Receipt:
    """What the provider says of the mail, if a provider it was; a mail server says nothing but yes."""
    if status is None or status.message_id is None:
        return Receipt(provider_id=mail.message_id)
    if _NOT_SENT & set(status.status or ()):
        raise TransportError(f"The provider could not send the mail: {status.status}", permanent=False)
    provider_id = str(status.message_id)
    # Some replace our Message-ID by their own, and some of those tell it: answers will refer to that one.
    return Receipt(provider_id, message_id=provider_id if _MESSAGE_ID.fullmatch(provider_id) else "")


class FrozenMessage(EmailMultiAlternatives):
    """The mail for Django: for SMTP as the bytes that we fixed, for a provider's API as fields that say the same."""

    def __init__(self, mail: OutgoingMail) -> None:
        html = html_of(mail.text)
        self.frozen = as_email(mail, html=html)
        super().__init__(
            subject=one_line(mail.subject, MAX_SUBJECT_CHARS),
            body=mail.text,
            from_email=str(self.frozen["From"].addresses[0]),
            to=[str(self.frozen["To"].addresses[0])],
            reply_to=[mail.reply_to] if mail.reply_to else None,
            headers={name: str(self.frozen[name]) for name in _CARRIED if name in self.frozen},
            attachments=[
                (part.get_filename(), part.get_payload(decode=True), part.get_content_type())
                for part in self.frozen.iter_attachments()
            ],
        )
        self.attach_alternative(html, "text/html")

    def message(self, **_: object) -> "_Wire":  # type: ignore[override]
        return _Wire(self.frozen.as_bytes())


_CARRIED = ("Message-ID", "In-Reply-To", "References", "Auto-Submitted")


class _Wire:
    """What Django's backends ask of a message that is ready: its bytes."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def as_bytes(self, **_: object) -> bytes:
        return self._raw

    def get_charset(self) -> None:
        return None
