"""Who writes on a case besides its counterparty."""

from cases.events import SYSTEM, record
from cases.models import Admission, Case, Correspondent


def admit(case: Case, *, address: str, name: str, how: Admission, actor: str = SYSTEM) -> None:
    """Let mail from the address act from now on. For a case you hold locked; nothing that clients see changes."""
    _, is_new = Correspondent.objects.get_or_create(
        case=case, address=address, defaults={"name": name, "how": how, "since": case.now}
    )
    if is_new:
        record(case, "mail.sender_admitted", actor=actor, sender=address, how=how)
