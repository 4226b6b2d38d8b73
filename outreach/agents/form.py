"""The agent without a model: a form by mail. It asks for lines, reads lines, and leaves everything else to a human."""

from dataclasses import dataclass
from typing import Any

from cases import result_schema
from outreach.agents import fields as forms
from outreach.agents.base import CaseView, Decision, Draft, Source, Verdict
from outreach.agents.fields import Entry, Field
from outreach.evidence import leaves


@dataclass(frozen=True)
class Reading:
    """What people on the other side have filled in so far. The last word on a field counts."""

    values: dict[str, Any]
    sources: tuple[Source, ...]
    missing: tuple[Field, ...]  # required and not filled in
    unusable: tuple[tuple[Entry, str], ...]  # with what a value looks like

    @property
    def is_complete(self) -> bool:
        return not self.missing and not self.unusable

    @property
    def to_ask(self) -> tuple[Field, ...]:
        return (*(entry.field for entry, _ in self.unusable), *self.missing)


class FormAgent:
    """Deterministic: the same thread gives the same mail and the same verdict."""

    name = "form"
    judges_drafts = False  # fixed texts and human words only: there is nothing that a model wrote

    def draft_outreach(self, case: CaseView) -> Draft:
        body = [_greeting(case), case.goal["objective"].strip(), *(answer.text for answer in case.new_answers)]
        if asked := forms.fields_of(case.result_schema):
            body += ["Please reply to this mail with these lines filled in:", _form(asked), *_notes(asked)]
        return Draft(_mail(case, *body))

    def draft_follow_up(self, case: CaseView) -> Draft:
        last = next(mail for mail in reversed(case.thread) if mail.from_us)
        body = [
            _greeting(case),
            f"I wrote to you on {last.at:%-d %B %Y} and have not had the answer yet. May I ask you to look at it again?",
        ]
        if asked := read(case).to_ask:
            body += ["These lines are what I need:", _form(asked), *_notes(asked)]
        return Draft(_mail(case, *body))

    def draft_reply(self, case: CaseView, verdict: Verdict) -> Draft:
        return Draft(verdict.reply_body)

    def evaluate(self, case: CaseView) -> Verdict:
        reading = read(case)
        unread = [mail for mail in case.from_counterparty if mail.unread]
        filled_in_now = any(forms.entries(forms.fields_of(case.result_schema), mail.text, mail.id) for mail in unread)
        if reading.values and reading.is_complete and (filled_in_now or case.new_answers):
            return _complete(case, reading)
        if case.new_answers:
            return self._pass_on(case, reading)
        if filled_in_now:
            return Verdict(Decision.REPLY, reply_body=_ask_back(case, reading), reason=_what_is_wrong(reading))
        return _ask_human(unread)

    def _pass_on(self, case: CaseView, reading: Reading) -> Verdict:
        """The human's words go to the counterparty as they are, with what is still missing."""
        body = [_greeting(case), *(answer.text.strip() for answer in case.new_answers)]
        if reading.to_ask:
            body += ["I still need these lines:", _form(reading.to_ask), *_notes(reading.to_ask)]
        return Verdict(Decision.REPLY, reply_body=_mail(case, *body), reason="A human's answer is passed on.")


def read(case: CaseView) -> Reading:
    """All lines of all human mail of the thread, read against the resultSchema."""
    asked = forms.fields_of(case.result_schema)
    last = {
        entry.field.name: entry for mail in case.from_counterparty for entry in forms.entries(asked, mail.text, mail.id)
    }
    values: dict[str, Any] = {}
    sources: list[Source] = []
    unusable: list[tuple[Entry, str]] = []
    for name, entry in last.items():
        try:
            value = _checked_value(entry)
        except forms.NotUsable as error:
            unusable.append((entry, str(error)))
        else:
            values[name] = value
            sources += [Source(path, entry.source_id, entry.line) for path in _paths(name, value)]
    missing = tuple(field for field in asked if field.required and field.name not in last)
    return Reading(values, tuple(sources), missing, tuple(unusable))


def _checked_value(entry: Entry) -> Any:
    schema = entry.field.schema
    value = forms.value_of(schema, entry.text)
    if "$ref" not in str(schema) and (errors := result_schema.errors(schema, value)):
        raise forms.NotUsable(errors[0]["message"])
    return value


def _paths(name: str, value: Any) -> list[str]:
    pointer = "/" + name.replace("~", "~0").replace("/", "~1")
    return [path for path, _ in leaves(value, pointer)]


def _complete(case: CaseView, reading: Reading) -> Verdict:
    if errors := result_schema.errors(case.result_schema, reading.values):
        reasons = "; ".join(error["message"] for error in errors)
        return Verdict(
            Decision.INPUT_NEEDED,
            question=f"Every field has been filled in, but together they do not satisfy the result schema: {reasons}",
            reason="The result does not validate.",
        )
    return Verdict(
        Decision.GOAL_ACHIEVED, result=reading.values, sources=reading.sources, reason="Every required line is filled in."
    )


def _ask_human(unread: list[Any]) -> Verdict:
    said = "\n\n".join(_quoted(mail.text) + _files(mail) for mail in unread)
    return Verdict(
        Decision.INPUT_NEEDED,
        question=f"The counterparty wrote:\n\n{said}\n\nWhat should the answer be?",
        reason="The reply does not fill in the lines that were asked for.",
    )


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.strip().splitlines()) or "> (no text)"


def _files(mail: Any) -> str:
    return f"\n(attached: {', '.join(file.name for file in mail.files)})" if mail.files else ""


# --- Texts --------------------------------------------------------------------------------------------------------------


def _mail(case: CaseView, *paragraphs: str) -> str:
    return "\n\n".join(paragraph for paragraph in (*paragraphs, _signature(case)) if paragraph) + "\n"


def _greeting(case: CaseView) -> str:
    return f"Hello {case.counterparty['name']},"


def _signature(case: CaseView) -> str:
    persona = case.persona
    position = ", ".join(persona[key] for key in ("role", "company") if persona.get(key))
    return "\n".join(filter(None, ("Kind regards", persona["name"], position)))


def _form(asked: tuple[Field, ...]) -> str:
    return "\n".join(field.line for field in asked)


def _notes(asked: tuple[Field, ...]) -> list[str]:
    """How to fill the lines in. Without colons: a reply that quotes it unmarked must not be read as filled in."""
    hints = [f"{field.title} is {hint}" for field in asked if (hint := forms.describe(field.schema).replace(":", " "))]
    optional = [field.title for field in asked if not field.required] if any(f.required for f in asked) else []
    notes = [f"{hint}." for hint in hints]
    if optional:
        notes.append(f"{' and '.join(optional)} may be left out.")
    return [" ".join(notes)] if notes else []


def _ask_back(case: CaseView, reading: Reading) -> str:
    body = [_greeting(case), "thank you for your reply."]
    if reading.unusable:
        faults = "\n".join(f"- {entry.field.title} needs to be {hint}" for entry, hint in reading.unusable)
        body.append(f"I could not use what you wrote here.\n{faults.replace(':', ' ')}")
    if reading.missing:
        body.append("Something is still missing.")
    body += ["Please reply with these lines filled in:", _form(reading.to_ask), *_notes(reading.missing)]
    return _mail(case, *body)


def _what_is_wrong(reading: Reading) -> str:
    missing = [field.title for field in reading.missing]
    unusable = [entry.field.title for entry, _ in reading.unusable]
    return "; ".join(
        f"{word}: {', '.join(titles)}" for word, titles in (("missing", missing), ("not usable", unusable)) if titles
    )
