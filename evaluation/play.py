"""`python -m evaluation.play AGENT`: plays runs in a process of their own, each on a fresh copy of an empty database.

Reads one JSON object a line, `{"path": …, "number": …}`, and answers each with one: a `Run`. `evaluate_agent` starts
as many of these as are to play side by side.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any


def main(agent: str) -> None:
    """Answer each line of the standard input until it ends."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "evaluation.settings"
    if agent != "openai":  # what is not the operator's model to measure does not depend on the operator's settings
        for name in [name for name in os.environ if name.startswith(("OFFLOAD_", "OPENAI_"))]:
            del os.environ[name]
    import django

    django.setup()
    from evaluation.agents import playing_with
    from evaluation.report import Run
    from evaluation.scenario import load

    answers, sys.stdout = sys.stdout, sys.stderr  # nothing else may stand between the answers
    empty = _empty_database()
    for line in sys.stdin:
        job = json.loads(line)
        scenario = load(Path(job["path"]))
        with _copy_of(empty), playing_with(agent, scenario) as player:
            run = Run.of(scenario, agent, job["number"], player.play())
        answers.write(json.dumps(asdict(run), default=str) + "\n")
        answers.flush()


def _empty_database() -> Path:
    """A migrated database that nobody writes to."""
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connections

    call_command("migrate", verbosity=0)
    with connections["default"].cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connections.close_all()
    configured = Path(settings.DATABASES["default"]["NAME"])
    return Path(shutil.copyfile(configured, configured.with_name("empty.sqlite3")))


@contextmanager
def _copy_of(empty: Path) -> Iterator[None]:
    """The configured database is a fresh copy for as long as the block lasts."""
    from django.conf import settings
    from django.db import connections

    configured = Path(settings.DATABASES["default"]["NAME"])
    _remove(configured)
    shutil.copyfile(empty, configured)
    try:
        yield
    finally:
        connections.close_all()


def _remove(database: Path) -> None:
    for name in (database.name, f"{database.name}-wal", f"{database.name}-shm"):
        database.with_name(name).unlink(missing_ok=True)


def job(path: Path, number: int) -> dict[str, Any]:
    """A line of the input."""
    return {"path": str(path.resolve()), "number": number}


if __name__ == "__main__":
    main(sys.argv[1])
