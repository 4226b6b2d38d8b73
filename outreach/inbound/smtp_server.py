"""An SMTP or LMTP server that takes mail for our addresses, and no other. Accepted means stored.

For an MX of its own, or behind a mail server that hands over what it has judged.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.db import DatabaseError

from cases import work
from outreach.inbound.served import accept_mail, is_ours

logger = logging.getLogger(__name__)
T = TypeVar("T")

MAX_RECIPIENTS = 100  # RFC 5321 §4.5.3.1.8
MAX_COMMANDS = 500  # of one kind in one connection
IDLE_SECONDS = 300.0  # between two commands, and for all of a mail (RFC 5321 §4.5.3.2)
DATABASE_THREADS = 4
GOODBYE_SECONDS = 10.0

ACCEPTED = "250 2.0.0 Stored"
UNKNOWN = "550 5.1.1 There is no such address here"
TOO_MANY = "452 4.5.3 Too many recipients"
TRY_LATER = "451 4.3.0 Can't store mail now, try again later"
TOO_BUSY = "421 4.3.2 Too many connections, try again later"


@dataclass(frozen=True)
class Options:
    """How the server is run. `max_size` in bytes; `tls` where STARTTLS is offered."""

    host: str
    port: int
    is_lmtp: bool
    max_size: int
    max_connections: int
    tls: ssl.SSLContext | None


class Handler:
    """What is done with what the other side says. The database is asked in threads, with a connection for each use."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if len(envelope.rcpt_tos) >= MAX_RECIPIENTS:
            return TOO_MANY
        if not await self._asked(partial(is_ours, address)):
            return UNKNOWN
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        raw = envelope.content
        if not isinstance(raw, bytes):
            raise TypeError("aiosmtpd was told not to decode")
        sender = "" if envelope.mail_from in (None, "<>") else str(envelope.mail_from)
        try:
            await self._asked(partial(accept_mail, "smtp", raw, sender=sender, recipients=envelope.rcpt_tos))
        except Exception as error:  # noqa: BLE001 (whatever it is: an answer, after which aiosmtpd forgets this mail)
            return await self.handle_exception(error)
        return ACCEPTED

    async def handle_exception(self, error: Exception) -> str:
        """The answer where something of ours fails; aiosmtpd's own would be 500, and the mail be lost."""
        if isinstance(error, DatabaseError):
            logger.error("can't store mail: %s", error)
        else:
            logger.error("mail could not be taken", exc_info=error)
        return TRY_LATER

    async def _asked(self, question: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, _with_connection, question)


def _with_connection(question: Callable[[], T]) -> T:
    try:
        return question()
    finally:
        work.let_go_of_connection()


class _Counted(SMTP):
    """A connection that counts, and is refused where there are too many."""

    def __init__(self, *args: Any, open_ones: set[SMTP], max_connections: int, **options: Any) -> None:
        self._open_ones, self._max_connections = open_ones, max_connections
        self.line_length_limit = options["data_size_limit"]  # whatever lines a mail has
        super().__init__(*args, **options)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self not in self._open_ones and len(self._open_ones) >= self._max_connections:
            if isinstance(transport, asyncio.WriteTransport):
                transport.write(f"{TOO_BUSY}\r\n".encode())
            transport.close()
            return
        self._open_ones.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self in self._open_ones:
            self._open_ones.discard(self)
            super().connection_lost(error)


class _CountedLMTP(LMTP, _Counted):
    """LMTP answers a mail once for each recipient (RFC 2033 §4.2); all are stored in one row, so with one answer."""

    _answers = 1

    async def smtp_DATA(self, arg: str) -> None:
        self._answers = len(self.envelope.rcpt_tos) if self.envelope else 1
        try:
            await super().smtp_DATA(arg)
        finally:
            self._answers = 1

    async def push(self, status: Any) -> None:
        is_final = not str(status).startswith(("354", "501", "503"))
        for _ in range(self._answers if is_final else 1):
            await super().push(status)


async def serve(options: Options, *, stop: asyncio.Event, on_listening: Callable[[int], None]) -> None:
    """Serve until `stop` is set, then finish what is being said. `on_listening` is told the port."""
    open_ones: set[SMTP] = set()
    kind = _CountedLMTP if options.is_lmtp else _Counted
    with ThreadPoolExecutor(DATABASE_THREADS, thread_name_prefix="mail") as threads:
        loop = asyncio.get_running_loop()
        connection = partial(
            kind,
            Handler(threads),
            open_ones=open_ones,
            max_connections=options.max_connections,
            data_size_limit=options.max_size,
            enable_SMTPUTF8=True,
            ident="Offload",
            tls_context=options.tls,
            timeout=IDLE_SECONDS,
            auth_exclude_mechanism=["LOGIN", "PLAIN"],
            command_call_limit=MAX_COMMANDS,
            loop=loop,
        )
        listening = await loop.create_server(connection, options.host, options.port)
        on_listening(listening.sockets[0].getsockname()[1])
        await stop.wait()
        listening.close()
        await _say_goodbye(open_ones)


async def _say_goodbye(open_ones: set[SMTP]) -> None:
    """Close those that are idle, and give those that hand over a mail the time to hear our answer."""
    end = asyncio.get_running_loop().time() + GOODBYE_SECONDS
    while open_ones and asyncio.get_running_loop().time() < end:
        for one in list(open_ones):
            if one.transport and not (one.envelope and one.envelope.rcpt_tos):
                one.transport.close()
        await asyncio.sleep(0.05)
    for one in list(open_ones):
        if one.transport:
            one.transport.close()
    await asyncio.sleep(0.05)
