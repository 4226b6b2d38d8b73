"""The demo's other side over AgentMail: a stand-in for AgentMail, and somebody whose mail goes through it."""

import re

from outreach.inbound import counterparty
from outreach.inbound.content import InboundAttachment
from outreach.standins.agentmail import AgentMailServer, Stored, original
from scripts.counterparty import Call, Manage


class OverAgentMail:
    """Reads what AgentMail has delivered, and writes back as a mail program does; signed webhooks tell the service."""

    is_test = False  # test keys never leave the sandbox

    def __init__(self) -> None:
        self.server = AgentMailServer()
        self.server.__enter__()
        self.settings = {
            "AGENTMAIL_BASE_URL": self.server.url,
            "AGENTMAIL_API_KEY": self.server.key,
            "OFFLOAD_SETTLE_SECONDS": "0",
        }

    def set_up(self, manage: Manage) -> dict[str, str]:
        """What `agentmail_setup` tells to set."""
        printed = manage("agentmail_setup", "--username", "orders", "--display-name", "Acme Purchasing")
        return dict(re.findall(r"^Set (\w+)=(\S+)$", printed, re.MULTILINE))

    def mails(self, call: Call, case_id: str) -> list[dict[str, str]]:
        return [{"raw": sent.raw.decode(), "text": sent.fields["text"]} for sent in self._sent(case_id)]

    def reply(self, call: Call, case_id: str, text: str, *, pdf: bytes | None = None) -> None:
        newest = self._sent(case_id)[-1]
        files = [] if pdf is None else [InboundAttachment("confirmation.pdf", "application/pdf", pdf)]
        self.server.deliver(
            newest.fields["inbox_id"], counterparty.reply(original(newest), text=text, attachments=files)
        )

    def _sent(self, case_id: str) -> list[Stored]:
        return [sent for sent in self.server.sent() if f"case-{case_id}" in sent.labels]

    def close(self) -> None:
        self.server.__exit__(None, None, None)
