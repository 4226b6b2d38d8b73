"""What an agent says, held to what code guarantees: results with evidence, drafts that were looked at twice.

The talking phase of a step: nothing here touches the database.
"""

from collections.abc import Callable
from dataclasses import dataclass

from outreach import evidence
from outreach.agents import guard
from outreach.agents.base import Agent, CaseView, Decision, Draft, Verdict
from outreach.budget import Meter

Compose = Callable[[tuple[str, ...]], Draft]  # given what was wrong with the last draft; empty at first


@dataclass(frozen=True)
class Written:
    """A draft and what was made of it; `faults` are those that are left, `refused` those of the one before it."""

    draft: Draft
    is_judged: bool
    refused: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def was_rewritten(self) -> bool:
        """Whether an earlier draft was refused."""
        return bool(self.refused)


def write(agent: Agent, case: CaseView, compose: Compose, meter: Meter) -> Written:
    """A draft that was judged, rewritten once where it broke a rule, and judged again. Raises AgentError."""
    draft = meter.read(compose(()))
    if not agent.judges_drafts:
        return Written(draft, is_judged=False)
    faults = _faults(agent, case, draft, meter)
    if not faults:
        return Written(draft, is_judged=True)
    draft = meter.read(compose(faults))
    return Written(draft, is_judged=True, refused=faults, faults=_faults(agent, case, draft, meter))


def _faults(agent: Agent, case: CaseView, draft: Draft, meter: Meter) -> tuple[str, ...]:
    found = guard.faults_of_draft(case, draft)
    if found:
        return tuple(found)  # plain enough without asking a model
    judgement = meter.read(agent.judge(case, draft))
    return () if judgement.is_allowed else judgement.faults or ("It breaks a constraint.",)


def judge(agent: Agent, case: CaseView, meter: Meter) -> Verdict:
    """The agent's verdict, if what it rests on is there; else a question to a human. Raises AgentError."""
    if unseen := _unseen(agent, case):
        return unseen
    verdict = meter.read(agent.evaluate(case))
    errors = _errors(case, verdict)
    if errors and agent.judges_drafts:
        verdict = meter.read(agent.evaluate(case, tuple(errors)))
        errors = _errors(case, verdict)
    if errors:
        return _not_borne_out(errors)
    return _left_to_humans(case, verdict)


def _unseen(agent: Agent, case: CaseView) -> Verdict | None:
    """A question to a human where the new mail brings pictures that the model can't be shown."""
    unread = [mail for mail in case.from_counterparty if mail.unread]
    names = [file.name for mail in unread for file in mail.files if file.is_picture]
    if not names or agent.takes_images or not agent.judges_drafts:
        return None
    said = "\n\n".join("\n".join(f"> {line}" for line in mail.text.strip().splitlines()) for mail in unread)
    return Verdict(
        Decision.INPUT_NEEDED,
        question=f"The counterparty sent what only a person can look at: {', '.join(names)}.\n\n"
        f"The mail says:\n\n{said}\n\nWhat do the files show, as far as it matters here?",
        reason="The model takes no pictures.",
    )


def _errors(case: CaseView, verdict: Verdict) -> list[str]:
    if verdict.decision != Decision.GOAL_ACHIEVED:
        return []
    return evidence.errors(case, verdict.result, verdict.sources)


def _not_borne_out(errors: list[str]) -> Verdict:
    listed = "\n".join(f"- {error}" for error in errors)
    return Verdict(
        Decision.INPUT_NEEDED,
        question=f"The goal seems to be achieved, but the result is not borne out:\n{listed}\n\nWhat should be done?",
        reason="The result does not validate, or a value in it has no source.",
    )


def _left_to_humans(case: CaseView, verdict: Verdict) -> Verdict:
    """Changed bank or identity details are never an agent's to accept, whatever it makes of them."""
    changed = [mail for mail in case.from_counterparty if mail.unread and guard.changes_identity(mail)]
    if not changed or verdict.decision == Decision.INPUT_NEEDED:
        return verdict
    said = "\n\n".join("\n".join(f"> {line}" for line in mail.text.strip().splitlines()) for mail in changed)
    return Verdict(
        Decision.INPUT_NEEDED,
        question="The counterparty writes of changed bank or identity details, which can be a fraud. Confirm them by "
        f"another way than mail before you answer:\n\n{said}\n\nWhat should be done?",
        reason="Changed bank or identity details always go to a human.",
    )
