"""`manage.py evaluate_agent`: plays scenarios with an agent through the real engine, and reports how it did."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from evaluation import report
from evaluation.agents import NotConfigured, check_configured
from evaluation.play import job
from evaluation.report import Run
from evaluation.scenario import AGENTS, Scenario, ScenarioError, load_suite

SUITE = Path(settings.BASE_DIR) / "evaluation" / "scenarios"
Job = dict[str, Any]


class Command(BaseCommand):
    """Touches no configured database: runs are played by processes that make their own."""

    help = (
        "Play scenarios with an agent and report pass^1 to pass^K, mails, questions, model calls, tokens, seconds, and "
        "the transcript of each failure. Ends with 1 if a scenario ended in a wrong COMPLETED."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--agent", choices=AGENTS, default="form", help="scripted: openai, its model a stand-in")
        parser.add_argument("--suite", type=Path, default=SUITE, help="a directory of scenarios, or one file")
        parser.add_argument("--runs", type=_positive, default=1, metavar="K", help="runs of each scenario")
        parser.add_argument(
            "--jobs", type=_positive, metavar="N", help="runs side by side (default: one per processor)"
        )
        parser.add_argument("--only", metavar="WORD", default="", help="scenarios with the word in their names")
        parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
        parser.add_argument("--strict", action="store_true", help="end with 1 if any run failed")

    def handle(self, *args: Any, **options: Any) -> None:
        agent: str = options["agent"]
        chosen = _chosen(options["suite"], agent, options["only"])
        jobs = [
            job(path, number) for number in range(1, options["runs"] + 1) for path in _paths(options["suite"], chosen)
        ]
        count = min(options["jobs"] or os.cpu_count() or 1, len(jobs))
        runs = play(jobs, agent, count)
        if options["json"]:
            self.stdout.write(json.dumps(report.as_json(agent, runs), ensure_ascii=False, indent=2))
        else:
            self.stdout.write(report.as_text(agent, runs))
        if any(run.is_wrong_completion for run in runs) or (options["strict"] and any(run.faults for run in runs)):
            sys.exit(1)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _chosen(suite: Path, agent: str, word: str) -> list[Scenario]:
    try:
        scenarios = load_suite(suite)
        if agent == "openai":
            check_configured()
    except (ScenarioError, NotConfigured) as error:
        raise CommandError(str(error)) from error
    chosen = [scenario for scenario in scenarios if agent in scenario.agents and word in scenario.name]
    if not chosen:
        raise CommandError(f"{suite}: no scenario is for the agent {agent}" + (f" and named {word!r}" if word else ""))
    return chosen


def _paths(suite: Path, scenarios: Sequence[Scenario]) -> list[Path]:
    return [suite / f"{scenario.name}.yaml" if suite.is_dir() else suite for scenario in scenarios]


def play(jobs: Sequence[Job], agent: str, count: int) -> list[Run]:
    """The runs, played by so many processes side by side. Raises CommandError where one of them breaks."""
    waiting: SimpleQueue[Job] = SimpleQueue()
    for one in jobs:
        waiting.put(one)
    done: list[Run] = []
    with ThreadPoolExecutor(count) as threads:
        played = [threads.submit(_play_in_process, waiting, agent, done, len(jobs)) for _ in range(count)]
        for future in played:
            future.result()
    return done


def _play_in_process(waiting: "SimpleQueue[Job]", agent: str, done: list[Run], total: int) -> None:
    command = [sys.executable, "-m", "evaluation.play", agent]
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(  # noqa: S603 (our own module, and an agent's name from a fixed list)
            command, cwd=settings.BASE_DIR, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        assert process.stdin is not None  # noqa: S101 (for the type checker)
        assert process.stdout is not None  # noqa: S101
        for run in _answers(waiting, process.stdin, process.stdout, log):
            done.append(run)
            _show_progress(len(done), total)


def _show_progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"{done} of {total} runs", end="\r" if done < total else "\n", file=sys.stderr, flush=True)


def _answers(waiting: "SimpleQueue[Job]", jobs: IO[str], answers: IO[str], log: IO[str]) -> Iterator[Run]:
    """The runs that one process has played, as they end. Raises CommandError where it breaks."""
    while True:
        try:
            one = waiting.get_nowait()
        except Empty:
            return
        line = ""
        try:
            jobs.write(json.dumps(one) + "\n")
            jobs.flush()
            line = answers.readline()
        except BrokenPipeError:  # it has ended; its log says why
            pass
        if not line:
            log.seek(0)
            raise CommandError(f"{Path(one['path']).stem}: the process that played it broke:\n{log.read()[-4000:]}")
        given = json.loads(line)
        yield Run(**{**given, "faults": tuple(given["faults"]), "errors": tuple(given["errors"])})
