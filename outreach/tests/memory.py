"""Real-looking mail for tests: a transport that keeps what it gets, and cases that go by it."""

from dataclasses import dataclass, field
from typing import Any

from outreach.factories import Played
from outreach.transports import OutgoingMail, Receipt


@dataclass
class Outbox:
    """A transport. The sandbox's rules do not hold for it: its mail counts as real."""

    sent: list[OutgoingMail] = field(default_factory=list)

    def send(self, mail: OutgoingMail) -> Receipt:
        self.sent.append(mail)
        return Receipt(provider_id=f"provider-{len(self.sent)}")


def begin(**fields: Any) -> Played:
    """A case over the outbox, of a live key, as far as it goes by itself."""
    return Played.begin(**{"transport": "memory", "is_test": False, "our_address": "desk@ours.example", **fields})
