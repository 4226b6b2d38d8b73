"""One step of a case: look at it as it stands and do the next right thing. First match of TABLE wins.

Every act has three phases that never mix: what is read is in the Situation; then the agent or the transport is talked
to, with no transaction and no connection held; then one short transaction writes what came of it.
"""

from collections.abc import Callable, Mapping

from django.conf import settings

from cases import correspondence, services, transitions, work
from cases.events import record
from cases.models import Case, Message, Purpose, ResultStatus, Status
from outreach import evidence
from outreach.agents import guard, registry
from outreach.agents.base import CaseView, Decision, Draft, Verdict
from outreach.situation import Situation
from outreach.transports import OutgoingMail, TransportError, transport_named

Claim = work.Claim[Case]


def advance(claimed: Claim) -> None:
    """Do the next right thing for the claimed case. Safe to run twice, or to be killed anywhere."""
    now = Situation.of(claimed.read())
    for applies, act in TABLE:
        if applies(now):
            act(claimed, now)
            return
    derive_again(claimed)


def derive_again(claimed: Claim) -> None:
    """Nothing is to be done: say so in the row, or it would stay due."""
    with claimed.write() as case:
        work.reschedule(case)
        case.save(update_fields=["due_at"])


# --- Sending --------------------------------------------------------------------------------------


def send_queued(claimed: Claim, now: Situation) -> None:
    """Send exactly the one queued message. What the transport answers is a fact, whatever else happens meanwhile."""
    with claimed.write() as case:
        message = correspondence.next_to_send(case)
        if message is None:
            return
        leaked = [] if message.send_started_at else guard.leaks(case, f"{message.subject}\n{message.text}")
        if leaked:
            _stop_leak(case, message, leaked)
            return
        correspondence.begin_send(case, message)
    mail = _outgoing(case, message)
    work.let_go_of_connection()
    if not claimed.renewed():
        raise work.LeaseLost(f"case {claimed.pk}: too little of the lease is left to send")
    try:
        receipt = transport_named(case.transport).send(mail)
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


def _stop_leak(case: Case, message: Message, leaked: list[str]) -> None:
    """A mail that gives something away is not sent; a human says what to write instead."""
    correspondence.drop(case, message)
    transitions.ask(
        case,
        question=f"The next mail was held back, because it contains {', '.join(leaked)}:\n\n{message.text}\n\n"
        "What should be written instead?",
        reason="Guard: a mail must not give away metadata, keys, or other cases.",
    )


def _outgoing(case: Case, message: Message) -> OutgoingMail:
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
    )


# --- Composing ------------------------------------------------------------------------------------


def compose_first(claimed: Claim, now: Situation) -> None:
    """Write the first message and queue it; after a question, with the human's answer."""
    work.let_go_of_connection()
    draft = registry.current().draft_outreach(now.view())
    _queue(claimed, Purpose.OUTREACH, draft)


def follow_up(claimed: Claim, now: Situation) -> None:
    """One follow-up in the thread, or the end where enough have been sent."""
    if now.case.follow_up_count >= now.case.max_attempts:
        with claimed.decide() as case:
            reason = f"No answer after {case.follow_up_count} follow-ups."
            transitions.fail(case, result_status=ResultStatus.MAX_RETRIES, reason=reason)
        return
    if _asked_about_too_many(claimed, now):
        return
    work.let_go_of_connection()
    draft = registry.current().draft_follow_up(now.view())
    _queue(claimed, Purpose.FOLLOW_UP, draft)


def _queue(claimed: Claim, purpose: Purpose, draft: Draft) -> None:
    with claimed.decide() as case:
        agent = registry.current()
        record(case, "draft.written", agent=agent.name, judged=agent.judges_drafts)
        correspondence.queue(case, purpose=purpose, subject=draft.subject or services.subject_of(case), text=draft.body)


def _asked_about_too_many(claimed: Claim, now: Situation) -> bool:
    """Whether a human was asked because the case has sent as many mails as it may within an hour."""
    limit = settings.OFFLOAD_MAX_MESSAGES_PER_HOUR
    if now.sent_within_an_hour < limit:
        return False
    with claimed.decide() as case:
        question = f"This case has sent {limit} mails within an hour, which is as many as it may. Should it go on?"
        reason = "The limit of mails per case and hour is reached."
        transitions.ask(case, question=question, reason=reason, is_operational=True)
    return True


# --- Judging --------------------------------------------------------------------------------------


def clear_schedule(claimed: Claim, now: Situation) -> None:
    """A follow-up is due while a reply waits to be evaluated: nothing is sent, the reply decides."""
    with claimed.decide() as case:
        correspondence.clear_schedule(case)


def evaluate(claimed: Claim, now: Situation) -> None:
    """Judge the thread, with the human's answer if there is a new one, and carry the verdict out."""
    view = now.view()
    work.let_go_of_connection()
    agent = registry.current()
    verdict = _believed(view, agent.evaluate(view))
    if verdict.decision == Decision.REPLY and not now.has_new_answer and _asked_about_too_many(claimed, now):
        return
    with claimed.decide() as case:
        record(case, "verdict", agent=agent.name, decision=verdict.decision, reason=verdict.reason)
        VERDICTS[verdict.decision](case, verdict)


def _believed(view: CaseView, verdict: Verdict) -> Verdict:
    """The verdict itself, or a question to a human where its result is not borne out by what people wrote."""
    if verdict.decision != Decision.GOAL_ACHIEVED:
        return verdict
    errors = evidence.errors(view, verdict.result, verdict.sources)
    if not errors:
        return verdict
    listed = "\n".join(f"- {error}" for error in errors)
    return Verdict(
        Decision.INPUT_NEEDED,
        question=f"The goal seems to be achieved, but the result is not borne out:\n{listed}\n\nWhat should be done?",
        reason="The result does not validate, or a value in it has no source.",
    )


def _complete(case: Case, verdict: Verdict) -> None:
    sources = [vars(source) for source in verdict.sources]
    transitions.complete(case, result=verdict.result, sources=sources, reason=verdict.reason)


def _reject(case: Case, verdict: Verdict) -> None:
    transitions.fail(case, result_status=ResultStatus.FAILED_REJECTED, reason=verdict.reason)


def _reply(case: Case, verdict: Verdict) -> None:
    correspondence.queue(case, purpose=Purpose.REPLY, subject=services.subject_of(case), text=verdict.reply_body)


def _ask(case: Case, verdict: Verdict) -> None:
    transitions.ask(case, question=verdict.question, reason=verdict.reason)


def _wait(case: Case, verdict: Verdict) -> None:
    until = verdict.wait_until or correspondence.follow_up_time(case)
    correspondence.wait_until(case, until, reason=verdict.reason)


VERDICTS: Mapping[Decision, Callable[[Case, Verdict], None]] = {
    Decision.GOAL_ACHIEVED: _complete,
    Decision.REJECTED: _reject,
    Decision.REPLY: _reply,
    Decision.INPUT_NEEDED: _ask,
    Decision.WAIT: _wait,
}


# --- The table ------------------------------------------------------------------------------------


def _unsent_and_answered(now: Situation) -> bool:
    return now.case.status == Status.INPUT_NEEDED and now.has_new_answer and now.case.attempt_count == 0


def _answered(now: Situation) -> bool:
    return now.has_new_answer  # RUNNING too, where a mail that was queued before the answer has gone out since


def _reply_has_settled(now: Situation) -> bool:
    return now.has_settled and not now.case.is_held_up


TABLE: tuple[tuple[Callable[[Situation], bool], Callable[[Claim, Situation], None]], ...] = (
    (lambda now: not now.is_open, lambda claimed, _: derive_again(claimed)),
    (lambda now: now.has_queued, send_queued),
    (lambda now: now.case.status == Status.CREATED, compose_first),
    (_unsent_and_answered, compose_first),
    (_answered, evaluate),
    (lambda now: bool(now.unread) and now.follow_up_is_due, clear_schedule),
    (_reply_has_settled, evaluate),
    (lambda now: now.follow_up_is_due, follow_up),
)
