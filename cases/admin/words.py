"""States, times and events in words for staff."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from django.conf import settings

from cases import moments
from cases.models import Admission, Case, Draft, Event, Message, MessageStatus, Purpose, ResultStatus, Status

STATUSES: Mapping[str, tuple[str, str]] = {  # in words, and the badge's tone
    Status.CREATED: ("Created", "calm"),
    Status.RUNNING: ("Running", "info"),
    Status.INPUT_NEEDED: ("Input needed", "warn"),
    Status.COMPLETED: ("Completed", "ok"),
    Status.FAILED: ("Failed", "bad"),
}
ENDS: Mapping[str, str] = {
    ResultStatus.GOAL_ACHIEVED: "goal achieved",
    ResultStatus.MAX_RETRIES: "no answer to any follow-up",
    ResultStatus.FAILED_REJECTED: "the counterparty refused",
    ResultStatus.BOUNCED: "the mail could not be delivered",
    ResultStatus.COMPLAINED: "reported as unwanted mail",
    ResultStatus.REJECTED: "the provider refused the mail",
    ResultStatus.CANCELLED: "cancelled",
    ResultStatus.OPTED_OUT: "the counterparty wants no more mail",
    ResultStatus.SUPPRESSED: "the address gets no mail from us",
    ResultStatus.DEADLINE_PASSED: "the deadline has passed",
    ResultStatus.FAILED_BY_STAFF: "ended by staff",
}

OUR_MAIL: Mapping[str, str] = {
    Purpose.OUTREACH: "First mail",
    Purpose.FOLLOW_UP: "Follow-up",
    Purpose.REPLY: "Reply",
}
THEIR_MAIL: Mapping[str, str] = {
    Purpose.HUMAN: "Reply",
    Purpose.MACHINE: "Automatic mail",
    Purpose.DELAY: "Delay notice",
    Purpose.REPORT: "Delivery report",
}
MAIL_STATES: Mapping[str, str] = {
    MessageStatus.DRAFT: "waits for approval",
    MessageStatus.QUEUED: "about to be sent",
    MessageStatus.DROPPED: "taken back, never sent",
    MessageStatus.REFUSED: "refused by the provider",
    MessageStatus.UNKNOWN: "may or may not have been sent: the case ended meanwhile",
}

MAIL_TONES: Mapping[str, str] = {  # of their badges
    MessageStatus.DRAFT: "warn",
    MessageStatus.QUEUED: "info",
    MessageStatus.DROPPED: "calm",
    MessageStatus.REFUSED: "bad",
    MessageStatus.UNKNOWN: "warn",
}
REPORTED: Mapping[str, str] = {  # of a mail that the case ended with
    ResultStatus.BOUNCED: "came back: it could not be delivered",
    ResultStatus.COMPLAINED: "reported as unwanted",
    ResultStatus.REJECTED: "refused by the provider",
}


UNITS = (  # longer than a minute, in seconds
    ("hour", 3600),
    ("day", 86400),
    ("week", 7 * 86400),
    ("month", 30 * 86400),
    ("year", 365 * 86400),
)


def in_one_line(text: str) -> str:
    """The text without its line breaks, and without the marks of what is quoted in it."""
    return " ".join(line.lstrip("> \t") for line in text.splitlines()).strip()


def span(since: datetime, until: datetime) -> str:
    """How long between the two, rounded to its largest unit: `3 days` for anything from 60 hours to 84."""
    seconds = (until - since).total_seconds()
    if seconds < 60:
        return "less than a minute"
    name, length = "minute", 60
    for longer_name, longer in UNITS:
        if round(seconds / length) * length < longer:  # 23:40 h are 24 hours in hours, and so a day
            break
        name, length = longer_name, longer
    number = round(seconds / length)
    return f"{number} {name}{'' if number == 1 else 's'}"


def kind_of_mail(message: Message) -> str:
    """What a mail of the thread is."""
    return THEIR_MAIL.get(message.purpose) or OUR_MAIL.get(message.purpose, message.purpose.capitalize())


def writing(message: Message, facts: "Facts | None") -> Iterator[str]:
    """Who or what wrote a mail of ours, and who has looked at it; `facts` are those of the draft's event, if any."""
    if message.written_by:
        yield f"Written by {message.written_by}"
    elif facts is not None:
        judged = "judged before it was sent" if facts.get("judged") else "judged by nothing else"
        yield f"Written by the agent “{facts.get('agent')}”, {judged}"
        if facts.get("rewritten"):
            yield "its first draft was refused"
    if message.edited_by:
        yield f"changed by {message.edited_by}"
    if message.decided_by:
        yield f"{'rejected' if message.rejection else 'approved'} by {message.decided_by}"


def cost(case: Case) -> str:
    """What models have been asked for the case; empty where none has."""
    if not case.model_calls:
        return ""
    price = money(case.model_cost)
    calls = f"{case.model_calls} model call{'' if case.model_calls == 1 else 's'}, {case.model_tokens} tokens"
    return f"{price} for {calls}" if price else calls


def state_of_draft(draft: Draft) -> str:
    """What has become of it, and by whom."""
    if draft.rejection:
        return f"rejected by {draft.decided_by}"
    if draft.decided_by:
        return f"approved by {draft.decided_by}"
    return MAIL_STATES[MessageStatus.DRAFT] if draft.waits_on(draft.case) else "taken back: the case has moved on"


def next_step(case: Case, now: datetime) -> str:
    """What will happen to the case next. For a case of `for_staff()`, whose annotations it reads."""
    if case.is_terminal:
        return f"Ended: {ENDS.get(case.result_status or '', case.result_status)}"
    words = step_of(case, now)
    if case.failures and case.retry_at and case.retry_at > now:
        times = "once" if case.failures == 1 else f"{case.failures} times"
        words += f"; failed {times}, next try in {_until(case.retry_at, now)}"
    elif case.failing_since and case.retry_at and case.retry_at > now:
        words += f"; waits for a provider that is left alone, next look in {_until(case.retry_at, now)}"
    return words


def step_of(case: Any, now: datetime) -> str:
    """The next step of an open case, whatever has failed before it."""
    if case.paused_at:
        return f"Paused for {span(case.paused_at, now)}"
    if case.asked_at:
        return f"Has waited {span(case.asked_at, now)} for an answer"
    if case.drafted_at:
        return f"A draft has waited {span(case.drafted_at, now)} for approval"
    if case.has_queued:
        waits = case.retry_at and case.retry_at > now and not case.failures
        return f"A mail waits for its turn for {_until(case.retry_at, now)}" if waits else "A mail is about to be sent"
    if case.has_unread:
        return "A reply is about to be judged"
    if case.status == Status.CREATED:
        return "The first mail is about to be written"
    if case.status == Status.INPUT_NEEDED:
        return "The answer is about to be used"
    if case.next_action_at is None:
        return "About to be looked at"
    what = "Follow-up" if case.follow_up_count < case.max_attempts else "Gives up"
    return f"{what} in {_until(case.next_action_at, now)}" if case.next_action_at > now else f"{what} now"


def _until(moment: datetime, now: datetime) -> str:
    return span(now, moment)


Facts = Mapping[str, Any]
VERDICTS: Mapping[str, str] = {
    "GOAL_ACHIEVED": "the goal is achieved",
    "REJECTED": "the counterparty refuses",
    "REPLY": "a reply is needed",
    "INPUT_NEEDED": "a person has to decide",
    "WAIT": "there is nothing to do yet",
}
ASKED_FOR: Mapping[str, str] = {
    "outreach": "to write the first mail",
    "follow_up": "to write a follow-up",
    "reply": "to write a reply",
    "closing": "to write the thanks at the end",
    "evaluation": "to judge the conversation",
    "check": "to look at a draft once more",
}
EVENTS: Mapping[str, Callable[[Facts], str]] = {
    "case.created": lambda facts: "The case was posted",
    "case.changed": lambda facts: f"Changed: {_fields(facts)}",
    "case.paused": lambda facts: "The case was paused: nothing is sent, and nothing judged",
    "case.resumed": lambda facts: "The case goes on after its pause",
    "case.reopened": lambda facts: "The case goes on in a new one, in the same thread of mail",
    "case.input_overdue": lambda facts: "Nobody has answered in time: people are told of the question again",
    "case.input_needed": lambda facts: "A question to a person",
    "case.waiting": lambda facts: f"Nothing will be done before {_moment(facts.get('until'))}",
    "case.draft_ready": lambda facts: f"{_ours(facts)} waits for approval",
    "case.erased": lambda facts: "Somebody who takes part was forgotten: what was written is gone",
    "case.completed": lambda facts: "The case is completed",
    "case.failed": lambda facts: f"The case has ended: {ENDS.get(facts.get('resultStatus', ''), 'failed')}",
    "budget.exhausted": lambda facts: "No model is asked any more: a limit is reached",
    "draft.refused": lambda facts: f"A mail that the agent “{facts.get('agent')}” had drafted was refused",
    "draft.approved": lambda facts: f"{_ours(facts)} was approved, and is ready to be sent",
    "draft.handed_over": lambda facts: f"The draft was handed to {facts.get('to')}",
    "draft.taken_over": lambda facts: f"The draft was taken over from {facts.get('from')}",
    "draft.edited": lambda facts: "The draft was changed; before, it read",
    "draft.rejected": lambda facts: "The draft was rejected",
    "draft.superseded": lambda facts: "The draft was taken back: the case has moved on",
    "draft.judged": lambda facts: f"{_written(facts)} and judged: {_allowed(facts)}",
    "draft.written": lambda facts: f"{_written(facts)}, {_judged(facts)}",
    "question.handed_over": lambda facts: f"The question was handed to {facts.get('to')}",
    "question.taken_over": lambda facts: f"The question was taken over from {facts.get('from')}",
    "input.provided": lambda facts: "The question was answered",
    "mail.assigned": lambda facts: f"{_mail_of(facts)} was assigned to this case",
    "mail.discarded": lambda facts: f"{_mail_of(facts)} was put aside: it never acted",
    "mail.quarantined": lambda facts: f"{_mail_of(facts)} was kept from the case, and waits for a person",
    "mail.released": lambda facts: f"{_mail_of(facts)} was let through{_from_now_on(facts)}",
    "mail.sender_admitted": lambda facts: f"{facts.get('sender')} takes part from now on: {_admission(facts)}",
    "mail.suspicious": lambda facts: "Look closely: a mail seems to be meant to steer the agent, or to deceive",
    "message.queued": lambda facts: f"{_ours(facts)} is ready to be sent",
    "message.sent": lambda facts: f"{_ours(facts)} was sent",
    "message.dropped": lambda facts: "A mail was taken back before it was sent",
    "message.refused": lambda facts: "The provider refused the mail",
    "message.waits": lambda facts: f"A mail waits for its turn, until {_moment(facts.get('until'))}",
    "message.withheld": lambda facts: "A mail was kept from being sent",
    "address.suppressed": lambda facts: f"{facts.get('address')} gets no more mail",
    "message.received": lambda facts: f"{THEIR_MAIL.get(facts.get('purpose', ''), 'Mail')} has come in",
    "model.called": lambda facts: _model_call(facts),
    "sandbox.played": lambda facts: f"The counterparty was played: {facts.get('step')}",
    "time.skipped": lambda facts: f"Time was let pass in the sandbox: {facts.get('seconds', 0) / 3600:g} hours",
    "verdict": lambda facts: (
        f"The agent “{facts.get('agent')}” finds that "
        f"{VERDICTS.get(facts.get('decision', ''), facts.get('decision', 'nothing'))}"
        + (f"; not read, or not wholly: {', '.join(facts['unread'])}" if facts.get("unread") else "")
    ),
    "webhook.parked": lambda facts: f"No webhooks are sent to {facts.get('origin')} any more",
}
# Texts, or lists of them.
DETAILS = ("before", "question", "answer", "reason", "note", "what", "why", "faults", "fault")


FIELDS: Mapping[str, str] = {  # that may be changed while a case goes on
    "address": "the counterparty's address",
    "client_reference_id": "the reference",
    "client_webhook_url": "where webhooks go",
    "constraints": "the constraints",
    "deadline_at": "the deadline",
    "follow_up_delay_hours": "how long after a mail the next follow-up comes",
    "input_timeout_action": "what happens to a question that nobody answers",
    "input_timeout_hours": "how long a question may wait",
    "knowledge": "what is known",
    "max_attempts": "how many follow-ups there may be",
    "metadata": "the metadata",
    "review_mode": "which mails wait for approval",
}


def _fields(facts: Facts) -> str:
    names = facts.get("fields") or ["something"]
    return ", ".join(FIELDS.get(name, str(name).replace("_", " ")) for name in names)


def _mail_of(facts: Facts) -> str:
    return f"A mail of {facts.get('sender') or 'an unknown sender'}"


def _from_now_on(facts: Facts) -> str:
    return ", and so will be all of this sender" if facts.get("admitted") else ""


def _admission(facts: Facts) -> str:
    how = facts.get("how", "")
    return str(Admission(how).label) if how in Admission.values else str(how)


def _ours(facts: Facts) -> str:
    return OUR_MAIL.get(facts.get("purpose", ""), "A mail")


def _judged(facts: Facts) -> str:
    return "and judged before it goes out" if facts.get("judged") else "which nothing else has judged"


def _written(facts: Facts) -> str:
    again = ", written anew" if facts.get("rewritten") else ""
    return f"A mail was written by the agent “{facts.get('agent')}”{again}"


def _allowed(facts: Facts) -> str:
    return "it may be sent" if facts.get("allowed") else "it may not be sent"


def _model_call(facts: Facts) -> str:
    aim = ASKED_FOR.get(facts.get("purpose", ""), f"for “{facts.get('purpose')}”")
    version = f", prompt {facts['promptVersion']}" if facts.get("promptVersion") else ""
    tokens = f"{facts.get('promptTokens', 0)} tokens in, {facts.get('completionTokens', 0)} out"
    took = f", {facts['durationMs'] / 1000:.1f} s" if facts.get("durationMs") else ""
    cost = money(facts.get("cost", ""))
    return f"The model {facts.get('model')} was asked {aim}{version}: {tokens}{took}{cost and f', cost {cost}'}"


def money(amount: Any) -> str:
    """A decimal without the zeros at its end, in the price table's currency; nothing for nothing."""
    digits = str(amount or "")
    shorter = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return "" if shorter in ("", "0") else f"{shorter} {settings.OFFLOAD_MODEL_CURRENCY}".strip()


def _moment(text: Any) -> str:
    try:
        return moments.at_length(datetime.fromisoformat(text))
    except (TypeError, ValueError):
        return str(text)


def told(event: Event) -> tuple[str, str]:
    """A line of the timeline in words, and what was said then (a question, a reason, what is wrong; may be empty).

    One without words here shows its name and what data it has.
    """
    words = EVENTS.get(event.type)
    if words is None:
        name = " ".join(event.type.replace("_", " ").replace(".", " ").split())
        return name.capitalize(), "\n".join(f"{name}: {value}" for name, value in event.data.items())
    said = (_lines(event.data[name]) for name in DETAILS if event.data.get(name))
    return words(event.data), "\n".join(said)


def _lines(said: Any) -> str:
    return "\n".join(f"- {entry}" for entry in said) if isinstance(said, list) else str(said)
