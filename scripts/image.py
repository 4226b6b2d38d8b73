"""`make image`: the steps of deploy/Dockerfile in a clean folder, for machines without Docker.

Copies what Docker would copy, carries out every RUN of the build stage, and then what the image is for: production
settings pass `check --deploy`, a database is migrated, the CMD serves and the health check says so.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from scripts.demo import free_port

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
START_SECONDS = 60


def instructions(dockerfile: Path = DOCKERFILE) -> list[tuple[str, str]]:
    """Each instruction of a Dockerfile as its name and the rest of its line, lines that continue joined."""
    text = re.sub(r"^\s*#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    pairs = [line.strip().partition(" ") for line in text.splitlines() if line.strip()]
    return [(name, rest.strip()) for name, _, rest in pairs]


def build_steps() -> list[str]:
    """The commands that the build stage runs."""
    first, *later = [number for number, (name, _) in enumerate(instructions()) if name == "FROM"]
    return [rest for name, rest in instructions()[first : later[0]] if name == "RUN"]


def served_by() -> list[str]:
    """The command that the image starts."""
    [command] = [json.loads(rest) for name, rest in instructions() if name == "CMD"]
    return [str(word) for word in command]


def is_left_out(path: str, patterns: list[str]) -> bool:
    """Whether .dockerignore keeps the path out of the image: the last pattern that matches it, or a folder of it."""
    parts = path.split("/")
    folders = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    left_out = False
    for pattern in patterns:
        wanted = pattern.removeprefix("!")
        anywhere = wanted.startswith("**/")  # else it counts from the root, and * stops at a slash
        depth = wanted.count("/")
        found = parts if anywhere else [folder for folder in folders if folder.count("/") == depth]
        if any(fnmatch(name, wanted.removeprefix("**/")) for name in found):
            left_out = not pattern.startswith("!")
    return left_out


def copied_files() -> list[str]:
    """The files of the repository that COPY takes."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for path in tracked.splitlines() if not is_left_out(path, patterns) and (ROOT / path).exists()]


class Folder:
    """A clean folder in place of the image's file system."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.code = home / "srv" / "offload"
        self.port = str(free_port())
        self.environment = {
            "PATH": f"{home}/opt/venv/bin:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            **{name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_CERT", "HTTP"))},
        }

    def fill(self) -> None:
        for path in copied_files():
            target = self.code / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / path).read_bytes())

    def run(self, command: str) -> str:
        """Carry out a step of the image here; what it printed."""
        for folder in ("/opt/venv", "/srv/offload", "/tmp/build"):
            command = command.replace(folder, f"{self.home}{folder}")
        began_at = time.monotonic()
        done = subprocess.run(
            ["sh", "-c", command], cwd=self.code, env=self.environment, capture_output=True, text=True, timeout=1200
        )
        print(f"{time.monotonic() - began_at:6.1f} s  {command[:110]}", flush=True)
        if done.returncode:
            raise SystemExit(f"status {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done.stdout + done.stderr

    @contextmanager
    def served(self) -> Iterator[None]:
        """The image's CMD runs."""
        running = subprocess.Popen(served_by(), cwd=self.code, env=self.environment, start_new_session=True)
        try:
            yield
        finally:
            os.killpg(running.pid, signal.SIGTERM)
            running.wait(40)

    def is_healthy(self) -> bool:
        command = [sys.executable, "deploy/healthcheck.py"]
        return subprocess.run(command, cwd=self.code, env=self.environment, capture_output=True).returncode == 0


def production(folder: Folder) -> dict[str, str]:
    """Settings of an installation behind a proxy, on SQLite in the folder."""
    return {
        "SECRET_KEY": "of-this-run-only-" + "".join(chr(48 + number % 75) for number in range(60)),
        "ALLOWED_HOSTS": "offload.example.com",
        "OFFLOAD_BASE_URL": "https://offload.example.com",
        "OFFLOAD_BEHIND_PROXY": "true",
        "OFFLOAD_VAR_DIR": str(folder.home / "var"),
        "OFFLOAD_STATIC_DIR": str(folder.code / "static"),
        "PORT": folder.port,
    }


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="offload-image-", ignore_cleanup_errors=True) as home:
        folder = Folder(Path(home))
        folder.fill()
        for step in build_steps():
            folder.run(step)
        folder.environment |= production(folder)
        print(folder.run("python manage.py check --deploy --fail-level WARNING").strip().splitlines()[-1])
        folder.run("python manage.py migrate --verbosity 0")
        with folder.served():
            deadline = time.monotonic() + START_SECONDS
            while not folder.is_healthy():
                if time.monotonic() > deadline:
                    raise SystemExit("the health check does not pass")
                time.sleep(0.5)
        print(f"served by {shlex.join(served_by())[:60]}…: healthy")


if __name__ == "__main__":
    main()
