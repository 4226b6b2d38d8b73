"""`manage.py requeue_stuck`: rows that do not get on, why, and with --yes due again."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from offload_project.maintenance import stuck
from offload_project.maintenance.command import LongCommand, add_yes, length
from offload_project.maintenance.progress import Progress
from offload_project.maintenance.stopping import Stop

SHOWN = 200


class Command(LongCommand):
    """A list unless --yes is given."""

    help = """
List the rows that do not get on, each with the reason: due for long and taken by nobody; begun again and again without
an end; paused after failures; given up. With --yes each of them is due at once: its pause, its failures and its lost
leases are forgotten. Use it when what was wrong is mended: a server is back, a key is right, a bug is fixed.

Nothing is done twice by it: a mail that may have gone out keeps its key, a webhook its id. Rows that a worker holds are
left alone. It does not answer questions: a case that asks what to do is answered in the admin, or by the API. Events of
a parked endpoint come back with the endpoint (admin: Endpoints).
"""
    examples = """
  manage.py requeue_stuck                              what does not get on, and why
  manage.py requeue_stuck --yes                        make it all due
  manage.py requeue_stuck --kind payload --older-than 2h --yes
"""

    def add_arguments(self, parser: CommandParser) -> None:
        kinds = list(settings.OFFLOAD_WORK_KINDS)
        parser.add_argument("--kind", action="append", choices=kinds, help="only these; repeat it for several")
        parser.add_argument(
            "--older-than",
            type=length,
            default=timedelta(minutes=10),
            metavar="10m",
            help="for how long they have not got on (default: 10m)",
        )
        add_yes(parser, "make them due")

    def work(self, stop: Stop, options: dict[str, Any]) -> None:
        kinds = options["kind"] or list(settings.OFFLOAD_WORK_KINDS)
        rows = [row for kind in kinds for row in stuck.find(kind, options["older_than"])]
        for row in rows[:SHOWN]:
            self.say(f"{row.kind:<9} {row.pk}  {row.why}")
        if len(rows) > SHOWN:
            self.say(f"… and {len(rows) - SHOWN} more")
        if not rows:
            self.say("All rows get on.")
        elif not options["yes"]:
            self.say(f"{len(rows)} rows do not get on. Nothing was changed. Add --yes to make them due.")
        else:
            self._requeue(rows, stop)

    def _requeue(self, rows: list[stuck.StuckRow], stop: Stop) -> None:
        count = 0
        with Progress("rows", len(rows)) as progress:
            for row in progress.over(rows):
                stop.look()
                count += stuck.requeue(row)
                self.done = f"{count} of {len(rows)} rows are due again."
        left = f"; with {len(rows) - count} somebody was faster" if count < len(rows) else ""
        self.say(f"{count} rows are due again{left}.")
