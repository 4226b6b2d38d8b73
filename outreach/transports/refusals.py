"""What a refusal means: that this recipient can't be reached, or that something else is wrong.

Only the first ends a case. The rest is tried again, and after a day a human hears of it, with what the server said:
greylisting passes, and a wrong password, a blocked address of ours or an unwelcome text are for people to put right.
"""

import re
import smtplib

from anymail.exceptions import AnymailAPIError, AnymailError, AnymailRecipientsRefused

from outreach.transports.base import TransportError, one_line

MAX_REASON_CHARS = 500

# RFC 3463. Of X.1 (addressing) 7 and 8 are about the sender; of X.2 (mailbox) 2 and 3 are a full one and a long mail;
# 5.4.4 is a domain without a mail server, and 5.4.1 what Exchange Online says of a recipient that it does not know.
_ENHANCED = re.compile(r"5\.(\d{1,3})\.(\d{1,3})\b")
_NOT_THE_RECIPIENT = {(1, 7), (1, 8), (2, 2), (2, 3), (2, 4)}
_NO_WAY_THERE = {(4, 1), (4, 4)}
_WORDLESS = {550, 551, 553, 556}  # RFC 5321 §4.2.3, RFC 7504: where no enhanced code tells more, and only after RCPT


def is_about_recipient(code: int, text: str, *, after_rcpt: bool) -> bool:
    """Whether a reply of an SMTP server says that the recipient can't be reached, now or later."""
    if code < 500:
        return False
    found = _ENHANCED.match(text.strip())
    if not found:
        return after_rcpt and code in _WORDLESS
    subject, detail = int(found[1]), int(found[2])
    if subject == 0:
        return after_rcpt and code in _WORDLESS
    return (subject in (1, 2) and (subject, detail) not in _NOT_THE_RECIPIENT) or (subject, detail) in _NO_WAY_THERE


def from_smtp(error: OSError) -> TransportError:
    """What smtplib raised, all of which are OSErrors, as the network's are."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        [(code, text)] = [(code, _text(said)) for code, said in error.recipients.values()]
        return _refused("the recipient", code, text, permanent=is_about_recipient(code, text, after_rcpt=True))
    if not isinstance(error, smtplib.SMTPResponseException):
        return _error(f"The mail server could not be talked to: {error or type(error).__name__}")
    code, text = error.smtp_code, _text(error.smtp_error)
    if isinstance(error, smtplib.SMTPDataError):
        return _refused("the mail", code, text, permanent=is_about_recipient(code, text, after_rcpt=False))
    if isinstance(error, smtplib.SMTPSenderRefused):
        return _refused("our address", code, text)
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return _refused("our user name and password", code, text)
    return _refused("us", code, text)


def _refused(what: str, code: int, text: str, *, permanent: bool = False) -> TransportError:
    return _error(f"The mail server refused {what}: {code} {text}", permanent=permanent)


def _text(said: bytes | str) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said


def from_anymail(error: AnymailError) -> TransportError:
    """What django-anymail raised. An answer of 4xx is about our account or the mail, 429 and 5xx pass."""
    if isinstance(error, AnymailRecipientsRefused):
        return _error(f"The provider refused the recipient: {error}", permanent=True)
    wait = _retry_after(error) if isinstance(error, AnymailAPIError) else ""
    return _error(f"The provider did not take the mail{wait}: {error}")


def _retry_after(error: AnymailAPIError) -> str:
    headers = getattr(error.response, "headers", None) or {}
    return f" (Retry-After: {headers['Retry-After']})" if "Retry-After" in headers else ""


def _error(reason: str, *, permanent: bool = False) -> TransportError:
    return TransportError(one_line(reason, MAX_REASON_CHARS), permanent=permanent)
