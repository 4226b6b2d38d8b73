"""`manage.py poll_imap`: takes the mail that waits in a mailbox."""

import logging
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, close_old_connections

from cases.daemon import Complaints, Termination
from outreach.inbound import imap

logger = logging.getLogger(__name__)
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0


class Command(BaseCommand):
    help = (
        "Takes the mail that is not seen yet in the folder of IMAP_URL, and marks it as seen once it is stored. "
        "Goes on until SIGTERM, told by the server of new mail (IDLE)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="take what is there and end; 1 where that failed")
        parser.add_argument("--move-to", default="", metavar="FOLDER", help="move what is stored there")
        parser.add_argument(
            "--interval",
            type=float,
            default=60.0,
            metavar="SECONDS",
            help="look so often, too; and only so often where the server does not tell (default: 60)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            account = imap.account(settings.IMAP_URL)
        except ValueError as error:
            raise CommandError(str(error)) from error
        if options["once"]:
            self._once(account, options["move_to"])
        else:
            run(account, Termination(), move_to=options["move_to"], every_seconds=options["interval"])

    def _once(self, account: imap.Account, move_to: str) -> None:
        try:
            with account.login() as mailbox:
                count = imap.take_all(mailbox, move_to=move_to)
        except (*imap.ERRORS, DatabaseError) as error:
            raise CommandError(f"{account.host}: {error}") from error
        self.stdout.write(f"{count} taken")


def run(account: imap.Account, termination: Termination, *, move_to: str, every_seconds: float) -> None:
    """Take mail until told to stop. After an error connect anew, at first soon, then once a minute."""
    complaints, pause = Complaints(logger), FIRST_PAUSE_SECONDS
    while not termination.requested:
        try:
            with account.login() as mailbox:
                while not termination.requested:
                    imap.take_all(mailbox, move_to=move_to)
                    close_old_connections()
                    complaints.are_over()
                    pause = FIRST_PAUSE_SECONDS
                    imap.wait_for_mail(mailbox, stopped=termination.wait, seconds=every_seconds)
        except (*imap.ERRORS, DatabaseError) as error:
            complaints.about(f"can't take mail from {account.host}", error)
            close_old_connections()
            termination.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
