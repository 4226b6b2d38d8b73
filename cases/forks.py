"""Children that are forks of this process, so that they share what it has loaded.

An interpreter with all that a worker needs takes some 90 MB. Forked, its children read the same pages, and pay only for
those that they write to.
"""

import gc
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

from cases.database import forget_inherited_connections

logger = logging.getLogger(__name__)


def share_memory() -> None:
    """Keep the garbage collector from what is there by now: its marks in each object would unshare every page."""
    gc.collect()
    gc.freeze()


class Fork:
    """A child that does `work` in a session of its own and ends; to be asked as a subprocess.Popen is.

    It has its parent's open files, and nothing as its input. What the parent's other threads were doing does not go on
    in it, and connections that they have open are dropped.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self.returncode: int | None = None
        is_leading, leads = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _be_child(work, leads)
        os.close(leads)
        os.read(is_leading, 1)  # ends once the child has a session of its own, or has ended
        os.close(is_leading)

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # somebody else has reaped it
                self.returncode = 0
            else:
                self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float) -> int:
        """The exit status, once it has ended. Raises subprocess.TimeoutExpired."""
        deadline = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("fork", timeout)
            time.sleep(0.02)
        return status

    def send_signal(self, number: int) -> None:
        """Nothing happens where it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _be_child(work: Callable[[], None], leads: int) -> None:
    """Does not return: what stands further up the stack is the parent's."""
    status = 1
    try:
        os.setsid()
        os.close(leads)
        _let_go()
        work()
        status = 0
    except BaseException:
        logger.exception("a forked process has failed")
    finally:
        logging.shutdown()
        os._exit(status)


def _let_go() -> None:
    """Of what is the parent's alone: its input, what it does at signals, its connections."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    forget_inherited_connections()
