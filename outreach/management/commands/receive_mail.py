"""`manage.py receive_mail`: takes mail by SMTP or LMTP."""

import asyncio
import signal
import ssl
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from outreach.inbound import smtp_server


class Command(BaseCommand):
    help = "Takes mail for the cases' addresses by SMTP, or LMTP, until SIGTERM. Accepted means stored."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1)")
        parser.add_argument("--port", type=int, default=8025, help="the port (default: 8025; 0: any free one)")
        parser.add_argument("--lmtp", action="store_true", help="speak LMTP, for a mail server that hands over to it")
        parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="offer STARTTLS with this certificate (PEM)")
        parser.add_argument("--tls-key", type=Path, metavar="FILE", help="the certificate's key (PEM)")
        parser.add_argument(
            "--max-size", type=int, default=26_000_000, metavar="BYTES", help="of a mail (default: 26 MB)"
        )
        parser.add_argument("--max-connections", type=int, default=50, metavar="N", help="at a time (default: 50)")

    def handle(self, *args: Any, **given: Any) -> None:
        options = smtp_server.Options(
            host=given["host"],
            port=given["port"],
            is_lmtp=given["lmtp"],
            max_size=given["max_size"],
            max_connections=given["max_connections"],
            tls=_tls(given["tls_cert"], given["tls_key"]),
        )
        try:
            asyncio.run(self._serve(options))
        except OSError as error:
            raise CommandError(f"can't listen on {options.host}:{options.port}: {error}") from error

    async def _serve(self, options: smtp_server.Options) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await smtp_server.serve(options, stop=stop, on_listening=lambda port: self._say_where(options, port))

    def _say_where(self, options: smtp_server.Options, port: int) -> None:
        self.stdout.write(f"{'LMTP' if options.is_lmtp else 'SMTP'} on {options.host}:{port}")
        self.stdout.flush()


def _tls(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if not certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:
        raise CommandError(f"can't read the certificate {certificate}: {error}") from error
    return context
