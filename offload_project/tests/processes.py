"""An installation of the service in real processes, on a database of its own, for tests that kill them."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
import psycopg
import requests
from django.db import connections

from cases import services
from cases.factories import ApiKeyFactory
from cases.models import Case, Status
from cases.supervisor import ProcessGroup
from outreach.models import SandboxMail
from scripts import demo

ROOT = Path(__file__).parents[2]
SHORT = {  # seconds; what a test would else have to wait for
    "OFFLOAD_LEASE_SECONDS": "3",
    "OFFLOAD_RENEW_SECONDS": "1",
    "OFFLOAD_TRANSPORT_SECONDS": "1",
    "OFFLOAD_CLAIM_SECONDS": "3",
    "OFFLOAD_STEP_SECONDS": "10",
    "OFFLOAD_STALL_SECONDS": "4",
}
ROLES = {"worker": "ready for work at", "monitor": "monitoring at", "pusher": "pushing tasks at"}


def wait_for(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """The condition's first true answer; fails the test where there is none in time."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return answer


def copy_of(template: Path, folder: Path) -> str:
    """The URL of a copy of a migrated SQLite file."""
    return f"sqlite:///{shutil.copy(template, folder / 'offload.sqlite3')}"


@dataclass
class Service:
    """`manage.py worker` and `clock` on one database, and what a test asks about them."""

    var_dir: Path
    environment: dict[str, str]
    started: list[ProcessGroup] = field(default_factory=list)

    def manage(self, *arguments: str) -> str:
        """Run a command to its end; what it printed."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, check=True, capture_output=True, text=True, timeout=120
        )
        return done.stdout

    def start(self, command: str, *arguments: str) -> ProcessGroup:
        """Start a command that runs until it is told to stop; its log is `<command>.log`."""
        return self._start(command, [sys.executable, str(ROOT / "manage.py"), command, *arguments])

    def _start(self, name: str, command: list[str]) -> ProcessGroup:
        with (self.var_dir / f"{name}.log").open("ab") as log:
            group = ProcessGroup(command, env=self.environment, stderr=log, stdout=log, cwd=ROOT)
        self.started.append(group)
        return group

    def start_web(self) -> str:
        """Start the web server on loopback and wait until it answers; its address. Before worker and clock."""
        port = str(demo.free_port())
        base = f"http://127.0.0.1:{port}"
        self.environment |= {"OFFLOAD_BASE_URL": base, "OFFLOAD_WEBHOOK_ALLOW_CIDRS": "127.0.0.1/32"}
        self._start("web", demo.web_server(port))
        wait_for(lambda: answers(f"{base}/healthz"), 30, "the web server answers")
        return base

    @contextmanager
    def on_machine(self, name: str) -> Iterator[None]:
        """What is started in this block shares no files with what is started elsewhere."""
        before = self.environment
        (self.var_dir / name).mkdir()
        self.environment = {**before, "OFFLOAD_VAR_DIR": str(self.var_dir / name)}
        try:
            yield
        finally:
            self.environment = before

    def start_all(self) -> ProcessGroup:
        """Start worker and clock and wait until a cluster works; returns the worker."""
        self.start("clock")
        worker = self.start("worker")
        self.wait_for_cluster()
        return worker

    def log(self, command: str = "worker") -> str:
        log = self.var_dir / f"{command}.log"
        return log.read_text() if log.exists() else ""

    def clusters(self) -> list[int]:
        """The process groups of all clusters that were ever started here, the newest last."""
        return [int(group) for group in re.findall(r"starts as process group (\d+)", self.log())]

    def wait_for_cluster(self, number: int = 1) -> int:
        """Wait until the n-th cluster has carried out its first wake-up; its process group."""

        def works() -> int | None:
            clusters = self.clusters()
            if len(clusters) < number:
                return None
            since = self.log().split(f"starts as process group {clusters[number - 1]}")[1]
            return clusters[number - 1] if "Processed 'cases.work.beat'" in since else None

        return int(wait_for(works, 60, f"cluster {number} works\n{self.log()[-3000:]}"))

    def processes(self, role: str) -> list[int]:
        """The ids of the processes with this role in the newest cluster, the newest last."""
        since = self.log().split(f"starts as process group {self.clusters()[-1]}")[1]
        return [int(pid) for pid in re.findall(rf"{ROLES[role]} (\d+)", since)]

    def hold(self, point: str) -> None:
        """From now on sends wait, `before` or `after` they deliver."""
        (self.var_dir / f"hold-{point}").touch()

    def held_by(self, point: str) -> list[int]:
        """The ids of the processes that wait, or have waited, at that point."""
        return [int(path.name.rpartition("-")[2]) for path in self.var_dir.glob(f"held-{point}-*")]

    def let_go(self, point: str) -> None:
        (self.var_dir / f"hold-{point}").unlink()

    def post(self, count: int) -> list[uuid.UUID]:
        """Create cases as the API does; their ids."""
        key = ApiKeyFactory(is_test=True)
        return [post_one(key) for _ in range(count)]

    def leftovers(self) -> list[int]:
        """The ids of processes of this service that run."""
        groups = [group.id for group in self.started] + (self.clusters() if self.started else [])
        return [pid for group in groups for pid in members(group)]

    def stop(self) -> None:
        """Stop all as an operator does, and see that nothing is left."""
        for group in self.started:
            if not group.has_exited():
                group.leader.send_signal(signal.SIGTERM)
        for group in self.started:
            with suppress(subprocess.TimeoutExpired):
                group.leader.wait(30)
        left = self.leftovers()
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert left == [], f"processes {left} were left\n{self.log()[-3000:]}"


def answers(url: str) -> bool:
    """Whether somebody serves the URL, well or not."""
    try:
        return bool(requests.get(url, timeout=5).status_code)
    except requests.ConnectionError:
        return False


def members(group: int) -> list[int]:
    """The ids of the processes of a group that run."""
    watched = ProcessGroup.__new__(ProcessGroup)
    watched.id = group
    return watched.members()


def post_one(key: Any) -> uuid.UUID:
    """Create one sandbox case."""
    case = services.create_case(
        key,
        channel="EMAIL",
        goal={"objective": "Ask for the invoice of March."},
        counterparty={"address": "ann@supplier.example", "name": "Ann"},
        sender_persona={"name": "Bob"},
    )
    return case.pk


def outreach_is_sent(cases: list[uuid.UUID]) -> bool:
    """Whether every one of the cases has come to RUNNING by its first mail."""
    return Case.objects.filter(pk__in=cases, status=Status.RUNNING, attempt_count=1).count() == len(cases)


def mails(cases: list[uuid.UUID]) -> list[int]:
    """How many mails the sandbox holds for each of the cases."""
    pks = list(SandboxMail.objects.filter(case__in=cases).values_list("case_id", flat=True))
    return [pks.count(pk) for pk in cases]


@contextmanager
def database(url: str) -> Iterator[None]:
    """Within this block every thread of this process uses that database as its default one, without a pool."""
    connections["default"].close()
    ours, configured = connections.settings["default"], environ.Env.db_url_config(url)
    options = {"transaction_mode": "IMMEDIATE", "timeout": 30} if configured["ENGINE"].endswith("sqlite3") else {}
    theirs = connections.configure_settings(
        {"default": {**configured, "OPTIONS": {**configured.get("OPTIONS", {}), **options}}}
    )
    connections.settings["default"], before = theirs["default"], connections["default"]
    del connections["default"]
    try:
        yield
    finally:
        connections["default"].close()
        connections.settings["default"] = ours
        connections["default"] = before


@contextmanager
def installed(url: str, var_dir: Path, blocker: Any, **settings: str) -> Iterator[Service]:
    """A service on the migrated database at the URL, which this process uses too. Nothing of it is left afterwards."""
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "OFFLOAD_VAR_DIR": str(var_dir),
        "DJANGO_SETTINGS_MODULE": "offload_project.tests.crash_settings",
        **settings,
    }
    service = Service(var_dir, environment)
    with blocker.unblock(), database(url):
        try:
            yield service
        finally:
            service.stop()


@contextmanager
def new_postgres_database(server_url: str, template: str = "template1") -> Iterator[tuple[str, str]]:
    """Name and URL of a new database on the server, dropped at the end."""
    name = f"offload_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
    try:
        yield name, urlsplit(server_url)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(server_url, autocommit=True) as server:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def in_threads(count: int, act: Callable[[], Any]) -> None:
    """Call act in so many threads and wait for all. Raises the first error."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            act()
        except BaseException as error:  # noqa: BLE001 (handed to the test)
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
