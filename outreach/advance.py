"""One step of a case: look at it as it stands and do the next right thing. First match of TABLE wins.

Every act has three phases that never mix: what is read is in the Situation; then the agent or the transport is talked
to, with no transaction and no connection held; then one short transaction writes what came of it.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from django.conf import settings

from cases import correspondence, drafts, log_context, services, transitions, work
from cases.events import record
from cases.models import Case, Message, MessageStatus, Purpose, ResultStatus, Status
from outreach import budget, deliberation, enclosures, limits, metrics, proposals, robots, suppression
from outreach.agents import guard, registry
from outreach.agents.base import Agent, AgentAsks, AgentGaveUp, CaseView, Decision, Verdict
from outreach.budget import Meter, metered
from outreach.deliberation import Written
from outreach.inbound import reply_address
from outreach.models import SuppressionReason
from outreach.providers import gate as gates
from outreach.situation import Situation
from outreach.transports import OutgoingMail, Receipt, TransportError, transport_named

logger = logging.getLogger(__name__)
Claim = work.Claim[Case]


def advance(claimed: Claim) -> None:
    """Do the next right thing for the claimed case. Safe to run twice, or to be killed anywhere."""
    now = Situation.read(claimed)
    act = next((act for applies, act in TABLE if applies(now)), derive_again)
    log_context.add(client_id=now.case.client_id, step=act.__name__)
    try:
        act(claimed, now)
    except AgentGaveUp as error:
        ask_about_agent(claimed, error)
    except AgentAsks as error:
        with claimed.decide() as case:
            transitions.ask(case, question=str(error), reason="The agent can't write this mail by itself.")


def derive_again(claimed: Claim, now: Situation) -> None:
    """Nothing is to be done: say so in the row, or it would stay due."""
    with claimed.write() as case:
        work.reschedule(case)
        if case.due_at and case.due_at <= case.now and case.version == claimed.version:
            # A fact that no line of the table answers is our mistake; it must not keep a worker turning.
            logger.error("case %s is due and there is nothing to do for it", case.pk)
            case.retry_at = case.now + timedelta(minutes=1)
            work.reschedule(case)
        case.save(update_fields=["due_at", "retry_at"])


# --- Sending --------------------------------------------------------------------------------------


def send_queued(claimed: Claim, now: Situation) -> None:
    """Send exactly the one queued message. What the transport answers is a fact, whatever else happens meanwhile."""
    entry = gates.of_transport(now.case.transport).enter(claimed.remaining())
    with claimed.write() as case:
        message = correspondence.next_to_send(case)
        if message is None:
            return
        if reason := suppression.sentence_against(case):
            correspondence.withhold(case, message, result_status=ResultStatus.SUPPRESSED, reason=reason)
            return
        leaked = [] if message.send_started_at else guard.leaks(case, f"{message.subject}\n{message.text}")
        if leaked:
            _stop_leak(case, message, leaked)
            return
        if wait := limits.wait(case, message):
            _hold(case, message, wait)
            return
        enclosed = enclosures.of_message(case, message)
        correspondence.begin_send(case, message)
    mail = outgoing(case, message)
    work.let_go_of_connection()
    mail = replace(mail, files=enclosures.contents(enclosed))
    if not claimed.renewed():
        raise work.LeaseLost(f"case {claimed.pk}: too little of the lease is left to send")
    try:
        receipt = hand_over(case.transport, mail, entry)
    except TransportError as error:
        if not error.permanent:
            raise
        reason = str(error)
        claimed.insist(lambda: correspondence.record_refused(message.pk, reason=reason))
        return
    claimed.insist(
        lambda: correspondence.record_sent(
            message.pk,
            provider_id=receipt.provider_id,
            message_id=receipt.message_id,
            thread_id=receipt.thread_id,
        )
    )


def hand_over(transport: str, mail: OutgoingMail, entry: gates.Entry) -> Receipt:
    """Give the mail to the transport, and count and report what it answers. Raises TransportError."""
    began_at, outcome = time.monotonic(), "failed"
    try:
        receipt = transport_named(transport).send(mail)
        outcome = "sent"
        entry.report(None)
        return receipt
    except TransportError as error:
        entry.report(error.trouble)
        outcome = "refused" if error.permanent else "failed"
        raise
    finally:
        metrics.SENDS.note(time.monotonic() - began_at, transport=transport, outcome=outcome)


def _stop_leak(case: Case, message: Message, leaked: list[str]) -> None:
    """A mail that gives something away is not sent; a human says what to write instead."""
    correspondence.drop(case, message)
    _ask_about_leak(case, message.text, leaked)


def _ask_about_leak(case: Case, text: str, leaked: list[str]) -> None:
    transitions.ask(
        case,
        question=f"The next mail was held back, because it contains {', '.join(leaked)}:\n\n{text}\n\n"
        "What should be written instead?",
        reason="Guard: a mail must not give away metadata, keys, or other cases.",
    )


def _hold(case: Case, message: Message, wait: limits.Wait) -> None:
    """The mail is one too many for this hour: its turn comes later."""
    if message.waits_for != wait.whose:
        message.waits_for = wait.whose
        message.save(update_fields=["waits_for"])
        record(case, "message.waits", messageId=str(message.pk), why=wait.whose.label, until=wait.until.isoformat())
    case.retry_at = wait.until
    work.reschedule(case)
    case.save(update_fields=["due_at", "retry_at"])


def outgoing(case: Case, message: Message) -> OutgoingMail:
    """The message as transports are given it, but for its files."""
    return OutgoingMail(
        case_id=str(case.pk),
        from_address=message.from_address,
        from_name=message.from_name,
        to_address=message.to_address,
        to_name=case.counterparty["name"],
        subject=message.subject,
        text=message.text,
        message_id=message.message_id,
        in_reply_to=message.in_reply_to,
        references=tuple(message.references.split()),
        idempotency_key=message.idempotency_key,
        queued_at=message.created_at,
        reply_to=reply_address.address_for(case) if case.transport == "email" else "",
        thread_id=case.thread_id,
        send_began_at=message.send_started_at,
    )


# --- Composing ------------------------------------------------------------------------------------


def compose_first(claimed: Claim, now: Situation) -> None:
    """Write the first message and queue it; after a question, with the human's answer."""
    _compose(claimed, now, Purpose.OUTREACH)


def follow_up(claimed: Claim, now: Situation) -> None:
    """One follow-up in the thread, or the end where enough have been sent."""
    if now.case.follow_up_count >= now.case.max_attempts:
        with claimed.decide() as case:
            count = case.follow_up_count
            reason = f"No answer after {count} follow-up{'' if count == 1 else 's'}."
            transitions.fail(case, result_status=ResultStatus.MAX_RETRIES, reason=reason)
    elif not _asked_about_too_many(claimed, now):
        _compose(claimed, now, Purpose.FOLLOW_UP)


def _compose(claimed: Claim, now: Situation, purpose: Purpose) -> None:
    if reason := suppression.sentence_against(now.case):
        with claimed.decide() as case:
            transitions.fail(case, result_status=ResultStatus.SUPPRESSED, reason=reason)
        return
    agent = registry.current(claimed.remaining())
    if agent.judges_drafts and _asked_about_budget(claimed, now):
        return
    if purpose == Purpose.OUTREACH:
        enclosures.read(claimed, now.enclosed)
    view = now.view(with_images=agent.takes_images)
    work.let_go_of_connection()
    compose = agent.draft_outreach if purpose == Purpose.OUTREACH else agent.draft_follow_up
    with metered(claimed) as meter:
        written = deliberation.write(
            agent, view, partial(compose, view), meter, is_reminder=purpose == Purpose.FOLLOW_UP
        )
    with claimed.decide() as case:
        _queue(case, agent, purpose, written)


def _queue(case: Case, agent: Agent, purpose: Purpose, written: Written, **more: Any) -> None:
    """Queue what was written, or put it to review; ask a human where it still breaks a rule."""
    draft = written.draft
    if written.refused:
        record(case, "draft.refused", agent=agent.name, faults=list(written.refused))
    record(
        case,
        "draft.judged" if written.is_judged else "draft.written",
        agent=agent.name,
        judged=written.is_judged,
        allowed=not written.faults,
        rewritten=written.was_rewritten,
        faults=list(written.faults),
    )
    if written.faults:
        faults = "\n".join(f"- {fault}" for fault in written.faults)
        transitions.ask(
            case,
            question=f"The agent's mail was held back:\n{faults}\n\nIt reads:\n\n{draft.body}\n\nWhat should it say?",
            reason="A draft broke a rule, and was no better when it was written again.",
            proposal=proposals.of_draft(written),
        )
        return
    proposed = "" if case.reopened_from_id else draft.subject  # it stays in the thread that it continues
    subject = proposed or services.subject_of(case)
    is_draft = case.reviews_next_mail
    if not (is_draft and _asked_instead_of_review(case, subject, draft.body)):
        correspondence.queue(case, purpose=purpose, subject=subject, text=draft.body, is_draft=is_draft, **more)


def _asked_instead_of_review(case: Case, subject: str, text: str) -> bool:
    """Whether a human was asked what to write, since nobody should be shown this draft, or has rejected it before."""
    if leaked := guard.leaks(case, f"{subject}\n{text}"):
        _ask_about_leak(case, text, leaked)
        return True
    reasons = [draft.rejection for draft in drafts.rejected(case) if draft.text.split() == text.split()]
    if reasons:
        transitions.ask(
            case,
            question=f"The draft was rejected: {reasons[-1]}\n\nThe agent writes the same again:\n\n{text}\n\n"
            "What should the mail say?",
            reason="The agent can't write it otherwise.",
        )
    return bool(reasons)


TOO_MANY = "The limit of mails per case and hour is reached."


def _asked_about_too_many(claimed: Claim, now: Situation) -> bool:
    """Whether a human was asked because the case has sent as many mails as it may within an hour."""
    limit = settings.OFFLOAD_MAX_MESSAGES_PER_HOUR
    if now.sent_within_an_hour < limit * (1 + now.answered_since(TOO_MANY, timedelta(hours=1))):
        return False
    question = (
        f"This case has sent {now.sent_within_an_hour} mails within an hour, which is as many as it may. "
        "Anything you answer lets it go on."
    )
    _ask_about_ourselves(claimed, question, TOO_MANY)
    return True


def _asked_about_budget(claimed: Claim, now: Situation) -> bool:
    """Whether a human was asked because models have been asked as much as they may."""
    what = budget.exhausted(now)
    if what is None:
        return False
    with claimed.decide() as case:
        record(case, "budget.exhausted", what=what)
        question = f"{what} That is as much as it may. Anything you answer lets it go on."
        transitions.ask(case, question=question, reason=budget.REASON, is_operational=True)
    return True


def _ask_about_ourselves(claimed: Claim, question: str, reason: str) -> None:
    with claimed.decide() as case:
        transitions.ask(case, question=question, reason=reason, is_operational=True)


def ask_about_agent(claimed: Claim, error: AgentGaveUp) -> None:
    """The agent says nothing that can be used, however often it is asked: no mail is sent, a human hears why."""
    question = (
        f"The agent could not go on: {error}\n\nAnything you answer makes it try again. You can also reply to the "
        "counterparty or end the case yourself."
    )
    _ask_about_ourselves(claimed, question, "The agent's answers could not be used.")


def take_draft_back(claimed: Claim, now: Situation) -> None:
    """The case has moved on without the draft that waits: look at it afresh."""
    with claimed.decide() as case:
        drafts.supersede(case)


def end_for_deadline(claimed: Claim, now: Situation) -> None:
    """Whatever still comes would come too late. A goal that is reached stays reached, without thanks that waited."""
    with claimed.decide() as case:
        unsent = case.messages.filter(status__in=[MessageStatus.QUEUED, MessageStatus.DRAFT])
        thanks = unsent.filter(completion__isnull=False, case_version=case.version).first()
        if thanks and thanks.completion:
            transitions.complete(case, **thanks.completion)
            return
        reason = "The deadline passed before the goal was reached."
        transitions.fail(case, result_status=ResultStatus.DEADLINE_PASSED, reason=reason)


def end_unanswered(claimed: Claim, now: Situation) -> None:
    """The client does not want the case to wait any longer for an answer."""
    with claimed.decide() as case:
        hours = transitions.hours_to_answer(case)
        reason = f"Nobody answered the question within {hours} hour{'' if hours == 1 else 's'}."
        transitions.fail(case, result_status=ResultStatus.DEADLINE_PASSED, reason=reason)


def remind(claimed: Claim, now: Situation) -> None:
    """Tell people again of the question that nobody has answered."""
    with claimed.decide() as case:
        transitions.remind(case)


# --- Judging --------------------------------------------------------------------------------------


def clear_schedule(claimed: Claim, now: Situation) -> None:
    """A follow-up is due while a reply waits to be evaluated: nothing is sent, the reply decides."""
    with claimed.decide() as case:
        correspondence.clear_schedule(case)


def evaluate(claimed: Claim, now: Situation) -> None:
    """Judge the thread, with the human's answer if there is a new one, and carry the verdict out."""
    agent = registry.current(claimed.remaining())
    if agent.judges_drafts and _asked_about_budget(claimed, now):
        return
    view = now.view(with_images=agent.takes_images)
    work.let_go_of_connection()
    with metered(claimed) as meter:
        verdict = deliberation.judge(agent, view, meter)
        if not now.has_new_answer:
            verdict = robots.silenced(view, verdict, is_played=now.case.transport == "sandbox")
        thanks = settings.OFFLOAD_CLOSING_MAIL and not now.has_thanked and not verdict.opts_out
        written = _written(agent, view, verdict, meter, thanks=thanks)
    if (
        written
        and not now.has_new_answer
        and verdict.decision == Decision.REPLY
        and _asked_about_too_many(claimed, now)
    ):
        return
    with claimed.decide() as case:
        record(
            case,
            "verdict",
            agent=agent.name,
            decision=verdict.decision,
            reason=verdict.reason,
            unread=deliberation.unread_files(view),
        )
        if verdict.opts_out:
            _opt_out(case, agent, now, verdict)
        elif verdict.decision == Decision.REPLY and written:
            _queue(case, agent, Purpose.REPLY, written)
        elif verdict.decision == Decision.GOAL_ACHIEVED:
            _complete(case, agent, verdict, written)
        else:
            VERDICTS[verdict.decision](case, verdict)


def _written(agent: Agent, view: CaseView, verdict: Verdict, meter: Meter, *, thanks: bool) -> Written | None:
    """The mail that the verdict wants: a reply, or at the end thanks where those are wanted."""
    if verdict.decision == Decision.REPLY and not verdict.opts_out:
        return deliberation.write(agent, view, partial(agent.draft_reply, view, verdict), meter)
    if verdict.decision == Decision.GOAL_ACHIEVED and thanks:
        return deliberation.write(agent, view, partial(agent.draft_closing, view, verdict), meter)
    return None


def _complete(case: Case, agent: Agent, verdict: Verdict, thanks: Written | None) -> None:
    """End the case; where the counterparty is thanked, as soon as that mail is sent, since an ended case sends none."""
    end = {
        "result": verdict.result,
        "sources": [vars(source) for source in verdict.sources],
        "reason": verdict.reason,
    }
    if thanks and not thanks.faults:
        _queue(case, agent, Purpose.REPLY, thanks, completion=end)
    else:
        transitions.complete(case, **end)


def _opt_out(case: Case, agent: Agent, now: Situation, verdict: Verdict) -> None:
    """They want no more mail, of which nothing that comes after makes an exception. What they have given counts."""
    writers = dict.fromkeys([case.counterparty_address, *(message.from_address for message in now.unread)])
    for address in writers:
        suppression.add(case, SuppressionReason.STOP, address=address, note=verdict.reason)
    if verdict.decision == Decision.GOAL_ACHIEVED:
        _complete(case, agent, verdict, None)
    else:
        transitions.fail(case, result_status=ResultStatus.OPTED_OUT, reason=verdict.reason or OPTED_OUT)


OPTED_OUT = "The counterparty wants no more mail."


def _reject(case: Case, verdict: Verdict) -> None:
    transitions.fail(case, result_status=ResultStatus.FAILED_REJECTED, reason=verdict.reason)


def _ask(case: Case, verdict: Verdict) -> None:
    transitions.ask(
        case,
        question=verdict.question,
        reason=verdict.reason,
        options=list(verdict.options) or None,
        answer_schema=verdict.answer_schema,
        proposal=proposals.of_verdict(verdict),
    )


def _wait(case: Case, verdict: Verdict) -> None:
    until = verdict.wait_until or correspondence.follow_up_time(case)
    correspondence.wait_until(case, until, reason=verdict.reason)


VERDICTS: Mapping[Decision, Callable[[Case, Verdict], None]] = {
    Decision.REJECTED: _reject,
    Decision.INPUT_NEEDED: _ask,
    Decision.WAIT: _wait,
}


# --- The table ------------------------------------------------------------------------------------


def _unsent_and_answered(now: Situation) -> bool:
    has_begun = now.case.attempt_count > 0 or now.has_heard
    return now.case.status == Status.INPUT_NEEDED and _answered(now) and not has_begun


def _answered(now: Situation) -> bool:
    return (
        now.has_new_answer and not now.is_held_up
    )  # RUNNING too, where a mail that was queued before the answer has gone out since


def _reply_has_settled(now: Situation) -> bool:
    return now.has_settled and not now.is_held_up


TABLE: tuple[tuple[Callable[[Situation], bool], Callable[[Claim, Situation], None]], ...] = (
    (lambda now: not now.is_open, derive_again),
    (lambda now: now.is_sending, send_queued),
    (lambda now: now.is_paused, derive_again),
    (lambda now: now.is_too_late, end_for_deadline),
    (lambda now: now.is_unanswered_for_too_long, end_unanswered),
    (lambda now: now.has_queued, send_queued),
    (lambda now: now.has_outdated_draft, take_draft_back),
    (lambda now: now.case.status == Status.CREATED, compose_first),
    (_unsent_and_answered, compose_first),
    (_answered, evaluate),
    (lambda now: bool(now.unread) and now.follow_up_is_due, clear_schedule),
    (_reply_has_settled, evaluate),
    (lambda now: now.question_is_overdue and not now.case.fails_unanswered, remind),
    (lambda now: now.follow_up_is_due, follow_up),
)
