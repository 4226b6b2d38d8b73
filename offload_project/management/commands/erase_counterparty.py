"""`manage.py erase_counterparty ADDRESS`: a person is forgotten (GDPR art. 17)."""

from collections import Counter
from typing import Any

from django.core.management.base import CommandError, CommandParser

from cases import search
from cases.erasure import Person
from cases.models import Case
from offload_project.maintenance import erasure
from offload_project.maintenance.command import LongCommand, add_client, add_yes, client_named
from offload_project.maintenance.progress import Progress
from offload_project.maintenance.retention import batches
from offload_project.maintenance.stopping import Stop

LOOSE_AT_ONCE = 100


class Command(LongCommand):
    """A dry run unless --yes is given."""

    help = """
Forget a person. Every case about them, or with mail of theirs, loses all mails, files, questions, answers, results and
what the timeline quotes; goal and metadata lose their name and address. The case itself, its dates and how it ended
stay. Cases that merely name them lose name and address. Without --yes it only tells what it would do.

Spellings are one: upper and lower case, ann+tag@, a domain in its own alphabet or in ASCII. Cases that are open are not
touched: the command refuses, or ends them first with --end-cases, which their clients are told. Results go unless
--keep-results: then check yourself whether they name the person.

Whoever was on the list of suppressed addresses stays on it, by a keyed hash of the address: they never get mail again.
At the end the whole database is searched for address and names; what is found is listed, and the exit code is 1. Copies
elsewhere (your mail provider's, backups, the client's own) are yours to look for: docs/operations.md has a list.
"""
    examples = """
  manage.py erase_counterparty ann@supplier.example                         what would be done
  manage.py erase_counterparty ann@supplier.example --yes
  manage.py erase_counterparty ann@supplier.example --end-cases --keep-results --yes
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("address", metavar="ADDRESS")
        add_client(parser)
        parser.add_argument("--end-cases", action="store_true", help="cancel open cases with them first")
        parser.add_argument("--keep-results", action="store_true", help="leave the results of cases as they are")
        group = parser.add_mutually_exclusive_group()
        group.add_argument("--dry-run", action="store_true", help="only tell what would be done (this is the default)")
        add_yes(group, "erase")  # type: ignore[arg-type]

    def work(self, stop: Stop, options: dict[str, Any]) -> None:
        self.stop, self.keep_results, self.done = stop, options["keep_results"], "Nothing is erased yet."
        address, client = options["address"].strip(), client_named(options["client"])
        if "@" not in address.strip("@"):
            raise CommandError(f"{address!r} is no address.")
        with Progress("mails as they came in", None) as progress:

            def step() -> None:
                progress.advance()
                stop.look()

            found = erasure.find(address, client, step=step)
        is_open = erasure.open_cases(found)
        self._tell(found, len(is_open))
        if is_open and not options["end_cases"]:
            for pk in is_open[:20]:
                self.say(f"  open: {pk}")
            raise CommandError("Open cases need what is to be erased. Add --end-cases to cancel them first.")
        if not options["yes"]:
            self.say("Nothing was changed. Add --yes to erase.")
            return
        erasure.end(is_open)
        self._erase(found, everywhere=client is None)
        self._check(found.person, everywhere=client is None)

    def _tell(self, found: erasure.Found, open_count: int) -> None:
        self.say(f"Addresses: {', '.join(sorted(found.person.addresses))}")
        self.say(f"Names: {', '.join(sorted(found.person.names)) or 'none known'}")
        self.say(f"  {len(found.whole)} cases about them or with mail of theirs, {len(found.named)} that name them")
        self.say(f"  {open_count} of these are open")
        self.say(f"  {len(found.loose_mail)} mails and reports as they came in, wherever they belong")
        if self.keep_results:
            kept = Case.objects.filter(pk__in=found.whole, result__isnull=False).count()
            self.say(f"  {kept} results stay as they are; they may name the person")

    def _erase(self, found: erasure.Found, *, everywhere: bool) -> None:
        total, count, left = len(found.whole) + len(found.named), 0, 0
        with Progress("cases", total) as progress:
            for pk in progress.over([*found.whole, *found.named]):
                self.stop.look()
                if pk in set(found.whole):
                    left += erasure.erase_case(pk, found.person, keep_results=self.keep_results)
                else:
                    erasure.strike_from_case(pk, found.person)
                count += 1
                self.done = f"They are out of {count} of {total} cases."
        for batch in batches(found.loose_mail, LOOSE_AT_ONCE):
            self.stop.look()
            erasure.erase_loose_mail(batch)
        if everywhere:
            erasure.forget_elsewhere(found.person)
        search.forget()
        if left:
            self.stderr.write(f"{left} files could not be deleted; see the log.")
        self.say(f"Erased from {count} cases.")

    def _check(self, person: Person, *, everywhere: bool) -> None:
        if not everywhere:
            self.say("Not searched: only this client's cases were erased.")
            return
        with Progress("tables", erasure.tables()) as progress:
            left = list(erasure.search(person.addresses, person.names, step=progress.advance))
        found = Counter((row.what, row.table, row.column) for row in left)
        for (what, table, column), count in sorted(found.items()):
            some = ", ".join(str(row.pk) for row in left if (row.what, row.table, row.column) == (what, table, column))
            self.say(f"  {what} in {table}.{column}, {count} rows: {some[:300]}")
        if "address" in {row.what for row in left}:
            raise CommandError("The address still stands in the rows above. Mail may just have come in: run it again.")
        if left:
            self.say("The address is nowhere. The name is in the rows above: look at them, others may bear it.")
        else:
            self.say("The whole database was searched: neither address nor name is in it.")
