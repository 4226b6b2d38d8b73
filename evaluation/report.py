"""Figures over many runs: how often a scenario succeeds, and how often it does so every time."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import comb
from statistics import mean
from typing import Any

from evaluation.judging import faults, is_wrong_completion
from evaluation.player import Facts
from evaluation.scenario import Scenario


@dataclass(frozen=True)
class Run:
    """What is reported of one run of a scenario."""

    scenario: str
    number: int  # from 1
    status: str
    result_status: str | None
    result: Any
    faults: tuple[str, ...]  # empty: it has succeeded
    errors: tuple[str, ...]  # steps that failed on the way
    is_wrong_completion: bool
    mails: int
    questions: int
    model_calls: int
    tokens: int
    seconds: float
    transcript: str  # of a run that failed, else empty

    @property
    def has_succeeded(self) -> bool:
        return not self.faults

    @classmethod
    def of(cls, scenario: Scenario, agent: str, number: int, facts: Facts) -> "Run":
        """The run judged."""
        found = faults(scenario, agent, facts)
        return cls(
            scenario=scenario.name,
            number=number,
            status=facts.status,
            result_status=facts.result_status,
            result=facts.result,
            faults=tuple(found),
            errors=tuple(facts.errors),
            is_wrong_completion=is_wrong_completion(scenario, agent, facts),
            mails=len(facts.mails),
            questions=len(facts.questions),
            model_calls=facts.model_calls,
            tokens=facts.tokens,
            seconds=round(facts.seconds, 3),
            transcript=facts.transcript if found else "",
        )


def pass_hat(runs: Iterable[Run], k: int) -> float:
    """pass^k: the chance that k runs of a scenario drawn at random all succeed, as the mean over the scenarios.

    Estimated without bias from n ≥ k runs of each, c of which succeeded, by C(c, k) / C(n, k) (Yao et al., τ-bench,
    2024, §3). Raises ValueError where a scenario has fewer than k runs, or there are none.
    """
    grouped = _by_scenario(runs)
    if not grouped or any(len(group) < k for group in grouped.values()):
        raise ValueError(f"pass^{k} needs {k} runs of each scenario")
    return mean(comb(sum(run.has_succeeded for run in group), k) / comb(len(group), k) for group in grouped.values())


def as_json(agent: str, runs: Iterable[Run]) -> dict[str, Any]:
    """All of it: the figures, and every run."""
    runs = _sorted(runs)
    return {
        "agent": agent,
        "scenarios": len(_by_scenario(runs)),
        "pass": {str(k): round(pass_hat(runs, k), 4) for k in range(1, _least_runs(runs) + 1)},
        "wrongCompletions": sum(run.is_wrong_completion for run in runs),
        "mails": sum(run.mails for run in runs),
        "questions": sum(run.questions for run in runs),
        "modelCalls": sum(run.model_calls for run in runs),
        "tokens": sum(run.tokens for run in runs),
        "seconds": round(sum(run.seconds for run in runs), 3),
        "runs": [asdict(run) for run in runs],
    }


def as_text(agent: str, runs: Iterable[Run]) -> str:
    """A table of the scenarios, the figures, and each failed run with its transcript."""
    runs = _sorted(runs)
    return "\n".join(
        [_table(runs), "", _figures(agent, runs), *map(_failure, (r for r in runs if not r.has_succeeded))]
    )


def _table(runs: list[Run]) -> str:
    grouped = _by_scenario(runs)
    width = max(map(len, grouped))
    lines = [f"{'scenario':{width}}  passed  {'ends':30}  mails  questions  calls   tokens  seconds"]
    for name, group in grouped.items():
        ends = ", ".join(dict.fromkeys(run.result_status or run.status for run in group))
        passed = f"{sum(run.has_succeeded for run in group)}/{len(group)}"
        lines.append(
            f"{name:{width}}  {passed:>6}  {ends:30}  {mean(r.mails for r in group):5.1f}"
            f"  {mean(r.questions for r in group):9.1f}  {mean(r.model_calls for r in group):5.1f}"
            f"  {mean(r.tokens for r in group):7.0f}  {mean(r.seconds for r in group):7.2f}"
        )
    return "\n".join(lines)


def _figures(agent: str, runs: list[Run]) -> str:
    told = as_json(agent, runs)
    chances = "  ".join(f"pass^{k} {chance:.3f}" for k, chance in told["pass"].items())
    return (
        f"agent {agent}: {told['scenarios']} scenarios, {len(runs)} runs\n{chances}\n"
        f"{told['mails']} mails, {told['questions']} questions to humans, {told['modelCalls']} model calls, "
        f"{told['tokens']} tokens, {told['seconds']:.1f} s\n"
        f"{told['wrongCompletions']} ended in a wrong COMPLETED"
    )


def _failure(run: Run) -> str:
    worst = " (a wrong COMPLETED)" if run.is_wrong_completion else ""
    said = [f"- {fault}" for fault in run.faults] + [f"- a step failed: {error}" for error in run.errors]
    return "\n".join([f"\n═══ {run.scenario}, run {run.number}, failed{worst}", *said, "", run.transcript])


def _sorted(runs: Iterable[Run]) -> list[Run]:
    return sorted(runs, key=lambda run: (run.scenario, run.number))


def _by_scenario(runs: Iterable[Run]) -> dict[str, list[Run]]:
    grouped: dict[str, list[Run]] = {}
    for run in runs:
        grouped.setdefault(run.scenario, []).append(run)
    return grouped


def _least_runs(runs: Iterable[Run]) -> int:
    return min((len(group) for group in _by_scenario(runs).values()), default=0)
