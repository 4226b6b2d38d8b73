"""What this room counts: calls of clients' endpoints, and how deliveries end. See cases/metrics.py."""

from cases.metrics import Counter, Histogram
from webhooks.models import DeliveryState
from webhooks.sender import Outcome

ATTEMPTS = Histogram("offload_webhook_attempt_seconds", "Calls of clients' endpoints and their answers", ("outcome",))
DELIVERIES = Counter(
    "offload_webhook_deliveries_total",
    "Deliveries that have ended, and how",
    ("state",),
    expected=[{"state": state.lower()} for state in DeliveryState.values if state != DeliveryState.WAITING],
)


def word_for(outcome: Outcome) -> str:
    """`2xx` … `5xx` by the status, or `unanswered`; whatever else an endpoint calls a status is `other`."""
    if outcome.status is None:
        return "unanswered"
    return f"{outcome.status // 100}xx" if 200 <= outcome.status < 600 else "other"
