"""The demo's other side over AgentMail: a stand-in for AgentMail, and somebody whose mail goes through it."""

import re
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, default
from email.utils import make_msgid

from outreach.standins.agentmail import AgentMailServer, Stored
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
        self.server.deliver(newest.fields["inbox_id"], reply(newest, text, pdf))

    def _sent(self, case_id: str) -> list[Stored]:
        return [sent for sent in self.server.sent() if f"case-{case_id}" in sent.labels]

    def close(self) -> None:
        self.server.__exit__(None, None, None)


def reply(sent: Stored, text: str, pdf: bytes | None = None) -> bytes:
    """An answer that quotes the mail, as mail programs do."""
    ours = message_from_bytes(sent.raw, policy=default)
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"] = str(ours["To"]), str(ours["From"])
    message["Subject"] = f"Re: {ours['Subject'].removeprefix('Re: ')}"
    message["Message-ID"] = make_msgid(domain="supplier.example")
    message["In-Reply-To"] = ours["Message-ID"]
    message["References"] = f"{ours['References'] or ''} {ours['Message-ID']}".strip()
    quoted = "\n".join(f"> {line}".rstrip() for line in sent.fields["text"].splitlines())
    message.set_content(f"{text}\n\nOn Monday, Robin Ward wrote:\n{quoted}\n")
    if pdf is not None:
        message.add_attachment(pdf, maintype="application", subtype="pdf", filename="confirmation.pdf")
    return message.as_bytes()
