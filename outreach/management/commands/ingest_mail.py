"""`manage.py ingest_mail < message`: takes one mail from a pipe, as a mail server's transport or alias."""

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from outreach.inbound.served import accept_mail


class Command(BaseCommand):
    """Its exit status is sysexits.h's, which mail servers know: with 75 they keep the mail and try again."""

    help = "Takes one mail from standard input. Ends with 0 once it is stored, with 75 where it has to be tried again."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--sender", default="", metavar="ADDRESS", help="MAIL FROM; empty for reports")
        parser.add_argument("--recipient", action="append", default=[], metavar="ADDRESS", help="RCPT TO, each")

    def handle(self, *args: Any, **options: Any) -> None:
        raw = sys.stdin.buffer.read()
        if not raw.strip():
            self.stderr.write("no mail on standard input")
            sys.exit(os.EX_DATAERR)
        sender = "" if options["sender"] in ("<>", "MAILER-DAEMON") else options["sender"]
        try:
            accept_mail("pipe", raw, sender=sender, recipients=options["recipient"])
        except Exception as error:  # noqa: BLE001 (whatever it is, the mail must not bounce for it)
            self.stderr.write(f"can't store the mail: {error}")
            sys.exit(os.EX_TEMPFAIL)
