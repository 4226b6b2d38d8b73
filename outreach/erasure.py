"""What came in from a person who is to be forgotten, and what left for them; see cases/erasure.py."""

import uuid
from collections.abc import Callable, Iterable, Iterator

from django.db.models import Q, QuerySet

from cases.erasure import Person
from cases.models import Case
from outreach import suppression
from outreach.inbound.addresses import canonical, spelled
from outreach.models import InboundPayload, ModelCall, PayloadState, SandboxMail, Suppression

ENDED = (PayloadState.DONE, PayloadState.DISCARDED)


def payloads_of(case: Case) -> list[uuid.UUID]:
    """Mail of the case as it came in, in the order in which it is locked: before the case."""
    ways = (Q(message__case=case), Q(case=case), Q(decided_case=case))
    return sorted({pk for way in ways for pk in InboundPayload.objects.filter(way).values_list("pk", flat=True)})


def naming(person: Person, *, step: Callable[[], None]) -> Iterator[uuid.UUID]:
    """What came in and has the address in it, whatever became of it. Reads every payload, `step` after `step`."""
    wanted = [address.lower().encode() for address in person.addresses]
    told = Q()
    for address in person.addresses:
        told |= Q(note__icontains=address) | Q(summary__icontains=address) | Q(envelope__icontains=address)
    of_words = set(InboundPayload.objects.filter(told).values_list("pk", flat=True))
    for pk, body in InboundPayload.objects.order_by("pk").values_list("pk", "body").iterator(chunk_size=20):
        step()
        content = bytes(body).lower()
        if pk in of_words or any(address in content for address in wanted):
            yield pk


def lock(pks: Iterable[uuid.UUID]) -> QuerySet[InboundPayload]:
    rows = InboundPayload.objects.filter(pk__in=list(pks))
    list(rows.select_for_update().order_by("pk").values("pk"))
    return rows


def empty(rows: QuerySet[InboundPayload]) -> int:
    """Take out all that the locked payloads say; how many. That they were here stays, so none is taken in once more.

    One that waits for somebody's decision does so no more: there is nothing left to decide on.
    """
    rows.exclude(state__in=ENDED).update(state=PayloadState.DISCARDED)
    # Whoever is just taking one in loses it, or its words would come back.
    not_due = {"due_at": None, "retry_at": None, "try_again_at": None, "lease_token": None, "lease_until": None}
    return rows.update(body=b"", envelope={}, summary={}, note="Erased.", last_error="", **not_due)


def erase(case: Case) -> None:
    """Of a case that you hold locked: what its counterparty got in the sandbox, and what models answered wrongly."""
    SandboxMail.objects.filter(case=case).delete()
    ModelCall.objects.filter(case=case).update(fault="")


def strike(case: Case, person: Person) -> None:
    """Of a case that merely names them."""
    for call in ModelCall.objects.filter(case=case).exclude(fault=""):
        call.fault = person.struck_from(call.fault)
        call.save(update_fields=["fault"])


def forget_suppressed(person: Person) -> int:
    """Let every row that keeps mail from them hold on by a fingerprint alone; how many."""
    spellings = {form(address) for address in person.addresses for form in (spelled, canonical)}
    return suppression.forget_address(Suppression.objects.select_for_update().filter(address__in=spellings))
