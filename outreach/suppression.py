"""To whom we no longer write: addresses that bounced or complained, people who said stop, and whom staff have added.

Looked at before each mail is written and before each is sent. A row holds until staff lift it.
"""

from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from cases import work
from cases.errors import CaseError
from cases.events import record
from cases.models import Case, Client
from cases.prepared import Prepared
from outreach import fingerprints
from outreach.inbound.addresses import canonical, spelled
from outreach.models import Suppression, SuppressionReason

SENTENCES = {
    SuppressionReason.BOUNCE: "No mail is sent to this address: earlier mail to it could not be delivered.",
    SuppressionReason.COMPLAINT: "No mail is sent to this address: its owner has reported earlier mail as unwanted.",
    SuppressionReason.STOP: "No mail is sent to this address: its owner has asked for no more.",
    SuppressionReason.STAFF: "No mail is sent to this address: the operator has ruled it out.",
}


class NotSuppressed(CaseError):
    """Somebody else has lifted it."""

    code, status, message = "NOT_SUPPRESSED", 409, "This address has been lifted from the list already."


def sentence_against(case: Case) -> str:
    """Why no mail may go to the case's counterparty, as a sentence for people; empty where it may."""
    # Who has said stop as ann@ gets nothing as ann+offers@ either; nor does who was erased since.
    spellings = {spelled(case.counterparty_address), canonical(case.counterparty_address)}
    found = _ruled_out.first(sorted(spellings | fingerprints.known(spellings)), case.client_id)
    return SENTENCES[SuppressionReason(found.reason)] if found else ""


@Prepared
def _ruled_out(addresses: list[str], client: UUID) -> QuerySet[Suppression]:
    """What keeps the client from writing to one of the addresses."""
    rows = Suppression.objects.filter(address__in=addresses, lifted_at__isnull=True)
    return rows.filter(Q(client__isnull=True) | Q(client=client)).order_by("pk")[:1]


def add(case: Case, reason: SuppressionReason, *, note: str = "", address: str = "") -> None:
    """Put the address, or the counterparty's, on the list, as a case that you hold locked has shown.

    What somebody says of their own wishes they say to the client; what a mail system says holds for every client.
    Nothing that is played in the sandbox is about a real mailbox: it puts nobody on the list.
    """
    if case.transport == "sandbox":
        return
    address = address or case.counterparty_address
    row, is_new = Suppression.objects.get_or_create(
        # A bounce may be for the very tag of ann+offers@; whoever complains or says stop is the person behind it.
        address=spelled(address) if reason == SuppressionReason.BOUNCE else canonical(address),
        reason=reason,
        client=case.client if reason == SuppressionReason.STOP else None,
        lifted_at=None,
        defaults={"case": case, "note": note[:1000], "since": case.now},
    )
    if is_new:
        record(case, "address.suppressed", address=row.address, why=SuppressionReason(reason).label)


def add_by_hand(*, address: str, client: Client | None, note: str, actor: str) -> Suppression:
    """Put an address on the list, for one client or for all; the same one twice is one row."""
    with work.transaction():
        fields: dict[str, Any] = {"note": note, "since": work.now(), "added_by": actor}
        row, _ = Suppression.objects.get_or_create(
            address=canonical(address), reason=SuppressionReason.STAFF, client=client, lifted_at=None, defaults=fields
        )
        return row


def forget_address(rows: QuerySet[Suppression]) -> int:
    """Let the rows, which you hold locked, hold on without saying whom they are about; how many."""
    for row in rows:
        row.address, row.note = fingerprints.fingerprint(row.address), ""
        same = Suppression.objects.filter(address=row.address, reason=row.reason, client=row.client, lifted_at=None)
        if row.lifted_at is None and same.exists():  # put on the list once more after they were erased
            row.delete()
        else:
            row.save(update_fields=["address", "note"])
    return len(rows)


def lift(pk: int, *, actor: str, reason: str = "") -> Suppression:
    """Let mail go to the address again, as far as this row is concerned; the reason joins its note.

    Raises NotSuppressed.
    """
    with work.transaction():
        row = Suppression.objects.select_for_update().filter(pk=pk, lifted_at__isnull=True).first()
        if row is None:
            raise NotSuppressed
        row.lifted_at, row.lifted_by = work.now(), actor
        if reason:
            row.note = f"{row.note}\nLifted: {reason}".strip()
        row.save(update_fields=["lifted_at", "lifted_by", "note"])
        return row
