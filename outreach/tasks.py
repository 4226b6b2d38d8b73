"""The pumps of this room: cases that are due, and payloads to be taken in."""

from datetime import timedelta

from cases import transitions, work
from cases.models import Case
from outreach.advance import advance
from outreach.inbound.intake import give_up, take_in
from outreach.models import InboundPayload


def ask_human(claimed: work.Claim[Case], cause: str) -> None:
    """A case that can't go on by itself goes to a human, and is left alone for an hour unless somebody answers."""
    with claimed.write() as case:
        case.retry_at = case.now + timedelta(hours=1)
        if case.is_terminal:
            transitions.store(case)
            return
        question = f"This case can't go on by itself. {cause}\n\nAnything you answer makes it try again."
        transitions.ask(case, question=question, reason=cause, is_operational=True)


CASES = work.Kind(
    name="case",
    model=Case,
    step=advance,
    give_up=ask_human,
    task="outreach.tasks.pump_cases",
    turns_by="client_id",
    of_case="pk",
    time_facts=("next_action_at", "deadline_at", "input_overdue_at"),
)
PAYLOADS = work.Kind(
    name="payload",
    model=InboundPayload,
    step=take_in,
    give_up=give_up,
    task="outreach.tasks.pump_payloads",
)


def pump_cases() -> None:
    """The wake-up for cases."""
    work.run_pump("case")


def pump_payloads() -> None:
    """The wake-up for payloads."""
    work.run_pump("payload")
