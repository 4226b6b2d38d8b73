"""What flufl.bounce reads in a bounce that is written for people: the many wordings that mail systems have had."""

from email.message import Message
from email.utils import parseaddr

from flufl.bounce import all_failures

from outreach.inbound.reports import Outcome

MAX_CHARS = 20_000
MAX_LINES = 1000
MAX_LINE_CHARS = 500


def read(text: str, sender: str) -> Outcome | None:
    """FAILED or DELAYED if a known mail system says so of some address in `text`; `sender` is the From header.

    For mail that looks like a bounce: in a person's reply the library takes an "Original Message" for one. It is given
    plain text alone, never the message as it came, since it raises on broken MIME; and little, since it reads every
    line once for each of its hundred wordings.
    """
    message = Message()
    message["From"] = parseaddr(sender[:MAX_LINE_CHARS])[1] or "unknown"  # without any it raises
    lines = text[:MAX_CHARS].split("\n")[:MAX_LINES]
    message.set_payload("\n".join(line[:MAX_LINE_CHARS] for line in lines))
    try:
        delayed, failed = all_failures(message)
    except Exception:  # noqa: BLE001 (whatever its detectors raise, and it logs: the mail has to be read all the same)
        return None
    if failed:
        return Outcome.FAILED
    return Outcome.DELAYED if delayed else None
