"""What a case says of a person who has the right to be forgotten (GDPR art. 17), and how it is taken out of it.

A case stays, with its dates and how it ended; what was written, asked and found goes, since all of it may be about the
person. What the client has said of its own (goal, constraints, metadata, references) stays but for their name and
address. Each function is for a transaction in which the case is held locked.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from urllib.parse import unquote_plus

from cases.events import record
from cases.models import Attachment, Case, Direction, Enclosure, Event, SavedFilter

ERASED = "(erased)"
NOBODY = "erased@erased.invalid"  # RFC 2606: no mail to it ever leaves
SHORTEST_WORD = 3  # of a name, to be looked for by itself

# Of a timeline's data: ids and words of ours. All else may be, or quote, what a person has written.
KEPT_DATA = frozenset(
    [
        "admitted",
        "agent",
        "allowed",
        "caseId",
        "completionTokens",
        "cost",
        "decision",
        "fields",
        "hash",
        "how",
        "inputRequestId",
        "judged",
        "messageId",
        "model",
        "payloadId",
        "promptTokens",
        "promptVersion",
        "purpose",
        "resultKept",
        "resultStatus",
        "rewritten",
        "seconds",
        "until",
    ]
)
CLIENTS_WORDS = ("goal", "sender_persona", "constraints", "metadata", "client_reference_id", "result_schema")


@dataclass(frozen=True)
class Person:
    """Somebody to be forgotten: all spellings of their address, and what they are called.

    `by_words`: each word of a name counts, as in "Dear Ms Miller"; for texts that are about nobody else.
    """

    addresses: frozenset[str]
    names: frozenset[str] = frozenset()
    by_words: bool = True

    @cached_property
    def _told(self) -> re.Pattern[str]:
        """Addresses anywhere; names, and words of names, as whole words."""
        words = {word for name in self.names for word in re.findall(r"\w+", name) if len(word) >= SHORTEST_WORD}
        named = sorted({*self.names, *(words if self.by_words else ())}, key=len, reverse=True)
        patterns = [re.escape(address) for address in sorted(self.addresses, key=len, reverse=True)]
        patterns += [rf"(?<!\w){re.escape(name)}(?!\w)" for name in named]
        return re.compile("|".join(patterns), re.IGNORECASE)

    def is_named_in(self, text: str) -> bool:
        """Whether an address, a name or a word of a name stands there."""
        return bool(self._told.search(text))

    def struck_from(self, value: Any) -> Any:
        """The JSON value (or text) without them; keys of objects stay."""
        if isinstance(value, str):
            return self._told.sub(ERASED, value)
        if isinstance(value, list):
            return [self.struck_from(item) for item in value]
        if isinstance(value, dict):
            return {key: self.struck_from(item) for key, item in value.items()}
        return value


def stored_files(case: Case) -> set[str]:
    """The names of all files of the case in the storage."""
    rows = (Attachment.objects.filter(message__case=case), Enclosure.objects.filter(case=case))
    return {name for found in rows for name in found.values_list("file", flat=True) if name}


def erase(case: Case, person: Person, *, keep_results: bool, actor: str) -> None:
    """Take the person out of an ended case that they have written on, or that was about them.

    Every mail of it goes, also other people's: they quote each other. `keep_results`: the result stays as it is.
    """
    for name in CLIENTS_WORDS:
        setattr(case, name, person.struck_from(getattr(case, name)))
    if case.counterparty_address in person.addresses:
        case.counterparty, case.counterparty_address = {"address": NOBODY, "name": ERASED}, NOBODY
    case.counterparty = person.struck_from(case.counterparty)
    case.failure_reason = case.failure_reason and ERASED
    case.result, case.sources = case.result if keep_results else None, None
    case.thread_id, case.last_error = "", ""
    case.save()
    _erase_mail(case)
    _erase_questions(case)
    case.correspondents.all().delete()
    for event in Event.objects.filter(case=case).exclude(type="webhook.parked"):
        event.data = {key: value for key, value in event.data.items() if key in KEPT_DATA}
        event.save(update_fields=["data"])
    record(case, "case.erased", actor=actor, resultKept=keep_results)


def _erase_mail(case: Case) -> None:
    Attachment.objects.filter(message__case=case).delete()
    case.enclosures.all().delete()
    emptied = {"full_text": "", "html": "", "in_reply_to": "", "references": "", "rejection": "", "assignment_note": ""}
    case.messages.update(subject=ERASED, text=ERASED, cc=[], completion=None, **emptied)
    # By our own Message-IDs a late answer still finds its case; theirs may have their name in it.
    theirs = {"from_address": NOBODY, "from_name": "", "message_id": "", "provider_id": ""}
    case.messages.filter(direction=Direction.IN).update(**theirs)
    case.messages.filter(direction=Direction.OUT).update(to_address=NOBODY)


def _erase_questions(case: Case) -> None:
    asked = case.input_requests
    asked.update(question=ERASED, reason="", options=None, answer_schema=None, proposal=None, assignment_note="")
    asked.exclude(provided_context="").update(provided_context=ERASED)


def strike(case: Case, person: Person, *, actor: str) -> None:
    """Take only their name and address out of a case that merely names them: a copy went to them, say."""
    for name in (*CLIENTS_WORDS, "counterparty", "failure_reason", "result", "sources"):
        setattr(case, name, person.struck_from(getattr(case, name)))
    case.save()
    _strike_from(
        case.messages.all(), "subject text full_text html from_name cc completion rejection assignment_note", person
    )
    asked = "question reason options answer_schema provided_context proposal assignment_note"
    _strike_from(case.input_requests.all(), asked, person)
    _strike_from(Event.objects.filter(case=case), "data", person)
    _strike_from(Attachment.objects.filter(message__case=case), "name text note", person)
    _strike_from(case.enclosures.all(), "name text note", person)
    case.correspondents.filter(address__in=person.addresses).delete()
    record(case, "case.erased", actor=actor, onlyNamed=True)


def forget_saved_filters(person: Person) -> int:
    """Lists of cases that staff have kept to find the person again go: by address or whole name. How many."""
    person = replace(person, by_words=False)  # others are called Ann, too
    rows = SavedFilter.objects.values_list("pk", "name", "query")
    naming = [pk for pk, name, query in rows if person.is_named_in(f"{name} {unquote_plus(query)}")]
    return SavedFilter.objects.filter(pk__in=naming).delete()[0]


def _strike_from(rows: Iterable[Any], columns: str, person: Person) -> None:
    for row in rows:
        before = {name: getattr(row, name) for name in columns.split()}
        changed = {name: new for name, old in before.items() if (new := person.struck_from(old)) != old}
        for name, value in changed.items():
            setattr(row, name, value)
        if changed:
            row.save(update_fields=list(changed))
