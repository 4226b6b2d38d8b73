"""The agent without a model: a form by mail. It asks for lines, reads lines, and leaves everything else to a human."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from cases import result_schema
from outreach.agents import fields as forms
from outreach.agents import hints, remarks
from outreach.agents.base import AgentAsks, CaseView, Decision, Draft, Judgement, Mail, Verdict
from outreach.agents.fields import Entry, Field
from outreach.agents.phrases import Phrases, phrases_in
from outreach.agents.replies import Reading, read


class FormAgent:
    """Deterministic: the same thread gives the same mail and the same verdict."""

    name = "form"
    judges_drafts = False  # fixed texts and human words only: there is nothing that a model wrote
    takes_images = False

    def draft_outreach(self, case: CaseView, faults: tuple[str, ...] = ()) -> Draft:
        asked = forms.fields_of(case.result_schema)
        out_of_reach = [field.title for field in asked if field.is_required and not field.is_askable]
        if out_of_reach and not case.answers:
            raise AgentAsks(
                f"The resultSchema requires what can't be asked for line by line: {', '.join(out_of_reach)}. What "
                "should the mail say about it? Your answer goes into it as it is; what comes back is for you to read."
            )
        words = phrases_in(case.language)
        company = case.persona.get("company")
        about = words.say("about_for", company=company) if company else words.say("about")
        body = [about, _objective(case), *_words_of_humans(case), *_deadline(case, words)]
        if case.enclosed:
            body.append(words.say("attached", names=words.listed([file.name for file in case.enclosed])))
        body += _please(words, "please", asked)
        return Draft(_mail(case, *body))

    def draft_follow_up(self, case: CaseView, faults: tuple[str, ...] = ()) -> Draft:
        words = phrases_in(case.language)
        at = next(mail.at for mail in reversed(case.thread) if mail.from_us)
        asked = read(case).to_ask or forms.fields_of(case.result_schema)
        body = [words.say("reminder", date=_day(words, at)), _objective(case), *_deadline(case, words)]
        body += _please(words, "please_again", asked)
        return Draft(_mail(case, *body))

    def draft_reply(self, case: CaseView, verdict: Verdict, faults: tuple[str, ...] = ()) -> Draft:
        return Draft(verdict.reply_body)

    def draft_closing(self, case: CaseView, verdict: Verdict, faults: tuple[str, ...] = ()) -> Draft:
        return Draft(_mail(case, phrases_in(case.language).say("end")))

    def judge(self, case: CaseView, draft: Draft) -> Judgement:
        return Judgement(is_allowed=True)

    def evaluate(self, case: CaseView, faults: tuple[str, ...] = ()) -> Verdict:
        reading = read(case)
        if reading.has_remarks:
            return _ask_human(case, reading, "The reply says more than the lines that were asked for.")
        if reading.filled_in_now and reading.is_complete:
            return _complete(case, reading)
        if case.new_answers:
            return _pass_on(case, reading)
        if reading.filled_in_now:
            return _ask_back(case, reading)
        if _is_mere_thanks(case) and not reading.is_complete:
            return Verdict(Decision.WAIT, reason="The counterparty says thank you, and nothing else.")
        return _ask_human(case, reading, "The reply does not fill in the lines that were asked for.")


# --- Verdicts ------------------------------------------------------------------------------------


def _complete(case: CaseView, reading: Reading) -> Verdict:
    if errors := result_schema.errors(case.result_schema, reading.result):
        reasons = "\n".join(f"- {error['path'] or 'result'}: {error['message']}" for error in errors)
        return Verdict(
            Decision.INPUT_NEEDED,
            question="The counterparty has filled in every line, but together they do not satisfy the result schema:\n"
            f"{reasons}\n\nWhat should the answer be?",
            reason="The result does not validate.",
            result=reading.result,
            sources=reading.sources,
        )
    return Verdict(
        Decision.GOAL_ACHIEVED,
        result=reading.result,
        sources=reading.sources,
        reason="Every required line is filled in.",
    )


def _pass_on(case: CaseView, reading: Reading) -> Verdict:
    """The human's words go to the counterparty as they are, with what is still missing."""
    words = phrases_in(case.language)
    body = [*_words_of_humans(case), *_faults(words, reading), *_please(words, "please_open", reading.to_ask, reading)]
    return Verdict(Decision.REPLY, reply_body=_mail(case, *body), reason="A human's answer is passed on.")


def _ask_back(case: CaseView, reading: Reading) -> Verdict:
    if out_of_reach := [field.title for field in reading.to_ask if not field.is_askable]:
        reason = f"What is missing can't be asked for line by line: {', '.join(out_of_reach)}."
        return _ask_human(case, reading, reason)
    if reading.is_stuck:
        titles = ", ".join(field.title for field in reading.to_ask)
        return _ask_human(case, reading, f"Asking again has not helped. Still open: {titles}.")
    words = phrases_in(case.language)
    body = [words.say("thanks"), *_faults(words, reading)]
    if reading.missing:
        still = words.listed([field.title for field in reading.missing])
        body.append(words.say("also_missing" if reading.unusable else "missing", titles=still))
    asked = reading.to_ask or forms.fields_of(case.result_schema)
    body += _please(words, "please_again", asked, reading)
    return Verdict(Decision.REPLY, reply_body=_mail(case, *body), reason=_what_is_wrong(reading))


def _ask_human(case: CaseView, reading: Reading, reason: str) -> Verdict:
    unread = _unread(case)
    said = "\n\n".join(_quoted(mail.text) + _files(mail) for mail in unread)
    parts = [f"The counterparty wrote:\n\n{said}", *_found(case, reading), *_unsent(case)]
    if reading.is_stuck and not reading.has_remarks:
        parts.append(reason)
    return Verdict(
        Decision.INPUT_NEEDED,
        question="\n\n".join([*parts, "What should the answer be?"]),
        reason=reason,
        result=reading.result or None,
        sources=reading.sources,
    )


def _found(case: CaseView, reading: Reading) -> list[str]:
    """The values that the lines give, where there are any."""
    values = ((field.title, _at(reading.result, field.path)) for field in forms.fields_of(case.result_schema))
    lines = [f"- {title}: {_plain(value)}" for title, value in values if value is not _NOTHING]
    if not lines:
        return []
    head = "Every required line is filled in:" if reading.is_complete else "Filled in so far:"
    return ["\n".join([head, *lines])]


_NOTHING = object()


def _at(result: Any, path: forms.Path) -> Any:
    for step in path:
        if not isinstance(result, dict) or step not in result:
            return _NOTHING
        result = result[step]
    return result


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _unsent(case: CaseView) -> list[str]:
    """An answer that this mail has overtaken: it is not sent to somebody who has meanwhile written something else."""
    return [
        f"Your last answer has not been sent, since this mail came first:\n\n{_quoted(answer.text)}"
        for answer in case.new_answers
    ]


def _unread(case: CaseView) -> list[Mail]:
    return [mail for mail in case.from_counterparty if mail.unread]


def _is_mere_thanks(case: CaseView) -> bool:
    """Whether all new mail, which says no more than courtesies, says thank you in words of its own."""
    ours = {line for mail in case.thread if mail.from_us for line in forms.lines_of(mail.text)}
    new_lines = [forms.lines_of(mail.text) - ours for mail in case.from_counterparty if mail.unread and not mail.files]
    return len(new_lines) == len(_unread(case)) and all(map(remarks.is_thanks, new_lines))


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.strip().splitlines()) or "> (no text)"


def _files(mail: Mail) -> str:
    return f"\n(attached: {', '.join(file.name for file in mail.files)})" if mail.files else ""


def _what_is_wrong(reading: Reading) -> str:
    missing = [field.title for field in reading.missing]
    unusable = [entry.field.title for entry in reading.unusable]
    parts = [
        f"{word}: {', '.join(titles)}" for word, titles in (("missing", missing), ("not usable", unusable)) if titles
    ]
    return "; ".join(parts) or "nothing is filled in"


# --- Texts ---------------------------------------------------------------------------------------


def _mail(case: CaseView, *paragraphs: str) -> str:
    words = phrases_in(case.language)
    whole = (words.say("greeting", name=case.counterparty["name"]), *paragraphs, _signature(case, words))
    return "\n\n".join(filter(None, whole)) + "\n"


def _objective(case: CaseView) -> str:
    return str(case.goal["objective"]).strip()


def _deadline(case: CaseView, words: Phrases) -> list[str]:
    if case.deadline is None:
        return []
    zone = case.counterparty.get("timezone", "UTC")
    by = case.deadline.astimezone(ZoneInfo(zone))
    return [words.say("deadline", date=_day(words, by), time=f"{by:%H:%M}", zone=zone)]


def _day(words: Phrases, at: datetime) -> str:
    return words.say("date", day=at.day, month=words.month(at.month), year=at.year)


def _words_of_humans(case: CaseView) -> list[str]:
    return [answer.text.strip() for answer in case.new_answers]


def _signature(case: CaseView, words: Phrases) -> str:
    persona = case.persona
    position = ", ".join(persona[key] for key in ("role", "company") if persona.get(key))
    return "\n".join(filter(None, (words.say("closing"), persona["name"], position)))


def _please(words: Phrases, name: str, fields: Iterable[Field], reading: Reading | None = None) -> list[str]:
    """The lines to fill in, and below them how to, as far as the faults do not say it. Nothing where there is no line.

    A hint has a dash where a line has its colon: a mail that comes back with it has not filled in anything.
    """
    asked = [field for field in fields if field.is_askable]
    if not asked:
        return []
    told = {entry.field.path for entry in reading.unusable} if reading else set()
    optional = _optional(asked, reading)
    notes = []
    for field in asked:
        said = hints.description(field.schema) if field.path in told else hints.hint(field, words)
        if note := "; ".join(filter(None, (said, words.say("may_be_left_out") if field.path in optional else ""))):
            notes.append(f"{field.title} – {note}")
    return [words.say(name), "\n".join(field.line for field in asked), "\n".join(notes)]


def _optional(asked: Sequence[Field], reading: Reading | None) -> set[forms.Path]:
    """What may be left out; a first mail in which that is true of every line does not say so of each."""
    missing = {field.path for field in reading.missing} if reading else set()
    optional = {field.path for field in asked if not field.is_required} - missing
    return optional if reading or len(optional) < len(asked) else set()


def _faults(words: Phrases, reading: Reading) -> list[str]:
    if not reading.unusable:
        return []
    return ["\n".join([words.say("unusable"), *(_fault(words, entry) for entry in reading.unusable)])]


def _fault(words: Phrases, entry: Entry) -> str:
    needed = hints.demands(entry.field.schema, words, is_evasive=entry.says_nothing)
    return f"- {entry.field.title} – {words.say('fault', text=_cut(entry.text), hint=needed)}"


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else line[:79].rstrip() + "…"
