"""Mail servers on loopback: a real one that keeps what it is given, and one that answers by a script."""

import asyncio
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

# --- A real one -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mail:
    """A mail as a server got it."""

    sender: str
    recipients: list[str]
    raw: bytes


@dataclass
class Kept:
    """A handler that keeps every mail."""

    refused: list[str]  # addresses that it does not know
    mails: list[Mail] = field(default_factory=list)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return "550 5.1.1 No such user"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.mails.append(Mail(envelope.mail_from or "", envelope.rcpt_tos, envelope.content))
        return "250 2.0.0 Ok: queued"


@contextmanager
def mail_server(
    *, ssl_context: ssl.SSLContext | None = None, refused: Sequence[str] = (), **options: Any
) -> Iterator[tuple[int, list[Mail]]]:
    """An aiosmtpd server: its port, and what it has accepted so far. `options` are those of aiosmtpd's SMTP."""
    kept, loop = Kept(list(refused)), asyncio.new_event_loop()
    options = {"hostname": "mx.example", **options}
    listening = loop.run_until_complete(
        loop.create_server(lambda: SMTP(kept, loop=loop, **options), "127.0.0.1", 0, ssl=ssl_context)
    )
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield listening.sockets[0].getsockname()[1], kept.mails
    finally:
        asyncio.run_coroutine_threadsafe(_close(listening), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _close(listening: asyncio.Server) -> None:
    listening.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.sleep(0.01)  # for transports to close


def certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate for `localhost` that signs itself, and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = directory / "cert.pem", directory / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file


def tls(cert_file: Path, key_file: Path) -> ssl.SSLContext:
    """What a server needs to speak TLS with that certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert_file, key_file)
    return context


# --- One by a script ------------------------------------------------------------------------------

HANG_UP = ""
USUAL = {
    "BANNER": "220 mx.example ESMTP",
    "EHLO": "250 mx.example",
    "MAIL": "250 2.1.0 Ok",
    "RCPT": "250 2.1.5 Ok",
    "DATA": "354 End data with <CR><LF>.<CR><LF>",
    ".": "250 2.0.0 Ok",
    "QUIT": "221 2.0.0 Bye",
}


@dataclass
class Script:
    """What the server answers to each verb, where it is not the usual; `pause` seconds before each byte of a reply."""

    answers: dict[str, str]
    pauses: dict[str, float] = field(default_factory=dict)
    mails: list[bytes] = field(default_factory=list)  # everything that came between DATA and the dot
    connections: int = 0

    def answer(self, verb: str) -> str:
        return self.answers.get(verb, USUAL.get(verb, "502 5.5.2 What?"))


class _Conversation(StreamRequestHandler):
    script: Script

    def handle(self) -> None:
        self.script.connections += 1
        try:
            if self._say("BANNER"):
                while (line := self.rfile.readline()) and self._say(line[:4].strip().decode().upper()):
                    if line.upper().startswith(b"DATA") and self.script.answer("DATA").startswith("354"):
                        self.script.mails.append(self._read_data())
                        if not self._say("."):
                            return
        except OSError:  # the client has gone
            return

    def _say(self, verb: str) -> bool:
        answer, pause = self.script.answer(verb), self.script.pauses.get(verb, 0.0)
        if answer == HANG_UP:
            return False
        for byte in f"{answer}\r\n".encode():
            time.sleep(pause)
            self.wfile.write(bytes([byte]))
        return verb != "QUIT"

    def _read_data(self) -> bytes:
        data = b""
        while not data.endswith(b"\r\n.\r\n"):
            line = self.rfile.readline()
            if not line:
                break
            data += line
        return data.removesuffix(b".\r\n")


@contextmanager
def scripted_server(pauses: dict[str, float] | None = None, /, **answers: str) -> Iterator[tuple[int, Script]]:
    """A server that answers by a script (`END` stands for the dot that ends a mail): its port, and the script."""
    if "END" in answers:
        answers["."] = answers.pop("END")
    script = Script(answers, {"." if verb == "END" else verb: pause for verb, pause in (pauses or {}).items()})
    handler = type("Conversation", (_Conversation,), {"script": script})
    with ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1], script
        finally:
            server.shutdown()
            thread.join()
