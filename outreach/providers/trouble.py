"""What an answer, or none, says about the service itself, whatever was asked of it."""

from dataclasses import dataclass

_FOR_OPERATORS = {401, 402, 403}  # key, plan, permission: everybody's calls would end so


@dataclass(frozen=True)
class Trouble:
    """A service is busy, and wants fewer calls; or it is down: it does not answer, or lets nobody in.

    `words` go to staff and stand on other cases, too: nothing of what the service said is in them.
    """

    is_busy: bool
    words: str
    retry_after_seconds: float | None = None  # for so long it wants to be left alone


def busy(words: str, retry_after_seconds: float | None = None) -> Trouble:
    return Trouble(True, words, retry_after_seconds)


def down(words: str) -> Trouble:
    return Trouble(False, words)


def of_status(status: int, retry_after_seconds: float | None) -> Trouble | None:
    """What an HTTP status says about the service; None: it does well, whatever it thinks of the request."""
    words = f"it answers {status}"
    if status == 429 or (status >= 500 and retry_after_seconds):
        return busy(words, retry_after_seconds)
    return down(words) if status >= 500 or status in _FOR_OPERATORS else None
