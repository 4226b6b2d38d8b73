"""Which ended cases may go, and how they go: with all that hangs on them, in every room.

A case ends once, and its `updated_at` never changes afterwards: that is when it ended. Cascades of the rows carry it
away; what points at a case without belonging to it is looked for here: mail as it came in (InboundPayload), files, and
what Django's log of the admin calls it. Suppressed addresses stay, and so do the answers kept for Idempotency-Keys.
"""

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.contrib.admin.models import LogEntry
from django.db.models import Model, Q, QuerySet, Sum
from django.db.models.functions import Length

from cases import work
from cases.models import TERMINAL, Attachment, Case, Client, Enclosure, Event, InputRequest, Message
from offload_project.maintenance import files
from outreach.models import InboundPayload, ModelCall, PayloadState, SandboxMail, StaffNotice
from webhooks.models import Attempt, Delivery, DeliveryState

BATCH = 50
YOUNGEST = timedelta(days=1)  # for so long a request may be repeated, and gets the answer that names its case
YOUNGEST_LOOSE_MAIL = timedelta(days=30)  # for so long a provider may tell something once more
PURGED = "(purged)"
OWED = (DeliveryState.WAITING, DeliveryState.PARKED)
Pks = Sequence[uuid.UUID]


@dataclass
class Plan:
    """The cases that go, in this order, and how many don't, by the reason."""

    going: list[uuid.UUID] = field(default_factory=list)
    kept: Counter[str] = field(default_factory=Counter)


@dataclass
class Gone:
    """What has gone, or would: rows by what people call them, and the bytes of files."""

    rows: Counter[str] = field(default_factory=Counter)
    file_bytes: int = 0

    def __add__(self, other: "Gone") -> "Gone":
        return Gone(self.rows + other.rows, self.file_bytes + other.file_bytes)


def ended_before(moment: datetime, *, client: Client | None = None, statuses: Iterable[str] = ()) -> QuerySet[Case]:
    """Cases that ended before the moment."""
    cases: QuerySet[Case] = Case.objects.filter(updated_at__lt=moment, status__in=sorted(statuses or TERMINAL))
    return cases.filter(client=client) if client else cases


def plan(cases: QuerySet[Case], *, with_parked: bool = False) -> Plan:
    """Which of the cases may go. One that continues another one's thread comes first, and keeps it while it stays."""
    found, going = Plan(), set()
    owed = _owed(cases.order_by().values("pk"), with_parked=with_parked)
    awaited = _awaited(cases.order_by().values("pk"))
    for pk, later in cases.order_by("-created_at", "-pk").values_list("pk", "reopened_as__pk").iterator():
        if pk in owed:
            found.kept["the client has still to be told of something"] += 1
        elif pk in awaited:
            found.kept["mail is just being taken in"] += 1
        elif later is not None and later not in going:
            found.kept["a later case continues it"] += 1
        else:
            going.add(pk)
            found.going.append(pk)
    return found


def _owed(cases: Any, *, with_parked: bool) -> set[uuid.UUID]:
    states = (DeliveryState.WAITING,) if with_parked else OWED
    return set(Delivery.objects.filter(case__in=cases, state__in=states).values_list("case_id", flat=True))


def _awaited(cases: Any) -> set[uuid.UUID]:
    waiting = InboundPayload.objects.filter(state=PayloadState.WAITING, decided_case__in=cases)
    return set(waiting.values_list("decided_case_id", flat=True))


def batches(pks: Pks, size: int = BATCH) -> Iterator[list[uuid.UUID]]:
    remaining = iter(pks)
    while batch := list(islice(remaining, size)):
        yield batch


# --- One batch ------------------------------------------------------------------------------------


def weigh(pks: Pks) -> Gone:
    """All that hangs on these cases."""
    of_case = Q(case__in=pks)
    rows = {
        "cases": len(pks),
        "mails": Message.objects.filter(of_case).count(),
        "mails as they came in": len(_payloads_of(pks)),
        "mails in the sandbox": SandboxMail.objects.filter(of_case).count(),
        "files": len(_files_of(pks)),
        "questions": InputRequest.objects.filter(of_case).count(),
        "notices to staff": StaffNotice.objects.filter(_of_notice(pks)).count(),
        "lines of timelines": Event.objects.filter(of_case).count(),
        "webhook deliveries": Delivery.objects.filter(of_case).count(),
        "attempts of deliveries": Attempt.objects.filter(delivery__case__in=pks).count(),
        "requests to models": ModelCall.objects.filter(of_case).count(),
    }
    return Gone(Counter({name: count for name, count in rows.items() if count}), _bytes_of(pks))


def purge(pks: Pks, *, with_parked: bool = False) -> tuple[Gone, list[str]]:
    """Let these ended cases go in one short transaction; what went, and the files that must be deleted after it.

    Those of them that may not go any more (a thread was continued, an event is sent once more) stay.
    """
    with work.transaction():
        # Mail before its case, as everybody locks them.
        list(InboundPayload.objects.select_for_update().filter(pk__in=_payloads_of(pks)).order_by("pk").values("pk"))
        cases = Case.objects.select_for_update(of=("self",)).filter(pk__in=pks, status__in=sorted(TERMINAL))
        locked = list(cases.order_by("pk").values_list("pk", flat=True))
        going = _may_still_go(locked, with_parked=with_parked)
        gone, names = weigh(going), _files_of(going)
        _forget_in_log(going)
        InboundPayload.objects.filter(pk__in=_payloads_of(going)).delete()
        Case.objects.filter(pk__in=going).delete()
    return gone, names


def _may_still_go(locked: Pks, *, with_parked: bool) -> list[uuid.UUID]:
    going = set(locked) - _owed(locked, with_parked=with_parked) - _awaited(locked)
    continued = dict(Case.objects.filter(reopened_from__in=locked).values_list("reopened_from_id", "pk"))
    while staying := {pk for pk in going if pk in continued and continued[pk] not in going}:
        going -= staying
    return sorted(going)


def _payloads_of(pks: Pks) -> list[uuid.UUID]:
    # One query for each way, since none of them could use its index in a common one.
    ways = (Q(message__case__in=pks), Q(case__in=pks), Q(decided_case__in=pks))
    return sorted({pk for way in ways for pk in InboundPayload.objects.filter(way).values_list("pk", flat=True)})


def _of_notice(pks: Pks) -> Q:
    return Q(question__case__in=pks) | Q(parking__case__in=pks)


def _attachments_of(pks: Pks) -> QuerySet[Attachment]:
    return Attachment.objects.filter(message__case__in=pks)


def _files_of(pks: Pks) -> list[str]:
    """A first mail has the very files that were given along with its case."""
    found = (_attachments_of(pks), Enclosure.objects.filter(case__in=pks))
    return sorted({name for rows in found for name in rows.values_list("file", flat=True) if name})


def _bytes_of(pks: Pks) -> int:
    sizes = dict(_attachments_of(pks).values_list("file", "size"))
    sizes |= dict(Enclosure.objects.filter(case__in=pks).values_list("file", "size"))
    return sum(sizes.values())


def _forget_in_log(pks: Pks) -> None:
    """The admin's log keeps who did what and when, but not what it called the rows: a name may stand in that."""
    of_case: tuple[tuple[type[Model], Q], ...] = (
        (Message, Q(case__in=pks)),
        (InputRequest, Q(case__in=pks)),
        (Delivery, Q(case__in=pks)),
        (InboundPayload, Q(pk__in=_payloads_of(pks))),
    )
    ids = {str(pk) for pk in pks}
    for model, which in of_case:
        ids |= {str(pk) for pk in model._default_manager.filter(which).values_list("pk", flat=True)}
    for some in batches(sorted(ids), files.AT_ONCE):  # type: ignore[arg-type]
        LogEntry.objects.filter(object_id__in=some).update(object_repr=PURGED)


# --- Mail that belongs to no case -----------------------------------------------------------------


def loose_mail(moment: datetime) -> QuerySet[InboundPayload]:
    """What providers handed us before the moment, and that is on no case: strangers' mail, and reports on ours."""
    moment = min(moment, work.now() - YOUNGEST_LOOSE_MAIL)
    on_none = InboundPayload.objects.filter(message=None, case=None, decided_case=None, received_at__lt=moment)
    rows: QuerySet[InboundPayload] = on_none.exclude(state=PayloadState.WAITING)
    return rows


def purge_loose_mail(pks: Pks) -> int:
    with work.transaction():
        waiting = InboundPayload.objects.select_for_update().filter(pk__in=pks, message=None, case=None)
        going = list(waiting.filter(decided_case=None).order_by("pk").values_list("pk", flat=True))
        InboundPayload.objects.filter(pk__in=going).delete()
    return len(going)


def bytes_of_loose_mail(rows: QuerySet[InboundPayload]) -> int:
    return int(rows.aggregate(size=Sum(Length("body")))["size"] or 0)
