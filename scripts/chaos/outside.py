"""What the service talks to lives in processes of its own; its methods are called from here through a socket."""

import multiprocessing
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.managers import BaseManager
from typing import Any

OUTAGES = ("busy", "limited", "hang", "refuse", "lost")  # 503, 429, no answer, a reset, an effect without an answer


@dataclass
class Outage:
    """How a service of others is down, and until when; none at first."""

    how: str = ""
    until: float = 0.0  # time.monotonic

    def begin(self, how: str, seconds: float) -> None:
        self.how, self.until = how, time.monotonic() + seconds

    @property
    def now(self) -> str:
        """How it is down at this moment; empty where it is up."""
        return self.how if time.monotonic() < self.until else ""


class _Manager(BaseManager):
    """One for each process."""


def _ignore_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run ends them itself


class Outside:
    """An object in a process of its own until `close`; any thread may call its methods, by name."""

    def __init__(self, make: Callable[..., Any], *arguments: Any) -> None:
        _Manager.register(make.__name__, make)
        self._manager = _Manager(ctx=multiprocessing.get_context("spawn"))
        self._manager.start(_ignore_ctrl_c)
        self._proxy = getattr(self._manager, make.__name__)(*arguments)

    def __call__(self, method: str, *arguments: Any) -> Any:
        return self._proxy._callmethod(method, arguments)

    def close(self) -> None:
        self._manager.shutdown()
