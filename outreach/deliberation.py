"""What an agent says, held to what code guarantees: results with evidence, drafts that were looked at twice.

The talking phase of a step: nothing here touches the database.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from outreach import evidence
from outreach.agents import guard, identity, opt_out
from outreach.agents.base import Agent, CaseView, Decision, Draft, Mail, Verdict
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


def write(agent: Agent, case: CaseView, compose: Compose, meter: Meter, *, is_reminder: bool = False) -> Written:
    """A draft that was judged, rewritten once where it broke a rule, and judged again. Raises AgentError."""
    draft = meter.read(compose(()))
    if not agent.judges_drafts:
        return Written(draft, is_judged=False)
    faults = _faults(agent, case, draft, meter, is_reminder)
    if not faults:
        return Written(draft, is_judged=True)
    draft = meter.read(compose(faults))
    return Written(draft, is_judged=True, refused=faults, faults=_faults(agent, case, draft, meter, is_reminder))


def _faults(agent: Agent, case: CaseView, draft: Draft, meter: Meter, is_reminder: bool) -> tuple[str, ...]:
    found = [*guard.faults_of_draft(case, draft), *(guard.faults_of_reminder(case, draft) if is_reminder else ())]
    if found:
        return tuple(found)  # plain enough without asking a model
    judgement = meter.read(agent.judge(case, draft))
    return () if judgement.is_allowed else judgement.faults or ("It breaks a constraint.",)


def judge(agent: Agent, case: CaseView, meter: Meter) -> Verdict:
    """The agent's verdict, if what it rests on is there; else a question to a human. Raises AgentError."""
    if opt_out.is_all_that_is_said(case):
        return Verdict(Decision.REJECTED, reason=opt_out.SENTENCE, opts_out=True)
    if unseen := _unseen(agent, case):
        return unseen
    verdict = meter.read(agent.evaluate(case))
    errors = _errors(case, verdict)
    if errors and agent.judges_drafts:
        verdict = meter.read(agent.evaluate(case, tuple(errors)))
        errors = _errors(case, verdict)
    if errors:
        return _with_findings(case, _not_borne_out(errors), verdict)
    if verdict.decision == Decision.GOAL_ACHIEVED and (doubt := _about_unread(case)):
        return _with_findings(case, doubt, verdict)
    judged = _left_to_humans(case, verdict)
    return _with_findings(case, judged, verdict) if judged is verdict else judged


def _with_findings(case: CaseView, asked: Verdict, verdict: Verdict) -> Verdict:
    """The question with what the verdict knows of the result, as far as it is borne out, for whoever answers."""
    if asked.decision != Decision.INPUT_NEEDED:
        return asked
    values, sources = evidence.borne_out(case, verdict.result, verdict.sources)
    return replace(asked, result=values, sources=sources)


def _unseen(agent: Agent, case: CaseView) -> Verdict | None:
    """A question to a human where the new mail brings pictures that the model can't be shown, all or some of them."""
    unread = [mail for mail in case.from_counterparty if mail.unread]
    names = [file.name for mail in unread for file in mail.files if file.is_picture and file.is_unread]
    if not names or not agent.judges_drafts:
        return None
    return Verdict(
        Decision.INPUT_NEEDED,
        question=f"The counterparty sent what only a person can look at: {', '.join(names)}.\n\n"
        f"The mail says:\n\n{_said(unread)}\n\nWhat do the files show, as far as it matters here?",
        reason="The model takes no pictures." if not agent.takes_images else "These can't be shown to the model.",
    )


_DOCUMENTS = re.compile(
    r"\b(?:documents?|files?|forms?|pdfs?|attach\w*|certificat\w+|contracts?|agreements?|invoices?|receipts?|quotes?"
    r"|quotations?|offers?|signed?|signature|scans?|cop(?:y|ies)|statements?|reports?|licen[cs]es?|passports?|polic(?:y|ies)"
    r"|dokument\w*|formular\w*|vertr[aä]g\w*|rechnung\w*|angebot\w*|bescheinigung\w*|unterschr\w+|unterzeichn\w+|anhang"
    r"|nachweis\w*|factur\w+|devis|contrat\w*|formulaire\w*|attestation\w*|documentos?|contratos?|formulario\w*"
    r"|certificad\w+|document[io]|fattur\w+|contratt\w+|modul[oi]|formulier\w*|factuur|overeenkomst|fatura\w*"
    r"|dokument\w*|umow\w+|faktur\w+|za[lł][aą]cznik\w*)\b",
    re.IGNORECASE,
)


def unread_files(case: CaseView) -> list[str]:
    """The names of the new files of which something could be neither read nor shown."""
    return [file.name for mail in case.from_counterparty if mail.unread for file in mail.files if file.is_unread]


def _about_unread(case: CaseView) -> Verdict | None:
    """A question to a human where a document is wanted and a file that came last could not be read: it may differ."""
    names = unread_files(case)
    if not names or not _DOCUMENTS.search("\n".join(identity.asking_words(case))):
        return None
    unread = [mail for mail in case.from_counterparty if mail.unread]
    return Verdict(
        Decision.INPUT_NEEDED,
        question="The goal seems to be achieved, but this came along and could not be read, or not wholly: "
        f"{', '.join(names)}.\n\nThe mail says:\n\n{_said(unread)}\n\n"
        "What do the files say, as far as it matters here?",
        reason="A file that could not be read may say something else.",
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
    found = identity.findings(case)
    changed = [mail for mail in found.mails if mail.unread]
    is_taken_over = identity.holds_refused(verdict.result, found.refused)
    if not is_taken_over and (not changed or verdict.decision == Decision.INPUT_NEEDED):
        return verdict
    return Verdict(
        Decision.INPUT_NEEDED,
        question="The counterparty writes of bank or identity details that have changed or that nobody asked for, "
        "which can be a fraud. Confirm them by another way than mail before you answer; a number that is right has to "
        f"stand in your answer itself:\n\n{_said(changed or found.mails)}\n\nWhat should be done?",
        reason="Changed bank or identity details always go to a human.",
    )


def _said(mails: Iterable[Mail]) -> str:
    """What the mails say, quoted, with the names of their files."""
    return "\n\n".join(
        "\n".join([*_quoted(mail.text), *(f"> (file: {file.name})" for file in mail.files)]) for mail in mails
    )


def _quoted(text: str) -> list[str]:
    return [f"> {line}" for line in text.strip().splitlines()]
