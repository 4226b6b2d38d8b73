"""The ways by which mail leaves. A case keeps the one it began with."""

from outreach.transports.agentmail import AgentMailTransport
from outreach.transports.base import OutgoingMail, Receipt, Transport, TransportError
from outreach.transports.email import EmailTransport
from outreach.transports.sandbox import SandboxTransport

__all__ = ["TRANSPORTS", "OutgoingMail", "Receipt", "Transport", "TransportError", "transport_named"]

TRANSPORTS: dict[str, type[Transport]] = {
    "agentmail": AgentMailTransport,
    "email": EmailTransport,
    "sandbox": SandboxTransport,
}


def transport_named(name: str) -> Transport:
    """The transport of that name. Raises TransportError, not permanent: an operator can configure it."""
    if name not in TRANSPORTS:
        raise TransportError(f"there is no transport named {name!r} here", permanent=False)
    return TRANSPORTS[name]()
