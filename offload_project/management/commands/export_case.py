"""`manage.py export_case CASE_ID`: everything about one case in a zip."""

import uuid
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from cases.models import Case
from offload_project.maintenance import export
from offload_project.maintenance.command import LongCommand, in_bytes
from offload_project.maintenance.progress import Progress
from offload_project.maintenance.stopping import Stop


class Command(LongCommand):
    """Reads only."""

    help = """
Write everything about a case into a zip: case.json (case, mails, questions, timeline, webhooks; its shape is in
docs/operations.md), mails/ (as they came in, *.eml where we have their bytes), files/ and enclosures/.

No key and no webhook secret is in it, but people's names and words are: the file is readable for you only. What is
there already is never overwritten, and whoever stops the command leaves no half of a file.
"""
    examples = """
  manage.py export_case 6f9619ff-8b86-d011-b42d-00cf4fc964ff                 case-<id>.zip in this directory
  manage.py export_case 6f9619ff-8b86-d011-b42d-00cf4fc964ff --out /backup   the same there
  manage.py export_case 6f9619ff-8b86-d011-b42d-00cf4fc964ff --out for-ann.zip
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("case", type=uuid.UUID, metavar="CASE_ID")
        parser.add_argument("--out", type=Path, default=Path(), metavar="DIR|FILE.zip", help="where to (default: here)")

    def work(self, stop: Stop, options: dict[str, Any]) -> None:
        self.done = "No file was written."
        case = Case.objects.select_related("client").filter(pk=options["case"]).first()
        if case is None:
            raise CommandError(f"There is no case {options['case']}.")
        out: Path = options["out"]
        path = out if out.suffix == ".zip" else out / f"case-{case.pk}.zip"
        try:
            with export.new_file(path) as file, Progress("files", export.count(case)) as progress:

                def step() -> None:
                    progress.advance()
                    stop.look()

                missing = export.write(case, file, step=step)
        except FileExistsError as error:
            raise CommandError(f"{path} is there already, and is not overwritten.") from error
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            raise CommandError(f"{path} can't be written: {error.strerror}.") from error
        for name in missing:
            self.stderr.write(f"{name}: the storage does not have it.")
        self.say(f"{path} ({in_bytes(path.stat().st_size)})")
