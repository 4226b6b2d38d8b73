"""What the counterparty has written so far, read as a form: what is filled in, what is missing, what else is said."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cases import result_schema
from outreach.agents import fields as forms
from outreach.agents import remarks
from outreach.agents.base import CaseView, Mail, Source
from outreach.agents.fields import Entry, Field
from outreach.agents.values import NotUsable, value_of
from outreach.evidence import leaves


@dataclass(frozen=True)
class Reply:
    """A mail of a person on the other side."""

    mail: Mail
    entries: tuple[Entry, ...]
    remarks: tuple[str, ...]  # lines that say more than courtesies: only a human can tell what they mean


@dataclass(frozen=True)
class Reading:
    """What people on the other side have filled in so far. The last word on a field counts."""

    result: dict[str, Any]
    sources: tuple[Source, ...]
    missing: tuple[Field, ...]  # expected and not filled in
    unusable: tuple[Entry, ...]
    filled_in_now: bool  # whether the newest mail fills in anything, if nobody has judged it yet
    has_remarks: bool  # whether new mail, or mail that the result rests on and a human is asked about, says more
    is_stuck: bool  # whether asking once more would ask what was asked in vain

    @property
    def is_complete(self) -> bool:
        return bool(self.result) and not self.to_ask

    @property
    def to_ask(self) -> tuple[Field, ...]:
        return (*(entry.field for entry in self.unusable), *self.missing)


def read(case: CaseView) -> Reading:
    """All lines of all human mail of the thread, read against the resultSchema."""
    asked = forms.fields_of(case.result_schema)
    replies = list(_replies(case, asked))
    unread = [reply for reply in replies if reply.mail.unread]
    now = _filled_in(case, asked, replies, unread)
    return Reading(
        now.result,
        now.sources,
        now.missing,
        now.unusable,
        filled_in_now=bool(unread and unread[-1].entries),
        has_remarks=any(reply.remarks for reply in unread) or _rests_on_remarks(case, replies, now),
        is_stuck=_is_stuck({field.path for field in now.to_ask}, list(_asked_in_vain(case, asked, replies))),
    )


def _replies(case: CaseView, asked: Sequence[Field]) -> Iterator[Reply]:
    people = [person.get(key, "") for person in (case.persona, case.counterparty) for key in ("name", "company")]
    known: set[str] = set()
    for index, mail in enumerate(case.thread):
        if mail.from_person and not mail.from_us:
            sheet = forms.scan(asked, mail.text, mail.id, known)
            earlier = case.thread[:index]
            ours = [past.text for past in earlier if past.from_us]
            context = remarks.context([*people, mail.sender], ours, [past.text for past in earlier])
            yield Reply(mail, sheet.entries, tuple(remarks.prose(sheet.rest, context)))
        known |= forms.lines_of(mail.text)


@dataclass(frozen=True)
class _FilledIn:
    result: dict[str, Any]
    sources: tuple[Source, ...]
    missing: tuple[Field, ...]
    unusable: tuple[Entry, ...]

    @property
    def to_ask(self) -> tuple[Field, ...]:
        return (*(entry.field for entry in self.unusable), *self.missing)


def _filled_in(
    case: CaseView, asked: Sequence[Field], replies: Iterable[Reply], new_replies: Iterable[Reply]
) -> _FilledIn:
    last = {entry.field.path: entry for reply in replies for entry in reply.entries}
    new = {reply.mail.id for reply in new_replies}
    result: dict[str, Any] = {}
    sources: list[Source] = []
    unusable: list[Entry] = []
    begun = [path for path, entry in last.items() if not entry.says_nothing]
    for path, entry in last.items():
        try:
            value = _value(case, entry)
        except NotUsable:
            # What may be left out is asked for again once: who then does not mention it has left it out.
            if entry.field.is_expected(begun) or (entry.source_id in new and not entry.says_nothing):
                unusable.append(entry)
        else:
            _put(result, path, value)
            pointers = [pointer for pointer, _ in leaves(value, entry.field.pointer)]
            sources += [Source(pointer, entry.source_id, entry.line) for pointer in pointers]
    missing = tuple(field for field in asked if field.is_expected(begun) and field.path not in last)
    return _FilledIn(result, tuple(sources), missing, tuple(unusable))


def _value(case: CaseView, entry: Entry) -> Any:
    """What was written, converted and allowed by the schema for itself. Raises NotUsable."""
    value = value_of(entry.field.schema, entry.text, entry.field.about)
    if _is_allowed(case, entry.field, value):
        return value
    if isinstance(value, str):
        compact = "".join(value.split())  # an IBAN in groups of four, where the pattern has no white space
        if compact != value and _is_allowed(case, entry.field, compact):
            return compact
    raise NotUsable(entry.text)


def _is_allowed(case: CaseView, field: Field, value: Any) -> bool:
    alone: dict[str, Any] = {}
    _put(alone, field.path, value)
    errors = result_schema.errors(case.result_schema, alone)
    return not any(f"{error['path']}/".startswith(f"{field.pointer}/") for error in errors)


def _put(result: dict[str, Any], path: forms.Path, value: Any) -> None:
    for step in path[:-1]:
        result = result.setdefault(step, {})
    result[path[-1]] = value


# --- What a human has to see ------------------------------------------------------------------------


def _rests_on_remarks(case: CaseView, replies: Iterable[Reply], now: _FilledIn) -> bool:
    """Whether values come from mail that says more, about which a human is asked and has not answered."""
    used = {source.source_id for source in now.sources}
    return case.open_question is not None and any(reply.remarks and reply.mail.id in used for reply in replies)


def _asked_in_vain(case: CaseView, asked: Sequence[Field], replies: Sequence[Reply]) -> Iterator[set[forms.Path]]:
    """What was still to be asked for after each round of replies that filled in something and that we have answered."""
    by_id = {reply.mail.id: reply for reply in replies if not reply.mail.unread}
    before: list[Reply] = []
    batch: list[Reply] = []
    for mail in case.thread:
        if mail.id in by_id:
            batch.append(by_id[mail.id])
        elif mail.from_us:
            before += batch
            if any(reply.entries for reply in batch):
                yield {field.path for field in _filled_in(case, asked, before, batch).to_ask}
            batch = []


def _is_stuck(now: set[forms.Path], rounds: Sequence[set[forms.Path]]) -> bool:
    """Whether the last answer has brought nothing new, or the last two no progress."""
    return bool(rounds) and (now == rounds[-1] or (len(rounds) > 1 and len(now) >= len(rounds[-2])))
