"""What a payload turns out to be: a mail, or a provider's report about a mail of ours."""

from dataclasses import dataclass, field
from enum import StrEnum

from cases import work
from outreach.inbound.mail import InboundMail


class DoorError(work.StepFailed):
    """What a payload refers to could not be fetched. `permanent`: trying again can't help."""

    def __init__(self, reason: str, *, permanent: bool, retry_after_seconds: float = 0.0) -> None:
        super().__init__(reason, retry_after_seconds=retry_after_seconds)
        self.permanent = permanent


class Standing(StrEnum):
    """What the server that took a mail for us says of its sender's domain. No header that came with it counts."""

    PASSED = "passed"  # DMARC passed, or SPF or DKIM did for the very domain of From
    FAILED = "failed"
    UNKNOWN = "unknown"  # it does not say


@dataclass(frozen=True)
class Envelope:
    """What only the server that took the mail can know; its sender can write none of it. Addresses are lower case."""

    recipients: tuple[str, ...] = ()  # RCPT TO, or the provider's inbox
    sender: str = ""  # MAIL FROM; empty for reports
    thread_id: str = ""  # the provider's
    standing: Standing = Standing.UNKNOWN
    label: str = ""  # what the provider filed it under: "spam", "blocked", "unauthenticated"


class EventKind(StrEnum):
    """What a provider reports, in django-anymail's words where it has them."""

    SENT = "sent"
    DELIVERED = "delivered"
    DEFERRED = "deferred"  # not yet; the provider goes on trying
    BOUNCED = "bounced"  # for good
    SOFT_BOUNCED = "soft_bounced"
    COMPLAINED = "complained"
    REJECTED = "rejected"  # the provider itself did not send it
    OPENED = "opened"


@dataclass(frozen=True)
class ProviderEvent:
    """A report about one mail of ours. `message_id` is its RFC 5322 Message-ID with brackets, or the provider's id."""

    kind: EventKind
    message_id: str = ""
    thread_id: str = ""
    recipients: tuple[str, ...] = ()  # those it is about, lower case
    reason: str = ""


@dataclass(frozen=True)
class Arrival:
    """Exactly one of `mail` and `event`; neither where there is nothing to do, and then `note` says why."""

    mail: InboundMail | None = None
    event: ProviderEvent | None = None
    envelope: Envelope = field(default_factory=Envelope)
    note: str = ""
