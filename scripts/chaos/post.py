"""The mail outside: AgentMail's side, an SMTP server, and Ann with a mailbox behind either, who keeps to the plans."""

import asyncio
import hashlib
import random
import smtplib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from outreach.inbound import counterparty
from outreach.inbound.content import InboundAttachment
from outreach.standins.agentmail import AgentMailServer, Stored, original
from outreach.standins.agentmail.http import Fault
from scripts.chaos.courier import Courier
from scripts.chaos.outside import Outage
from scripts.chaos.plans import name_in
from scripts.demo_email import MailServer, read, text_of

HANG_SECONDS = 5.0  # longer than the service waits for a transport
DATE = "Delivery date: 2026-12-14"
ASKS = "Do you want the delivery in one piece or in two?"
TALKS = "For which warehouse is it?"
REFUSES = "We do not deliver to you any more, and never will."
ANSWER = "In one piece, please."
AGENTMAIL_OUTAGES = {
    "busy": Fault("before", status=503),
    "limited": Fault("before", status=429, retry_after="1"),
    "hang": Fault("before", status=503, wait_seconds=HANG_SECONDS),
    "refuse": Fault("before", is_reset=True),
    "lost": Fault("after", is_reset=True),
}
SMTP_OUTAGES = {"busy": "451 4.3.0 Try again", "limited": "452 4.5.3 Too many", "hang": "451 4.3.0 Try again"}


@dataclass(frozen=True)
class Mail:
    """A mail of ours that a provider has accepted. `key` tells repeats of one send from other mails: AgentMail's label
    of our idempotency key, or the Message-ID; `words` is a digest of recipient, subject and text."""

    transport: str
    address: str
    key: str
    words: str
    at: float  # Unix seconds


def _words(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


class Provider(AgentMailServer):
    """The stand-in for AgentMail, with outages that last, and events that come several times and in no order."""

    def __init__(self, courier: Courier, repeats: int) -> None:
        super().__init__()
        self.courier, self.repeats, self.outage = courier, repeats, Outage()

    def take_fault(self, method: str, target: str) -> Fault | None:
        down = self.outage.now
        fault = AGENTMAIL_OUTAGES.get(down)
        if fault and fault.when == "after" and method != "POST":
            return None
        return fault or super().take_fault(method, target)

    def _deliver(self, hook: dict[str, Any], event: dict[str, Any]) -> None:
        def job() -> bool:
            status = self.post_event(hook, event)
            return status is not None and 200 <= status < 300

        for number in range(self.repeats):
            self.courier.bring(job, random.uniform(0, 1.5) if number or self.repeats > 1 else 0.0)


class Mailboxes(MailServer):
    """The SMTP server, with outages that last. What it refuses to take it has not taken."""

    def __init__(self, on_mail: Callable[[bytes], None]) -> None:
        self.outage, self.on_mail = Outage(), on_mail
        super().__init__()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        down = self.outage.now
        if down == "hang":
            await asyncio.sleep(HANG_SECONDS)
        if down in SMTP_OUTAGES:
            return SMTP_OUTAGES[down]
        if down:
            if isinstance(server.transport, asyncio.Transport):
                server.transport.abort()
            return "421 4.3.0 Gone"
        self.on_mail(envelope.original_content or b"")
        return "250 2.0.0 Ok: queued"


class Post:
    """In a process of its own. `repeats`: how often each thing that happens outside is told of."""

    def __init__(self, repeats: int) -> None:
        self.repeats, self.smtp_port = repeats, 0
        self.courier = Courier()
        self.mails: list[Mail] = []
        self.newest: dict[str, tuple[str, Any]] = {}  # by address: its transport, and the mail as that keeps it
        self.lock = threading.Lock()
        self.provider = Provider(self.courier, repeats)
        self.provider.on_sent = self._agentmail_has_sent
        self.provider.__enter__()
        self.mailboxes = Mailboxes(self._smtp_has_brought)

    def settings(self, smtp_port: int) -> dict[str, str]:
        """By what the service reaches it; on this port the service itself takes mail by SMTP."""
        self.smtp_port = smtp_port
        return {
            "AGENTMAIL_BASE_URL": self.provider.url,
            "AGENTMAIL_API_KEY": self.provider.key,
            "EMAIL_URL": f"smtp://127.0.0.1:{self.mailboxes.port}",
            "OFFLOAD_MAIL_FROM": "Acme Purchasing <orders@acme.example>",
        }

    def fail(self, transport: str, how: str, seconds: float) -> None:
        (self.provider if transport == "agentmail" else self.mailboxes).outage.begin(how, seconds)

    def sent(self) -> list[Mail]:
        """What the providers have accepted, in the order of its coming."""
        with self.lock:
            return list(self.mails)

    def waiting(self) -> int:
        """How many things have happened that the service has not been told of yet."""
        return self.courier.waiting()

    # --- Our mail arrives ---

    def _agentmail_has_sent(self, stored: Stored) -> None:
        fields = stored.fields
        key = next(label for label in stored.labels if label.startswith("mail-"))
        self._arrive("agentmail", read(stored.raw)["To"].addresses[0].addr_spec, key[5:], fields["text"], stored)

    def _smtp_has_brought(self, raw: bytes) -> None:
        mail, text = read(raw), text_of(raw)
        self._arrive("email", mail["To"].addresses[0].addr_spec, mail["Message-ID"], text, Stored({"text": text}, raw))

    def _arrive(self, transport: str, address: str, key: str, text: str, stored: Stored) -> None:
        is_new = False
        with self.lock:
            is_new = all(mail.key != key for mail in self.mails if mail.address == address)
            number = len({mail.key for mail in self.mails if mail.address == address}) + is_new
            self.mails.append(Mail(transport, address, key, _words(address, text), time.time()))
            self.newest[address] = transport, stored
        if is_new:
            self._follow_plan(address, number)

    def _follow_plan(self, address: str, number: int) -> None:
        """What Ann does about the so-manieth mail that she has got."""
        plan, soon = name_in(address), partial(random.uniform, 0.05, 1.0)
        first = {"asks": ASKS, "talks": TALKS, "refuses": REFUSES}.get(plan, DATE)
        if plan == "silent":
            return
        if plan == "bounces":
            self.courier.bring(partial(self._once, self.bounce, address), soon())
        elif number > 2:
            return  # she has said what she had to say
        else:
            if plan == "delayed":
                self.courier.bring(partial(self._once, self.delay, address), soon() / 10)
            text = first if number == 1 else DATE
            self.courier.bring(partial(self._once, self.write, address, text, plan == "file"), soon())

    def _once(self, act: Callable[..., None], *arguments: Any) -> bool:
        act(*arguments)
        return True

    # --- What happens outside ---

    def write(self, address: str, text: str, has_file: bool = False) -> None:
        """Ann answers the newest mail."""
        files = [InboundAttachment("confirmation.txt", "text/plain", f"{DATE}\n{address}\n".encode() * 900)]
        self._bring(address, counterparty.reply(self._original(address), text=text, attachments=files[: int(has_file)]))

    def delay(self, address: str) -> None:
        """A mail server on the way says that it has to wait."""
        self._bring(address, counterparty.delay(self._original(address)))

    def bounce(self, address: str) -> None:
        """The newest mail can't be delivered, ever: AgentMail tells of it by an event, others by mail."""
        transport, stored = self.newest[address]
        if transport == "agentmail":
            self.provider.report("message.bounced", stored.fields["message_id"])
        else:
            self._bring(address, counterparty.bounce(self._original(address)))

    def deliver(self, address: str) -> None:
        """AgentMail tells that the newest mail has been delivered; SMTP says nothing of the kind."""
        transport, stored = self.newest[address]
        if transport == "agentmail":
            self.provider.report("message.delivered", stored.fields["message_id"])

    def flood(self, bounced: list[str], delayed: list[str], seconds: float) -> None:
        """Reports about the newest mails to these addresses, spread evenly over so many seconds."""
        reports = [partial(self.bounce, one) for one in bounced] + [partial(self.delay, one) for one in delayed]
        random.shuffle(reports)
        for number, report in enumerate(reports):
            self.courier.bring(partial(self._once, report), seconds * number / len(reports))

    def tell(self, repeats: int) -> None:
        """From now on each thing is told of so many times."""
        self.repeats = self.provider.repeats = repeats

    def _original(self, address: str) -> counterparty.OriginalMail:
        return original(self.newest[address][1])

    def _bring(self, address: str, raw: bytes) -> None:
        transport, stored = self.newest[address]
        if transport == "agentmail":
            self.provider.deliver(stored.fields["inbox_id"], raw)
            return
        mail = read(raw)
        is_report = mail["Auto-Submitted"] is not None
        to = str(mail["To"]) if is_report else read(stored.raw)["Reply-To"].addresses[0].addr_spec
        job = partial(self._hand_over, "" if is_report else address, to, raw)
        for number in range(self.repeats):
            self.courier.bring(job, random.uniform(0, 1.5) if number else 0.0)

    def _hand_over(self, sender: str, to: str, raw: bytes) -> bool:
        try:
            with smtplib.SMTP("127.0.0.1", self.smtp_port, local_hostname="mx.supplier.example", timeout=15) as client:
                client.sendmail(sender, [to], raw)
        except (OSError, smtplib.SMTPException):
            return False
        return True
