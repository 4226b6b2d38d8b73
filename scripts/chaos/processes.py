"""Processes as the kernel knows them: who is whose child, and who belongs to this run."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path


def parents() -> dict[int, int]:
    """The id of each process that runs, with that of its parent; see proc_pid_stat(5)."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            pid, _, rest = path.read_text(errors="replace").partition(" ")
            state, parent = rest.rpartition(")")[2].split()[:2]
            if state not in "ZX":
                found[int(pid)] = int(parent)
    return found


def children(pid: int) -> list[int]:
    """Of the process, oldest first."""
    return sorted(child for child, parent in parents().items() if parent == pid)


def below(pid: int) -> list[int]:
    """All processes that the process has started, directly or not, without itself."""
    known = parents()
    found, new = list[int](), [pid]
    while new:
        new = sorted(child for child, parent in known.items() if parent in new)
        found += new
    return found


def of_run(home: Path) -> list[int]:
    """All processes of the service that have their home below this directory, whoever is their parent by now."""
    mark = f"OFFLOAD_VAR_DIR={home}/".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in path.read_bytes():
                found.append(int(path.parent.name))
    return sorted(set(found) & parents().keys())


def command_of(pid: int) -> str:
    """The command line, words separated by blanks; empty for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def kill(*pids: int) -> bool:
    """SIGKILL to each; whether there was any."""
    killed = False
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            killed = True
    return killed


def wait_until_gone(pids: list[int], seconds: float) -> list[int]:
    """Those of the processes that still run when the time is over."""
    deadline = time.monotonic() + seconds
    while (left := set(pids) & parents().keys()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return sorted(left)
