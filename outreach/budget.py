"""What models may be asked for a case, and what they have been asked."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Protocol, TypeVar

from django.conf import settings
from django.db.models import F, Sum

from cases import work
from cases.events import record
from cases.models import Case
from outreach import metrics
from outreach.agents.base import AgentError
from outreach.agents.base import ModelCall as Call
from outreach.models import ModelCall
from outreach.situation import Situation

REASON = "The budget for models is used up."
MILLION = Decimal(1_000_000)


class Answer(Protocol):
    """Whatever an agent gives, with the calls that it took."""

    @property
    def calls(self) -> tuple[Call, ...]: ...


A = TypeVar("A", bound=Answer)


class Meter:
    """Adds up the calls of one step."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def read(self, answer: A) -> A:
        """The answer, its calls noted."""
        self.calls += answer.calls
        return answer


@contextmanager
def metered(claimed: work.Claim[Case]) -> Iterator[Meter]:
    """Note every call that is made inside, and write them down at the end, however it ends."""
    meter = Meter()
    try:
        yield meter
    except AgentError as error:
        meter.calls += error.calls
        raise
    finally:
        if meter.calls:
            claimed.insist(lambda: write_down(claimed, meter.calls))


def write_down(claimed: work.Claim[Case], calls: Iterable[Call]) -> None:
    """Store the calls with their cost, on the timeline too. A fact: written whatever becomes of the step."""
    calls = list(calls)
    with work.transaction():
        case = Case.objects.locked(claimed.pk)
        for call in calls:
            cost = price(call)
            ModelCall.objects.create(case=case, client_id=case.client_id, at=case.now, cost=cost, **vars(call))
            record(
                case,
                "model.called",
                purpose=call.purpose,
                model=call.model,
                promptVersion=call.prompt_version,
                promptTokens=call.prompt_tokens,
                completionTokens=call.completion_tokens,
                durationMs=call.duration_ms,
                cost=str(cost),
                fault=call.fault,
            )
            Case.objects.filter(pk=case.pk).update(
                model_calls=F("model_calls") + 1,
                model_tokens=F("model_tokens") + call.prompt_tokens + call.completion_tokens,
                model_cost=F("model_cost") + cost,
            )
    for call in calls:
        _count(call)


def _count(call: Call) -> None:
    metrics.MODEL_CALLS.note(
        call.duration_ms / 1000, purpose=call.purpose, outcome="faulty" if call.fault else "usable"
    )
    metrics.MODEL_TOKENS.add(call.prompt_tokens, purpose=call.purpose, direction="read")
    metrics.MODEL_TOKENS.add(call.completion_tokens, purpose=call.purpose, direction="written")
    metrics.MODEL_COST.add(float(price(call)), purpose=call.purpose)


def price(call: Call) -> Decimal:
    """What the call cost by OFFLOAD_MODEL_PRICES: model to the prices of a million prompt and completion tokens."""
    per_prompt, per_completion = settings.OFFLOAD_MODEL_PRICES.get(call.model, (0, 0))
    cost = call.prompt_tokens * Decimal(str(per_prompt)) + call.completion_tokens * Decimal(str(per_completion))
    return (cost / MILLION).quantize(Decimal("0.000001"))


def exhausted(now: Situation) -> str | None:
    """Which ceiling the case or its client has reached, in words, or None. Each human "go on" raises it once more."""
    raised = 1 + now.answered_since(REASON)
    case = now.case
    if 0 < settings.OFFLOAD_MAX_MODEL_CALLS * raised <= case.model_calls:
        return f"This case has made {case.model_calls} model calls."
    if 0 < settings.OFFLOAD_MAX_COST_PER_CASE * raised <= case.model_cost:
        return f"This case has cost {case.model_cost.normalize():f} in model calls."
    if settings.OFFLOAD_MAX_COST_PER_CLIENT_DAY > 0:
        recent = ModelCall.objects.filter(client_id=case.client_id, at__gt=now.now - timedelta(days=1))
        spent = recent.aggregate(spent=Sum("cost"))["spent"] or Decimal(0)
        if spent >= settings.OFFLOAD_MAX_COST_PER_CLIENT_DAY * raised:
            return f"The client's cases have cost {spent.normalize():f} in model calls within a day."
    return None
