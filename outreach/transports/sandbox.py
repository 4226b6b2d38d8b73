"""The sandbox: a provider whose mailboxes are rows. What integrators develop against, and what the demo runs on."""

from django.db import DatabaseError

from cases import work
from outreach.models import SandboxMail
from outreach.transports.base import OutgoingMail, Receipt, TransportError, as_email


class SandboxTransport:
    """Delivers into the case's sandbox mailbox, once per idempotency key as AgentMail does."""

    def send(self, mail: OutgoingMail) -> Receipt:
        try:
            with work.transaction():
                delivered, _ = SandboxMail.objects.get_or_create(
                    idempotency_key=mail.idempotency_key,
                    defaults={
                        "case_id": mail.case_id,
                        "message_id": mail.message_id,
                        "raw": as_email(mail).as_bytes(),
                        "delivered_at": work.now(),
                    },
                )
        except DatabaseError as error:
            raise TransportError(str(error), permanent=False) from error
        finally:
            work.let_go_of_connection()
        return Receipt(provider_id=str(delivered.pk))
