"""The agent without a model: a form by mail. It asks for lines, reads lines, and leaves everything else to a human."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from cases import result_schema
from outreach.agents import fields as forms
from outreach.agents.base import CaseView, Decision, Draft, Judgement, Mail, Source, Verdict
from outreach.agents.fields import Entry, Field
from outreach.evidence import leaves


@dataclass(frozen=True)
class Reading:
    """What people on the other side have filled in so far. The last word on a field counts."""

    result: dict[str, Any]
    sources: tuple[Source, ...]
    missing: tuple[Field, ...]  # expected and not filled in
    unusable: tuple[tuple[Entry, str], ...]  # with what a value looks like
    filled_in_now: bool  # whether the newest mail fills in anything, if nobody has judged it yet

    @property
    def is_complete(self) -> bool:
        return bool(self.result) and not self.to_ask

    @property
    def to_ask(self) -> tuple[Field, ...]:
        return (*(entry.field for entry, _ in self.unusable), *self.missing)


class FormAgent:
    """Deterministic: the same thread gives the same mail and the same verdict."""

    name = "form"
    judges_drafts = False  # fixed texts and human words only: there is nothing that a model wrote
    takes_images = False

    def draft_outreach(self, case: CaseView, faults: tuple[str, ...] = ()) -> Draft:
        behalf = f" on behalf of {case.persona['company']}" if case.persona.get("company") else ""
        body = [f"I am writing to you{behalf} about the following.", _objective(case), *_words_of_humans(case)]
        body += _deadline(case)
        if asked := forms.fields_of(case.result_schema):
            body += _please("Could you reply to this mail with these lines filled in?", asked)
        return Draft(_mail(case, *body))

    def draft_follow_up(self, case: CaseView, faults: tuple[str, ...] = ()) -> Draft:
        last = next(mail for mail in reversed(case.thread) if mail.from_us)
        body = [
            f"I wrote to you on {last.at:%-d %B %Y} and have not had your answer yet. Could you look at it again? "
            "This is what it is about.",
            _objective(case),
            *_deadline(case),
        ]
        if asked := read(case).to_ask or forms.fields_of(case.result_schema):
            body += _please("Please reply with these lines filled in:", asked)
        return Draft(_mail(case, *body))

    def draft_reply(self, case: CaseView, verdict: Verdict, faults: tuple[str, ...] = ()) -> Draft:
        return Draft(verdict.reply_body)

    def draft_closing(self, case: CaseView, verdict: Verdict, faults: tuple[str, ...] = ()) -> Draft:
        return Draft(_mail(case, "Thank you, that is all we need. This matter is closed for us."))

    def judge(self, case: CaseView, draft: Draft) -> Judgement:
        return Judgement(is_allowed=True)

    def evaluate(self, case: CaseView, faults: tuple[str, ...] = ()) -> Verdict:
        reading = read(case)
        if reading.filled_in_now and reading.is_complete:
            return _complete(case, reading)
        if case.new_answers:
            return _pass_on(case, reading)
        if reading.filled_in_now:
            return _ask_back(case, reading)
        return _ask_human([mail for mail in case.from_counterparty if mail.unread])


def read(case: CaseView) -> Reading:
    """All lines of all human mail of the thread, read against the resultSchema."""
    asked = forms.fields_of(case.result_schema)
    last: dict[forms.Path, Entry] = {}
    known: set[str] = set()
    new: set[str] = set()
    for mail in case.thread:
        if mail.from_person and not mail.from_us:
            found = forms.entries(asked, mail.text, mail.id, known)
            last |= {entry.field.path: entry for entry in found}
            new |= {mail.id} if found and mail.unread else set()
        known |= forms.lines_of(mail.text)
    newest = next((mail.id for mail in reversed(case.from_counterparty) if mail.unread), None)
    return _read(case, asked, last, new, filled_in_now=newest in new)


def _read(
    case: CaseView, asked: Iterable[Field], last: dict[forms.Path, Entry], new: set[str], *, filled_in_now: bool
) -> Reading:
    result: dict[str, Any] = {}
    sources: list[Source] = []
    unusable: list[tuple[Entry, str]] = []
    filled_in = [path for path, entry in last.items() if not entry.says_nothing]
    for path, entry in last.items():
        try:
            value = _value(case, entry)
        except forms.NotUsable as error:
            # What may be left out is asked for again once: who then does not mention it has left it out.
            if entry.field.is_expected(filled_in) or (entry.source_id in new and not entry.says_nothing):
                unusable.append((entry, str(error)))
        else:
            _put(result, path, value)
            pointers = [pointer for pointer, _ in leaves(value, entry.field.pointer)]
            sources += [Source(pointer, entry.source_id, entry.line) for pointer in pointers]
    missing = tuple(field for field in asked if field.is_expected(filled_in) and field.path not in last)
    return Reading(result, tuple(sources), missing, tuple(unusable), filled_in_now)


def _value(case: CaseView, entry: Entry) -> Any:
    """What was written, converted and allowed by the schema for itself. Raises NotUsable."""
    value = forms.value_of(entry.field.schema, entry.text)
    alone: dict[str, Any] = {}
    _put(alone, entry.field.path, value)
    pointer = entry.field.pointer
    for error in result_schema.errors(case.result_schema, alone):
        if f"{error['path']}/".startswith(f"{pointer}/"):
            raise forms.NotUsable(forms.demands(entry.field.schema))
    return value


def _put(result: dict[str, Any], path: forms.Path, value: Any) -> None:
    for step in path[:-1]:
        result = result.setdefault(step, {})
    result[path[-1]] = value


# --- Verdicts ------------------------------------------------------------------------------------


def _complete(case: CaseView, reading: Reading) -> Verdict:
    if errors := result_schema.errors(case.result_schema, reading.result):
        reasons = "\n".join(f"- {error['path'] or 'result'}: {error['message']}" for error in errors)
        return Verdict(
            Decision.INPUT_NEEDED,
            question="The counterparty has filled in every line, but together they do not satisfy the result schema:\n"
            f"{reasons}\n\nWhat should the answer be?",
            reason="The result does not validate.",
        )
    return Verdict(
        Decision.GOAL_ACHIEVED,
        result=reading.result,
        sources=reading.sources,
        reason="Every required line is filled in.",
    )


def _pass_on(case: CaseView, reading: Reading) -> Verdict:
    """The human's words go to the counterparty as they are, with what is still missing."""
    body = [*_words_of_humans(case), *_faults(reading)]
    if reading.to_ask:
        body += _please("These lines are still open. Please reply with them filled in:", reading.to_ask, reading)
    return Verdict(Decision.REPLY, reply_body=_mail(case, *body), reason="A human's answer is passed on.")


def _ask_back(case: CaseView, reading: Reading) -> Verdict:
    body = ["Thank you for your reply.", *_faults(reading)]
    if reading.missing:
        still = forms.listed([field.title for field in reading.missing])
        body.append(f"Still missing: {still}." if not reading.unusable else f"Also missing: {still}.")
    asked = reading.to_ask or forms.fields_of(case.result_schema)
    body += _please("Please reply with these lines filled in:", asked, reading)
    return Verdict(Decision.REPLY, reply_body=_mail(case, *body), reason=_what_is_wrong(reading))


def _ask_human(unread: list[Mail]) -> Verdict:
    said = "\n\n".join(_quoted(mail.text) + _files(mail) for mail in unread)
    return Verdict(
        Decision.INPUT_NEEDED,
        question=f"The counterparty wrote:\n\n{said}\n\nWhat should the answer be?",
        reason="The reply does not fill in the lines that were asked for.",
    )


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.strip().splitlines()) or "> (no text)"


def _files(mail: Mail) -> str:
    return f"\n(attached: {', '.join(file.name for file in mail.files)})" if mail.files else ""


def _what_is_wrong(reading: Reading) -> str:
    missing = [field.title for field in reading.missing]
    unusable = [entry.field.title for entry, _ in reading.unusable]
    parts = [
        f"{word}: {', '.join(titles)}" for word, titles in (("missing", missing), ("not usable", unusable)) if titles
    ]
    return "; ".join(parts) or "nothing is filled in"


# --- Texts ---------------------------------------------------------------------------------------


def _mail(case: CaseView, *paragraphs: str) -> str:
    whole = (f"Hello {case.counterparty['name']},", *paragraphs, _signature(case))
    return "\n\n".join(filter(None, whole)) + "\n"


def _objective(case: CaseView) -> str:
    return str(case.goal["objective"]).strip()


def _deadline(case: CaseView) -> list[str]:
    if case.deadline is None:
        return []
    zone = case.counterparty.get("timezone", "UTC")
    by = case.deadline.astimezone(ZoneInfo(zone))
    return [f"We need your answer by {by:%-d %B %Y, %H:%M} ({zone})."]


def _words_of_humans(case: CaseView) -> list[str]:
    return [answer.text.strip() for answer in case.new_answers]


def _signature(case: CaseView) -> str:
    persona = case.persona
    position = ", ".join(persona[key] for key in ("role", "company") if persona.get(key))
    return "\n".join(filter(None, ("Kind regards", persona["name"], position)))


def _please(words: str, asked: tuple[Field, ...], reading: Reading | None = None) -> list[str]:
    """The lines to fill in, and how to, as far as the faults do not say it."""
    told = {entry.field.path for entry, _ in reading.unusable} if reading else set()
    missing = {field.path for field in reading.missing} if reading else set()
    untold = [field for field in asked if field.path not in told]
    hints = [f"{field.title} as {hint}" for field in untold if (hint := forms.describe(field.schema))]
    optional = [field.title for field in asked if not field.is_required and field.path not in missing]
    notes = [f"Please write {forms.listed(hints)}."] if hints else []
    if optional and (reading or len(optional) < len(asked)):
        notes.append(f"{forms.listed(optional)} may be left out.")
    return [words, "\n".join(field.line for field in asked), " ".join(notes)]


def _faults(reading: Reading) -> list[str]:
    if not reading.unusable:
        return []
    lines = [
        f"- {entry.field.title} needs to be {hint}; you wrote {_cut(entry.text)}" for entry, hint in reading.unusable
    ]
    return ["I could not use this as it is:\n" + "\n".join(lines)]


def _cut(text: str) -> str:
    return f"“{text if len(text) <= 80 else text[:79].rstrip() + '…'}”"
