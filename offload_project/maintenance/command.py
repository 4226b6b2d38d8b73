"""What the operator's commands share: help with examples, arguments as people write them, and a way to be stopped."""

import argparse
import re
import uuid
from datetime import timedelta
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter

from cases.models import Client
from offload_project.maintenance.stopping import INTERRUPTED, Interrupted, Stop

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Formatter(DjangoHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Leaves lines as they are written."""


class MaintenanceCommand(BaseCommand):
    """A command for the operator. Below its help stand examples."""

    examples: ClassVar[str] = ""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        self.help = self.help.strip()
        below = f"examples:\n{self.examples.strip(chr(10))}\n "
        return super().create_parser(prog_name, subcommand, formatter_class=Formatter, epilog=below, **kwargs)

    def say(self, text: str = "") -> None:
        self.stdout.write(text)


class LongCommand(MaintenanceCommand):
    """One that may be stopped at any time: it ends what it is at, says what is done, and exits with 130."""

    done: str = "Nothing is done yet."  # in a sentence, for whoever stops it

    def handle(self, *args: Any, **options: Any) -> None:
        with Stop() as stop:
            try:
                self.work(stop, options)
            except Interrupted:
                self.stderr.write(f"Stopped. {self.done} Start it again to go on: nothing is done twice.")
                raise SystemExit(INTERRUPTED) from None

    def work(self, stop: Stop, options: dict[str, Any]) -> None:
        """All that it does. Calls `stop.look()` wherever nothing is half done."""
        raise NotImplementedError


# --- What people write ---


def length(text: str) -> timedelta:
    """`365d`, `12h`, `10m`, `2w`. Raises ArgumentTypeError."""
    found = re.fullmatch(r"([0-9]{1,5})([mhdw])", text.strip())
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no length of time; write 10m, 12h, 365d or 2w.")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def client_named(text: str | None) -> Client | None:
    """The client of that id, or else of that name; None for None. Raises CommandError for none, and for several."""
    if text is None:
        return None
    try:
        found = list(Client.objects.filter(pk=uuid.UUID(text)))
    except ValueError:
        found = list(Client.objects.filter(name=text)[:2])
    if len(found) > 1:
        raise CommandError(f"Several clients are named {text!r}. Give the id, as the admin shows it.")
    if not found:
        raise CommandError(f"There is no client {text!r}. Give its name or its id, as the admin shows them.")
    return found[0]


def add_client(parser: CommandParser) -> None:
    parser.add_argument("--client", metavar="NAME|ID", help="only cases of this client (default: of all)")


def add_yes(parser: CommandParser, what: str) -> None:
    parser.add_argument("--yes", action="store_true", help=f"{what}; without it nothing is changed")


def in_bytes(count: int) -> str:
    """`512 bytes`, `34.2 MB`: in powers of 1000, as disks are sold."""
    size = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        size /= 1000
        if size < 1000 or unit == "TB":
            break
    return f"{count} bytes" if count < 1000 else f"{size:.1f} {unit}"
