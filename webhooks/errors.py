"""What can go wrong on the way to a client's endpoint, before anything is sent."""


class WebhookError(Exception):
    """The base of all; its text is for staff."""


class AddressRefused(WebhookError):
    """The URL may not be called, or not now: its text says why. DNS may give another answer later."""


class SecretUnreadable(WebhookError):
    """A stored signing secret can't be decrypted. Helps: the old SECRET_KEY among SECRET_KEY_FALLBACKS."""
