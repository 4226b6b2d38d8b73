"""What the doors for whole mails share: whose mail is taken, and that it is stored once."""

import hashlib
from email.utils import parseaddr

from django.conf import settings

from cases.models import Case
from outreach.inbound import intake, reply_address


def is_ours(address: str) -> bool:
    """Whether mail to this address is for us: a case that we know, one of our inboxes, or the postmaster (RFC 5321
    §4.5.1)."""
    address = address.lower()
    local, _, domain = address.rpartition("@")
    inboxes = {reply_address.inbox(), parseaddr(settings.OFFLOAD_MAIL_FROM)[1].lower()} - {""}
    if address in inboxes or address == "postmaster":
        return True
    if local == "postmaster" and any(domain == inbox.rpartition("@")[2] for inbox in inboxes):
        return True
    case_id = reply_address.case_id_in(address)
    return case_id is not None and Case.objects.filter(pk=case_id).exists()


def accept_mail(source: str, raw: bytes, *, sender: str = "", recipients: list[str] | None = None) -> bool:
    """Store a mail as it came, with its envelope; False if it is there already. Once this returns it is safe.

    The same bytes to the same recipients are one mail: whoever hands it over again has not heard our answer. Its
    Message-ID proves nothing, for its sender chooses it.
    """
    envelope = {"sender": sender, "recipients": recipients or []}
    digest = hashlib.sha256("\0".join([sender, *sorted(envelope["recipients"]), ""]).encode("utf-8", "replace"))
    digest.update(raw)
    return intake.accept(source, raw, digest.hexdigest(), envelope=envelope)
