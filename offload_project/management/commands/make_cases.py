"""`manage.py make_cases`: fill a database with made-up cases, to see how the service does with very many."""

import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError, connection

from cases.models import Case
from offload_project.bulk import indexes_made_afterwards
from offload_project.many_cases import CASES_AT_ONCE, Maker

EVERY_SECONDS = 5.0


class Command(BaseCommand):
    help = "Add made-up cases of the sandbox, with mail, questions, webhooks and all else. For a database of its own."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--cases", type=int, default=200_000)
        parser.add_argument("--messages", type=int, default=1_000_000, help="of all these cases together")
        parser.add_argument("--seed", type=int, default=1, help="the same number makes the same rows")
        parser.add_argument("--yes", action="store_true", help="also where there are cases that are no tests")

    def handle(self, *args: Any, **given: Any) -> None:
        if given["cases"] < 1 or given["messages"] < given["cases"]:
            raise CommandError("There has to be a case, and at least one message for each.")
        if not given["yes"] and Case.objects.filter(is_test=False).exists():
            raise CommandError(
                f"The database {connection.settings_dict['NAME']} holds live cases, among which made-up ones could not "
                "be told any more. Choose another with DATABASE_URL; or say --yes if that is what you want."
            )
        self.started = self.told = time.monotonic()
        maker = Maker(given["cases"], given["messages"], given["seed"], self._progress)
        try:
            with _larger_cache(), nullcontext() if Case.objects.exists() else indexes_made_afterwards():
                rows = maker.make()
        except IntegrityError as error:
            raise CommandError(f"Rows of this seed are there already: choose another --seed. ({error})") from error
        _analyse()
        took = time.monotonic() - self.started
        self.stdout.write(", ".join(f"{name} {count:,}" for name, count in rows.items()))
        self.stdout.write(f"made in {took:.0f} s")

    def _progress(self, cases: int) -> None:
        if time.monotonic() - self.told >= EVERY_SECONDS and cases >= CASES_AT_ONCE:
            self.told = time.monotonic()
            self.stderr.write(f"{cases:,} cases after {self.told - self.started:.0f} s")


@contextmanager
def _larger_cache() -> Iterator[None]:
    """SQLite's 2 MB would be read and written over and over: keys are random, so each row touches other pages."""
    if connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA cache_size")
        (before,) = cursor.fetchone()
        cursor.execute("PRAGMA cache_size = -400000")
        yield
        cursor.execute(f"PRAGMA cache_size = {before}")


def _analyse() -> None:
    """PostgreSQL does that by itself, but some time later."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
