"""A stand-in for AgentMail: a real HTTP server that speaks its protocol, keeps mail in memory, and fails as told.

    with AgentMailServer() as server:
        ...  # AGENTMAIL_BASE_URL=server.url, AGENTMAIL_API_KEY=server.key
        server.deliver("us@agentmail.example", raw)  # somebody writes to us
        server.faults.append(Fault("after", status=500))  # the next send takes effect, and its answer is lost

What it does not know of the service (docs.agentmail.to leaves some of it open) it does in the stricter way. It needs
neither Django nor a database, and is proven by the official SDK.
"""

from outreach.standins.agentmail.http import Fault
from outreach.standins.agentmail.messages import Stored, original
from outreach.standins.agentmail.server import AgentMailServer

__all__ = ["AgentMailServer", "Fault", "Stored", "original"]
