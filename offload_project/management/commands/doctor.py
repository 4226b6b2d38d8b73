"""`manage.py doctor`: what is missing or unsafe in this deployment, a line each, with what to do about it."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from cases.examination import Examination, Finding, Level, findings


class Command(BaseCommand):
    help = "Examine this deployment. Exits with 0 if all is well, 1 with warnings, 2 with failures."
    requires_system_checks: list[str] = []  # they are part of what is examined

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--deep", action="store_true", help="also ask the model one question, which costs a little")
        parser.add_argument("--json", action="store_true", help="print one JSON array and nothing else")

    def handle(self, *args: Any, **options: Any) -> None:
        found = []
        for finding in findings(Examination(deep=options["deep"])):
            found.append(finding)
            if not options["json"]:
                self.stdout.write(line(finding))
        if options["json"]:
            self.stdout.write(json.dumps([{**asdict(finding), "level": finding.level.name} for finding in found]))
        if worst := max((finding.level for finding in found), default=Level.OK):
            raise SystemExit(int(worst))


def line(finding: Finding) -> str:
    """`FAIL  worker: none has finished anything for 60 s. Start …`"""
    remedy = f". {finding.remedy}" if finding.remedy else ""
    return f"{finding.level.name:<4}  {finding.about}: {finding.what}{remedy}"
