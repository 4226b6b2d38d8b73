"""A person who has the right to be forgotten (GDPR art. 17): where they stand, how they are taken out, and whether they
are.

Files go before their rows: whoever is stopped in between finds the case again, since its row still names them.
"""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.db import models
from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from cases import erasure as case_erasure
from cases import services, work
from cases.erasure import ERASED, Person
from cases.models import OPEN, ApiKey, Case, Client, Correspondent, Direction, InputRequest, Message
from offload_project.maintenance import files
from outreach import erasure as mail_erasure
from outreach.inbound.addresses import canonical, spelled
from webhooks import erasure as webhook_erasure
from webhooks.models import Delivery

ROOMS = ("cases", "outreach", "webhooks", "admin", "django_q", "axes")
THEIR_OWN = (Client, ApiKey)  # names and addresses of clients
TEXTUAL = (models.CharField, models.TextField, models.JSONField, models.FileField)
ACTOR = "operator"


@dataclass
class Found:
    """Where a person stands."""

    person: Person
    whole: list[uuid.UUID] = field(default_factory=list)  # cases that go as a whole: about them, or with mail of theirs
    named: list[uuid.UUID] = field(default_factory=list)  # cases that merely name them
    loose_mail: list[uuid.UUID] = field(default_factory=list)  # payloads on none of those


def find(address: str, client: Client | None = None, *, step: Callable[[], None] = lambda: None) -> Found:
    """All cases and mail of a person, by any spelling of their address: case, tag and the domain's alphabet are one.

    `step` is called for each mail that is looked through.
    """
    cases = Case.objects.filter(client=client) if client else Case.objects.all()
    about = _matching(cases, "counterparty_address", address)
    written = _matching(Message.objects.filter(case__in=cases, direction=Direction.IN), "from_address", address)
    admitted = _matching(Correspondent.objects.filter(case__in=cases), "address", address)
    copied = _copied(Message.objects.filter(case__in=cases), address)
    spellings = {spelled(address), canonical(address), address.strip().lower()}
    spellings |= {row.counterparty_address for row in about} | {
        str(row.counterparty["address"]).lower() for row in about
    }
    spellings |= {row.from_address.lower() for row in written} | {row.address for row in admitted}
    spellings |= {one.lower() for row in copied for one in row.cc if canonical(one) == canonical(address)}
    names = {str(row.counterparty["name"]) for row in about} | {row.from_name for row in written}
    names |= {row.name for row in admitted}
    person = Person(frozenset(spellings), frozenset(name.strip() for name in names if name.strip()))
    whole = {row.pk for row in about} | {row.case_id for row in written}
    named = {row.case_id for row in (*admitted, *copied)} - whole
    found = Found(person, sorted(whole), sorted(named))
    if client is None:
        found.loose_mail = list(mail_erasure.naming(person, step=step))
    return found


def _matching(rows: QuerySet[Any], column: str, address: str) -> list[Any]:
    """Those whose column is the address in any spelling: a rough look by the database, then an exact one."""
    local = canonical(address).rpartition("@")[0]
    rough = rows.filter(**{f"{column}__istartswith": local})
    return [row for row in rough if canonical(getattr(row, column)) == canonical(address)]


def _copied(rows: QuerySet[Message], address: str) -> list[Message]:
    local = canonical(address).rpartition("@")[0]
    rough = rows.annotate(copies=Cast("cc", TextField())).filter(copies__icontains=local)
    return [row for row in rough if any(canonical(one) == canonical(address) for one in row.cc)]


def open_cases(found: Found) -> list[uuid.UUID]:
    """Those that have not ended: they need what is to be erased."""
    here = Case.objects.filter(pk__in=[*found.whole, *found.named], status__in=sorted(OPEN))
    return sorted(here.values_list("pk", flat=True))


def end(pks: list[uuid.UUID]) -> None:
    """End the cases as anybody would; their clients are told."""
    for pk in pks:
        services.cancel_case(pk, actor=ACTOR, reason="The counterparty's data had to be erased.")


# --- Taking them out ------------------------------------------------------------------------------


def erase_case(pk: uuid.UUID, person: Person, *, keep_results: bool) -> int:
    """Take the person out of an ended case that goes as a whole; how many files the storage refused to delete."""
    case = Case.objects.get(pk=pk)
    gone = case_erasure.stored_files(case)
    left = files.delete(gone)
    with work.transaction():
        mails = mail_erasure.lock(mail_erasure.payloads_of(case))
        case = Case.objects.locked(pk)
        late = case_erasure.stored_files(case) - gone  # of mail that has come since
        forget_in_log(case, mails.values_list("pk", flat=True))
        mail_erasure.empty(mails)
        mail_erasure.erase(case)
        case_erasure.erase(case, person, keep_results=keep_results, actor=ACTOR)
        webhook_erasure.erase(case, person, keep_results=keep_results)
    return left + files.delete(late)


def strike_from_case(pk: uuid.UUID, person: Person) -> None:
    """Take their name and address out of a case that merely names them."""
    person = replace(person, by_words=False)  # the others' words are their own
    with work.transaction():
        case = Case.objects.locked(pk)
        forget_in_log(case, [])
        case_erasure.strike(case, person, actor=ACTOR)
        mail_erasure.strike(case, person)
        webhook_erasure.strike(case, person)


def erase_loose_mail(pks: list[uuid.UUID]) -> int:
    with work.transaction():
        rows = mail_erasure.lock(pks)
        LogEntry.objects.filter(object_id__in=[str(pk) for pk in pks]).update(object_repr=ERASED)
        return mail_erasure.empty(rows)


def forget_in_log(case: Case, payloads: Any) -> None:
    """The admin's log keeps who did what and when, but not what it called the rows."""
    ids = {case.pk, *payloads}
    for model in (Message, InputRequest, Delivery):
        ids |= set(model._default_manager.filter(case=case).values_list("pk", flat=True))
    LogEntry.objects.filter(object_id__in=[str(pk) for pk in ids]).update(object_repr=ERASED)


def forget_elsewhere(person: Person) -> int:
    """Suppressions hold on by fingerprints; the admin's log loses the address wherever it stands; saved filters go.

    How many of all three.
    """
    told = Q()
    for address in person.addresses:
        told |= Q(object_repr__icontains=address) | Q(change_message__icontains=address)
    with work.transaction():
        count = mail_erasure.forget_suppressed(person) + case_erasure.forget_saved_filters(person)
        for entry in LogEntry.objects.filter(told):
            entry.object_repr = person.struck_from(entry.object_repr)
            entry.change_message = person.struck_from(entry.change_message)
            entry.save(update_fields=["object_repr", "change_message"])
            count += 1
    return count


# --- Whether they are gone ------------------------------------------------------------------------


@dataclass(frozen=True)
class Left:
    """A row that still has an "address" or a "name"."""

    what: str
    table: str
    column: str
    pk: Any


def search(
    addresses: frozenset[str], names: frozenset[str], *, step: Callable[[], None] = lambda: None
) -> Iterator[Left]:
    """Every row of the whole database, but clients and keys, that has one of them anywhere in it.

    Letters of any case; bytes are searched as they stand. `step` is called after each table.
    """
    for model in _searched():
        for column in model._meta.concrete_fields:
            for what, words in (("address", addresses), ("name", names)):
                for pk in _having(model, column, words):
                    yield Left(what, model._meta.db_table, column.attname, pk)
        step()


def tables() -> int:
    """How many tables `search` looks through."""
    return len(_searched())


def _searched() -> list[type[models.Model]]:
    of_rooms = [model for room in ROOMS for model in apps.get_app_config(room).get_models()]
    return [model for model in of_rooms if not model._meta.proxy and model not in THEIR_OWN]


def _having(model: type[models.Model], column: Any, words: frozenset[str]) -> Iterator[Any]:
    rows = model._default_manager.order_by()
    if isinstance(column, models.BinaryField):
        wanted = [word.lower().encode() for word in words]
        for pk, value in rows.values_list("pk", column.attname).iterator(chunk_size=20):
            if value is not None and any(word in bytes(value).lower() for word in wanted):
                yield pk
    elif words and isinstance(column, TEXTUAL):
        has = Q()
        for word in words:
            for form in {word, json.dumps(word)[1:-1]}:  # kept JSON is text, in which Python writes é as \\u00e9
                has |= Q(words_of__icontains=form)
        found = rows.annotate(words_of=Cast(column.attname, TextField())).filter(has)
        yield from found.values_list("pk", flat=True)
