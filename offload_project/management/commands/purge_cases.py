"""`manage.py purge_cases --older-than 365d`: cases that ended long ago go, with all that hangs on them."""

from argparse import ArgumentTypeError
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandParser

from cases import search, work
from cases.models import TERMINAL
from offload_project.maintenance import files, retention
from offload_project.maintenance.command import LongCommand, add_client, add_yes, client_named, in_bytes, length
from offload_project.maintenance.progress import Progress
from offload_project.maintenance.retention import Gone
from offload_project.maintenance.stopping import Stop


def age(text: str) -> timedelta:
    """A length of at least a day. Raises ArgumentTypeError."""
    if (found := length(text)) < retention.YOUNGEST:
        raise ArgumentTypeError("Give at least 1d: for so long a client may repeat the request that made a case.")
    return found


class Command(LongCommand):
    """Retention. A dry run unless --yes is given."""

    help = """
Delete cases that ended longer ago than --older-than, with everything that hangs on them: mails, files, questions,
timelines, webhook deliveries, and mail as it came in. Without --yes it only counts what would go.

It leaves alone: cases that are open; cases whose client has still to be told of something; cases that a later case
continues, until that goes too. Suppressed addresses stay, so nobody gets mail again because a case is gone. Without
--client and --status it also deletes mail of that age (30 days at least) that belongs to no case, and files that have
had no row for a day, which a killed process may leave. API keys, clients and staff are never touched.

Cases go in batches of 50. Ctrl-C ends the batch and stops; start it again to go on.
"""
    examples = """
  manage.py purge_cases --older-than 365d                  count what would go
  manage.py purge_cases --older-than 365d --yes            let it go
  manage.py purge_cases --older-than 90d --client Acme --status FAILED --yes
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--older-than", type=age, required=True, metavar="365d", help="how long ago they ended")
        add_client(parser)
        parser.add_argument("--status", choices=sorted(TERMINAL), action="append", default=[], help="only these")
        parser.add_argument(
            "--with-parked", action="store_true", help="also cases with events kept for an endpoint that is parked"
        )
        add_yes(parser, "delete")

    def work(self, stop: Stop, options: dict[str, Any]) -> None:
        self.stop, self.really, self.with_parked = stop, options["yes"], options["with_parked"]
        before = work.now() - options["older_than"]
        cases = retention.ended_before(before, client=client_named(options["client"]), statuses=options["status"])
        plan = retention.plan(cases, with_parked=self.with_parked)
        self.say(f"Cases that ended before {before:%Y-%m-%d %H:%M} UTC: {len(plan.going) + plan.kept.total()}")
        for reason, count in sorted(plan.kept.items()):
            self.say(f"  {count} stay: {reason}")
        self._tell(self._cases(plan.going))
        if not options["client"] and not options["status"]:
            self._loose_mail(before)
            self._unknown_files()
        if self.really:
            search.forget()
        else:
            self.say("Nothing was changed. Add --yes to delete all this.")

    def _cases(self, pks: retention.Pks) -> Gone:
        gone = Gone()
        with Progress("cases", len(pks)) as progress:
            for batch in retention.batches(pks):
                self.stop.look()
                gone += self._purge(batch) if self.really else retention.weigh(batch)
                progress.advance(len(batch))
                if self.really:
                    self.done = f"{gone.rows['cases']} of {len(pks)} cases are deleted."
        return gone

    def _purge(self, batch: retention.Pks) -> Gone:
        gone, names = retention.purge(batch, with_parked=self.with_parked)
        if left := files.delete(names):  # no row knows them any more, so the next run finds them
            self.stderr.write(f"{left} files could not be deleted; the next run tries again.")
        return gone

    def _tell(self, gone: Gone) -> None:
        self.say("Deleted:" if self.really else "Would be deleted:")
        for name, count in gone.rows.items():
            size = f" ({in_bytes(gone.file_bytes)})" if name == "files" else ""
            self.say(f"  {count} {name}{size}")
        if not gone.rows:
            self.say("  no case")

    def _loose_mail(self, before: datetime) -> None:
        rows = retention.loose_mail(before)
        size, pks = retention.bytes_of_loose_mail(rows), list(rows.order_by("pk").values_list("pk", flat=True))
        self.say(f"  {len(pks)} mails and reports on no case ({in_bytes(size)})")
        with Progress("mails on no case", len(pks)) as progress:
            for batch in retention.batches(pks if self.really else [], files.AT_ONCE):
                self.stop.look()
                progress.advance(retention.purge_loose_mail(batch))

    def _unknown_files(self) -> None:
        count = size = 0
        with Progress("files without a row", None) as progress:
            for file in progress.over(files.unknown_files(self.stop.look)):
                self.stop.look()
                count, size = count + 1, size + file.size
                if self.really:
                    files.delete([file.name])
        self.say(f"  {count} files without a row ({in_bytes(size)})")
