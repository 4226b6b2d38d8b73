"""What a refusal means: that this recipient can't be reached, or that something else is wrong.

Only the first ends a case. The rest is tried again, and after a day a human hears of it, with what the server said:
greylisting passes, and a wrong password, a blocked address of ours or an unwelcome text are for people to put right.
"""

import re
import smtplib

from anymail.exceptions import AnymailAPIError, AnymailError, AnymailRecipientsRefused
from botocore.exceptions import ClientError

from outreach import retry_after
from outreach.providers import trouble
from outreach.providers.trouble import Trouble
from outreach.transports.base import TransportError, one_line

MAX_REASON_CHARS = 500

# RFC 3463. Of X.1 (addressing) 7 and 8 are about the sender; of X.2 (mailbox) 2 and 3 are a full one and a long mail;
# 5.4.4 is a domain without a mail server, and 5.4.1 what Exchange Online says of a recipient that it does not know.
_ENHANCED = re.compile(r"5\.(\d{1,3})\.(\d{1,3})\b")
_NOT_THE_RECIPIENT = {(1, 7), (1, 8), (2, 2), (2, 3), (2, 4)}
_NO_WAY_THERE = {(4, 1), (4, 4)}
_SES_IS_BUSY = {"Throttling", "ThrottlingException", "TooManyRequestsException"}
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
        is_about_mail = isinstance(error, smtplib.SMTPNotSupportedError)  # an address that needs SMTPUTF8
        about = None if is_about_mail else trouble.down(f"it can't be talked to ({type(error).__name__})")
        return _error(f"The mail server could not be talked to: {error or type(error).__name__}", about=about)
    code, text = error.smtp_code, _text(error.smtp_error)
    if isinstance(error, smtplib.SMTPDataError):
        return _refused("the mail", code, text, permanent=is_about_recipient(code, text, after_rcpt=False))
    if isinstance(error, smtplib.SMTPSenderRefused):
        return _refused("our address", code, text, is_about_us=True)
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return _refused("our user name and password", code, text, is_about_us=True)
    return _refused("us", code, text, is_about_us=True)


def _refused(what: str, code: int, text: str, *, permanent: bool = False, is_about_us: bool = False) -> TransportError:
    about = _of_reply(code, text, is_about_us=is_about_us)
    return _error(f"The mail server refused {what}: {code} {text}", permanent=permanent, about=about)


def _of_reply(code: int, text: str, *, is_about_us: bool) -> Trouble | None:
    """What a reply says about the server. 421 ends the connection (RFC 5321 §3.8); X.3 is its system, X.7 its policy,
    which greylists recipients too, so that only a reply to ourselves tells of a rate."""
    words = f"it answers {code}"
    if code < 500 and is_about_us and text.strip().startswith("4.7."):
        return trouble.busy(words)
    is_its_own = code == 421 or (code < 500 and text.strip().startswith("4.3."))
    return trouble.down(words) if is_its_own or is_about_us else None


def _text(said: bytes | str) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said


def from_anymail(error: AnymailError) -> TransportError:
    """What django-anymail raised. An answer of 4xx is about our account or the mail, 429 and 5xx pass."""
    if isinstance(error, AnymailRecipientsRefused):
        return _error(f"The provider refused the recipient: {error}", permanent=True)
    if not isinstance(error, AnymailAPIError):
        return _error(f"The provider did not take the mail: {error}")
    headers = getattr(error.response, "headers", None) or {}
    seconds = retry_after.seconds_of(headers)
    said = f" (Retry-After: {headers['Retry-After']})" if "Retry-After" in headers else ""
    reason = f"The provider did not take the mail{said}: {error}"
    return _error(reason, about=_of_answer(error, seconds), retry_after_seconds=seconds or 0.0)


def _of_answer(error: AnymailAPIError, retry_after_seconds: float | None) -> Trouble | None:
    """What it says about the provider. One that has no status was not answered, unless another library asked (SES)."""
    if error.status_code is not None:
        return trouble.of_status(error.status_code, retry_after_seconds)
    if isinstance(error.__cause__, ClientError):
        code = str(error.__cause__.response.get("Error", {}).get("Code"))
        return trouble.busy(f"it answers {code}") if code in _SES_IS_BUSY else None
    return trouble.down("it gives no usable answer")


def _error(
    reason: str, *, permanent: bool = False, about: Trouble | None = None, retry_after_seconds: float = 0.0
) -> TransportError:
    return TransportError(
        one_line(reason, MAX_REASON_CHARS),
        permanent=permanent,
        trouble=about,
        retry_after_seconds=retry_after_seconds,
    )
