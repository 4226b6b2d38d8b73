"""The installation under fire: two machines on one database and one broker, as in docs/deploy.md.

Machine `a` sends by AgentMail, machine `b` by SMTP; each has a web server, a worker and a clock, and the workers of
both do the work of both. The clock of machine `b` may go wrong by minutes. What is killed is started again.
"""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import redis
import requests

from scripts import demo
from scripts.chaos import processes
from scripts.chaos.model import Model
from scripts.chaos.outside import Outside
from scripts.chaos.post import Post
from scripts.chaos.receiver import Receiver
from scripts.chaos.units import START_SECONDS, Postgres, Unit, redis_command, web_command
from scripts.chaos.waiting import comes_true
from scripts.servers import free_ports

RESTART_SECONDS = 0.5  # as RestartSec
TRANSPORT_SECONDS = 3.0
SHORT = {  # so that a run of minutes sees many leases end; longer than those of the tests, for the machine is busy
    "OFFLOAD_LEASE_SECONDS": "6",
    "OFFLOAD_RENEW_SECONDS": "2",
    "OFFLOAD_TRANSPORT_SECONDS": str(TRANSPORT_SECONDS),
    "OFFLOAD_CLAIM_SECONDS": "5",
    "OFFLOAD_STEP_SECONDS": "25",
    "OFFLOAD_STALL_SECONDS": "10",
    "OFFLOAD_MODEL_SECONDS": "5",
    "OFFLOAD_CONCURRENCY": "12",
    "OFFLOAD_RECONCILE_MINUTES": "1",
}
FREE = {  # limits that only a load of this kind reaches, or that would make it wait for office hours
    "OFFLOAD_SETTLE_SECONDS": "0",
    "OFFLOAD_WORKING_HOURS": "off",
    "OFFLOAD_RATE_PER_MINUTE": "0",
    "OFFLOAD_MAX_MAILS_PER_CLIENT_HOUR": "0",
}
MEDIA_BYTES = 24_000_000


def skewed(seconds: int) -> dict[str, str]:
    """The environment of a process whose clock is wrong by so much; empty where faketime is not installed.

    Its monotonic clock goes on as it is: to wait would else never end. The last of the variables keeps faketime from
    "mending" waits by that clock: with it threads that wait for Python's lock spin, and hardly anything gets done.
    """
    library = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
    if library is None or not seconds:
        return {}
    keep = {"DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}
    wrong = {"LD_PRELOAD": str(library), "FAKETIME": f"{seconds:+d}s"}
    return {**wrong, **keep, "FAKETIME_FORCE_MONOTONIC_FIX": "0"}


def _printed(command: list[str], environment: dict[str, str]) -> str:
    """What the command prints until it ends well."""
    done = subprocess.run(command, cwd=demo.ROOT, env=environment, capture_output=True, text=True)
    demo.check(done.returncode == 0, f"{command}\n{done.stderr[-3000:]}")
    return done.stdout


def _is_ready(web: str) -> bool:
    try:
        return requests.get(f"{web}/readyz", timeout=10).status_code == 200
    except requests.RequestException:
        return False


class Media:
    """The directory of attachments, on a file system of its own where that can be had: a disk that runs full."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={MEDIA_BYTES}", "tmpfs", str(path)]
        try:
            self.is_mounted = subprocess.run(mount, capture_output=True).returncode == 0
        except FileNotFoundError:
            self.is_mounted = False

    def fill(self) -> None:
        """No room is left for a file; without a file system of its own, its place is taken by something else."""
        attachments = self.path / "attachments"
        if self.is_mounted:
            with suppress(OSError), (self.path / "ballast").open("wb", buffering=0) as ballast:
                while True:
                    ballast.write(b"\0" * 65536)
        elif attachments.is_dir():
            attachments.rename(self.path / "aside")
            attachments.touch()

    def make_room(self) -> None:
        (self.path / "ballast").unlink(missing_ok=True)
        attachments = self.path / "attachments"
        if (self.path / "aside").is_dir():
            attachments.unlink()
            (self.path / "aside").rename(attachments)

    def close(self) -> None:
        if self.is_mounted:
            subprocess.run(["umount", "-l", str(self.path)], check=False)


class Installation:
    """All that runs in one run. `skew_seconds`: by what machine b's clock is ahead."""

    def __init__(self, home: Path, *, repeats: int, skew_seconds: int) -> None:
        self.home, self.stack = home, ExitStack()
        self.units: dict[str, Unit] = {}
        self.skew = skewed(skew_seconds)
        self._is_kept, self._hold = False, threading.RLock()
        try:
            self._set_up(repeats)
        except BaseException:
            self.close()
            raise

    def _set_up(self, repeats: int) -> None:
        self.post = self._outside(Post, repeats)
        self.model, self.receiver = self._outside(Model), self._outside(Receiver)
        self.media = Media(self.home / "media")
        self.stack.callback(self.media.close)
        self.stack.callback(self._end)
        (self.home / "postgres").mkdir()
        self.postgres = Postgres(self.home / "postgres")
        redis_port, port_a, port_b, smtp_port = free_ports(4)
        self.redis_url = f"redis://127.0.0.1:{redis_port}/0"
        self.webs = {"agentmail": f"http://127.0.0.1:{port_a}", "email": f"http://127.0.0.1:{port_b}"}
        self.units |= {"postgres": self.postgres, "redis": self._unit("redis", redis_command(redis_port), {})}
        self._prepare(port_a, port_b, smtp_port)

    def _outside(self, make: type, *arguments: Any) -> Outside:
        outside = Outside(make, *arguments)
        self.stack.callback(outside.close)
        return outside

    def _unit(self, name: str, command: list[str], environment: dict[str, str]) -> Unit:
        return Unit(name, command, {"PATH": os.environ.get("PATH", os.defpath), **environment}, self.home)

    def _prepare(self, port_a: int, port_b: int, smtp_port: int) -> None:
        self.postgres.start()
        self.units["redis"].start()
        common = {
            **demo.environment(self.home, port_a),
            "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
            "DJANGO_SETTINGS_MODULE": "scripts.chaos.settings",
            "DATABASE_URL": self.postgres.url,
            "Q_BROKER": self.redis_url,
            "OFFLOAD_DATABASE_POOL": "20",
            "OFFLOAD_LOG_LEVEL": "INFO",
            **SHORT,
            **FREE,
            **self.post("settings", smtp_port),
            **self.model("settings"),
        }
        a = common | self._machine("a", port_a) | {"OFFLOAD_TRANSPORT": "agentmail"}
        told, _, client = _printed([sys.executable, "-m", "scripts.chaos.prepare"], a).partition("{")
        a |= dict(re.findall(r"^Set (\w+)=(\S+)$", told, re.MULTILINE))
        b = a | self._machine("b", port_b) | {"OFFLOAD_TRANSPORT": "email"}
        self.client = json.loads("{" + client)
        self.receiver("know", self.client["webhookSecret"])
        manage = [sys.executable, "manage.py"]
        for name, command, environment in (
            ("web-a", web_command(), a),
            ("web-b", web_command(), b),
            ("worker-a", [*manage, "worker"], a),
            ("worker-b", [*manage, "worker"], b | self.skew),
            ("clock-a", [*manage, "clock"], a),
            ("clock-b", [*manage, "clock"], b | self.skew),
            ("receive_mail", [*manage, "receive_mail", "--port", str(smtp_port)], a),
        ):
            self.units[name] = self._unit(name, command, environment)

    def _machine(self, name: str, port: int) -> dict[str, str]:
        """A home of its own, but for the files, which machines share."""
        (self.home / name).mkdir()
        (self.home / name / "media").symlink_to(self.home / "media")
        return {"OFFLOAD_VAR_DIR": str(self.home / name), "PORT": str(port)}

    # --- Running ---

    def start(self) -> None:
        """Start everything, and wait until it is ready; from then on what has ended is started again."""
        for name in self.units.keys() - {"postgres", "redis"}:
            self.units[name].start()
        for web in self.webs.values():
            demo.check(comes_true(partial(_is_ready, web), START_SECONDS), f"{web} is not ready")
        self._is_kept = True
        threading.Thread(target=self._keep, daemon=True).start()

    def _keep(self) -> None:
        gone: dict[str, float] = {}
        while self._is_kept:
            for name, unit in self.units.items():
                if unit.pid is not None:
                    gone.pop(name, None)
                elif time.monotonic() - gone.setdefault(name, time.monotonic()) > RESTART_SECONDS:
                    with self._hold:
                        if self._is_kept:
                            unit.start()
            time.sleep(0.1)

    def _end(self) -> None:
        with self._hold:
            self._is_kept = False
        for name in ("clock-a", "clock-b", "worker-a", "worker-b", "web-a", "web-b", "receive_mail"):
            if name in self.units and (process := self.units[name].process):
                with suppress(ProcessLookupError):
                    process.terminate()
        for name in reversed(self.units):
            self.units[name].stop()
        processes.kill(*processes.of_run(self.home))

    def close(self) -> None:
        self.stack.close()

    # --- Looking ---

    def rows(self, sql: str) -> list[Any]:
        """What the database answers; asked again while it is down."""
        deadline = time.monotonic() + 60
        while True:
            try:
                with psycopg.connect(self.postgres.url, connect_timeout=5) as connection:
                    cursor = connection.execute(sql.encode())
                    return cursor.fetchall() if cursor.description else []
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.3)

    def empty_broker(self) -> bool:
        """FLUSHALL; whether there was a broker to be emptied."""
        try:
            with redis.from_url(self.redis_url, socket_timeout=2) as client:
                client.flushall()
        except redis.RedisError:
            return False
        return True


@contextmanager
def installed(home: Path, *, repeats: int, skew_seconds: int) -> Iterator[Installation]:
    """An installation that runs for as long as the block; nothing of it is left afterwards but its logs."""
    installation = Installation(home, repeats=repeats, skew_seconds=skew_seconds)
    try:
        installation.start()
        yield installation
    finally:
        installation.close()
