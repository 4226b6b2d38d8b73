"""What can go wrong on the way to a client's endpoint, before anything is sent, and what clients can ask in vain."""

from cases.errors import CaseError


class WebhookError(Exception):
    """The base of all; its text is for staff."""


class AddressRefused(WebhookError):
    """The URL may not be called, or not now: its text says why. DNS may give another answer later."""


class SecretUnreadable(WebhookError):
    """A stored signing secret can't be decrypted. Helps: the old key behind the new one; see webhooks/signing.py."""


class TestedTooSoon(WebhookError):
    """The client had an endpoint tested a moment ago; trying again after `wait_seconds` helps."""

    def __init__(self, wait_seconds: float) -> None:
        super().__init__("An endpoint was tested a moment ago.")
        self.wait_seconds = wait_seconds


class EventNotFound(CaseError):
    code, status, message = "EVENT_NOT_FOUND", 404, "There is no such event."


class StillWaiting(CaseError):
    """The event is in line, so there is nothing to repeat yet."""

    code, status, message = "EVENT_NOT_ENDED", 409, "The event is still on its way: it will be sent by itself."


class NotWaiting(CaseError):
    """There is no next attempt that could be made earlier."""

    code, status, message = "EVENT_ENDED", 409, "The event has ended meanwhile: it can be sent again."


class BehindAnother(CaseError):
    """The events of a case go out in order."""

    code, status = "EVENT_BEHIND_ANOTHER", 409
    message = "An earlier event of the same case has to arrive first. Try that one now."


class NoUrlToTest(CaseError):
    message = "Give a url: no event of yours has had one yet."
