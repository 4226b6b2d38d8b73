"""The demo's other side over real SMTP: the counterparty's own mail server, and somebody who reads and writes there."""

import asyncio
import smtplib
import socket
import threading
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP as WIRE
from email.policy import default
from email.utils import make_msgid

from aiosmtpd.smtp import SMTP, Envelope, Session

from scripts.counterparty import Call, Manage


class OverEmail:
    """Keeps what the service sends by SMTP, and answers by SMTP to `receive_mail`. Its mail program answers the first
    mail by itself, for Ann is away: the service has to take that for what it is."""

    is_test = False  # test keys never leave the sandbox

    def __init__(self) -> None:
        self.server = MailServer()
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.service_port = int(probe.getsockname()[1])
        self.settings = {
            "EMAIL_URL": f"smtp://127.0.0.1:{self.server.port}",
            "OFFLOAD_MAIL_FROM": "Acme Purchasing <orders@acme.example>",
            "OFFLOAD_SETTLE_SECONDS": "0",
            "MAIL_PORT": str(self.service_port),
        }

    def set_up(self, manage: Manage) -> dict[str, str]:
        return {}

    def mails(self, call: Call, case_id: str) -> list[dict[str, str]]:
        return [{"raw": raw.decode(), "text": text_of(raw)} for raw in self.server.mails]

    def reply(self, call: Call, case_id: str, text: str, *, pdf: bytes | None = None) -> None:
        newest = self.server.mails[-1]
        if pdf is not None:
            self.hand_over(out_of_office(newest), sender="")
        self.hand_over(reply(newest, text, pdf))

    def hand_over(self, message: EmailMessage, sender: str = "ann.miller@supplier.example") -> None:
        """To the service's mail server, as the counterparty's would."""
        with smtplib.SMTP("127.0.0.1", self.service_port, local_hostname="mx.supplier.example", timeout=20) as client:
            client.sendmail(sender, [str(message["To"])], message.as_bytes())

    def close(self) -> None:
        self.server.close()


class MailServer:
    """A mail server on loopback that keeps what it is given, in a thread of its own."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []
        self._loop = asyncio.new_event_loop()
        self._listening = self._loop.run_until_complete(
            self._loop.create_server(
                lambda: SMTP(self, hostname="mx.supplier.example", loop=self._loop), "127.0.0.1", 0
            )
        )
        self.port = int(self._listening.sockets[0].getsockname()[1])
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.mails.append(envelope.original_content or b"")
        return "250 2.0.0 Ok: queued"

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._listening.close)
        self._loop.call_soon_threadsafe(self._loop.call_later, 0.2, self._loop.stop)
        self._thread.join()
        self._loop.close()


def read(raw: bytes) -> EmailMessage:
    """The mail, to be asked for its headers and its text."""
    message = message_from_bytes(raw, policy=default)
    assert isinstance(message, EmailMessage)
    return message


def text_of(raw: bytes) -> str:
    """The mail's plain text."""
    body = read(raw).get_body(("plain",))
    return body.get_content().replace("\r\n", "\n") if body else ""


def reply(raw: bytes, text: str, pdf: bytes | None = None) -> EmailMessage:
    """An answer that quotes the mail, as mail programs do, to the address that it asks for."""
    answered = read(raw)
    message = answer(raw, f"Re: {answered['Subject'].removeprefix('Re: ')}")
    quoted = "\n".join(f"> {line}".rstrip() for line in text_of(raw).splitlines())
    message.set_content(f"{text}\n\nOn {answered['Date']}, {answered['From']} wrote:\n{quoted}\n")
    if pdf is not None:
        message.add_attachment(pdf, maintype="application", subtype="pdf", filename="confirmation.pdf")
    return message


def out_of_office(raw: bytes) -> EmailMessage:
    """What a mail program answers by itself (RFC 3834)."""
    message = answer(raw, f"Automatic reply: {read(raw)['Subject']}")
    message["Auto-Submitted"] = "auto-replied"
    message.set_content("I am out of the office until further notice, and read my mail now and then.\n")
    return message


def answer(raw: bytes, subject: str) -> EmailMessage:
    """The headers of an answer."""
    ours, message = read(raw), EmailMessage(policy=WIRE.clone(max_line_length=900))
    message["From"], message["To"] = str(ours["To"]), ours["Reply-To"].addresses[0].addr_spec
    message["Subject"] = subject
    message["Message-ID"] = make_msgid(domain="supplier.example")
    message["In-Reply-To"] = ours["Message-ID"]
    message["References"] = f"{ours['References'] or ''} {ours['Message-ID']}".strip()
    return message
