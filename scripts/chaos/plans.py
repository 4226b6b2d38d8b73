"""What each case of the load is to go through, and how it must end.

The plan stands in the counterparty's address and in the client's reference: so mail server, model and judge know it
from what they see, and nothing has to be passed between their processes.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

GOAL = ("COMPLETED", "goal_achieved")
CANCELLED = ("FAILED", "cancelled")


@dataclass(frozen=True)
class Kind:
    """`mails` is how many the provider must count, least and most; `ends` are statuses with their result statuses."""

    weight: int
    mails: tuple[int, int]
    ends: frozenset[tuple[str, str | None]]
    files: int = 0  # on the case at its end


KINDS = {
    "date": Kind(26, (1, 1), frozenset({GOAL})),  # answers at once with what was asked for
    "file": Kind(12, (1, 1), frozenset({GOAL}), files=1),  # likewise, with a file
    "asks": Kind(16, (2, 2), frozenset({GOAL})),  # asks what only the client knows
    "talks": Kind(10, (2, 2), frozenset({GOAL})),  # asks what the goal's knowledge says
    "refuses": Kind(6, (1, 1), frozenset({("FAILED", "failed_rejected")})),
    "bounces": Kind(6, (1, 1), frozenset({("FAILED", "BOUNCED")})),
    "delayed": Kind(8, (1, 1), frozenset({GOAL})),  # a delay notice comes before the answer
    "late": Kind(8, (1, 1), frozenset({GOAL}), files=0),  # writes again, with a file, when all is over
    "cancelled": Kind(8, (0, 1), frozenset({CANCELLED, GOAL})),  # the client cancels while the answer is on its way
    "silent": Kind(0, (1, 1), frozenset({("RUNNING", None)})),  # never answers
}
TRANSPORTS = ("agentmail", "email")


@dataclass(frozen=True)
class Plan:
    """One case."""

    name: str  # of the kind
    number: int
    transport: str  # "agentmail" or "email"
    group: str = "load"  # the phase of the run that it belongs to

    @property
    def kind(self) -> Kind:
        return KINDS[self.name]

    @property
    def reference(self) -> str:
        return f"{self.name}-{self.group}-{self.number}"

    @property
    def address(self) -> str:
        return f"{self.reference}@supplier.example"

    def body(self, webhook_url: str) -> dict[str, Any]:
        """The case as it is posted."""
        return {
            "channel": "EMAIL",
            "clientReferenceId": self.reference,
            "goal": {
                "objective": f"Please tell us the delivery date of order {self.reference}.",
                "knowledge": "The order was placed on 2 November, for the warehouse in Bern.",
            },
            "counterparty": {"address": self.address, "name": "Ann Miller"},
            "senderPersona": {"name": "Robin Ward", "role": "Purchasing", "company": "Acme"},
            "resultSchema": {
                "type": "object",
                "required": ["deliveryDate"],
                "properties": {"deliveryDate": {"type": "string", "format": "date"}},
            },
            "clientWebhookUrl": webhook_url,
        }


def name_in(address: str) -> str:
    """The kind of plan that an address, or a reference, belongs to."""
    return address.partition("-")[0]


def drawn(seed: int, count: int) -> list[Plan]:
    """So many plans of all kinds, the same for the same seed; of each kind one, where there are enough."""
    dice = random.Random(f"plans {seed}")
    names = [name for name, kind in KINDS.items() if kind.weight]
    weights = [KINDS[name].weight for name in names]
    chosen = [*names[:count], *dice.choices(names, weights, k=max(0, count - len(names)))]
    dice.shuffle(chosen)
    return [Plan(name, number, dice.choice(TRANSPORTS)) for number, name in enumerate(chosen)]


def of_group(group: str, name: str, count: int, transports: Sequence[str] = TRANSPORTS) -> list[Plan]:
    """So many plans of one kind, the transports in turn."""
    return [Plan(name, number, transports[number % len(transports)], group) for number in range(count)]
