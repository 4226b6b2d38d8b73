"""`manage.py reconcile_mail [--since 24h]`: take in what a webhook that was down has not told of."""

import re
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from cases import work
from outreach.agentmail import reconcile

SECONDS = 3600.0
UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class Command(BaseCommand):
    help = "Take in mail at AgentMail that no webhook has told of. The workers do so every now and then by themselves."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--since", default="24h", help="how far to look back: 90m, 24h, 7d (default: 24h)")

    def handle(self, *args: Any, since: str, **options: Any) -> None:
        if not settings.AGENTMAIL_API_KEY:
            raise CommandError("AGENTMAIL_API_KEY is not set.")
        try:
            found = reconcile.since(work.now() - _length(since), seconds=SECONDS)
        except work.StepFailed as error:
            raise CommandError(f"AgentMail: {error}") from error
        self.stdout.write(f"{found} mails were missing here and are taken in now.")


def _length(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,4})([mhd])", text)
    if not found:
        raise CommandError(f"--since is {text!r}; give 90m, 24h or 7d.")
    return timedelta(**{UNITS[found.group(2)]: int(found.group(1))})
