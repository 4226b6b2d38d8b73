"""How often somebody may do something, counted for all processes of a machine in one small file.

The generic cell rate algorithm (ITU-T I.371 Annex A): of each name only the moment is kept at which all that it has
taken will have been paid for. A whole allowance may be taken at once; it comes back evenly, not at the full minute.
"""

import fcntl
import hashlib
import logging
import mmap
import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.conf import settings

logger = logging.getLogger(__name__)

SLOTS = 32_768  # names that are remembered at once
NEIGHBOURS = 8  # places at which a name may be; where all are taken, the one that is owed least is forgotten
SLOT = struct.Struct("<Qd")  # digest of the name, and when it will have paid (seconds since 1970)
WINDOW_SECONDS = 60.0


@dataclass(frozen=True)
class Allowance:
    """What is left to a name after it has asked for one more."""

    limit: int  # at once, from a state of rest
    remaining: int
    reset_seconds: float  # until all of it is there again
    wait_seconds: float  # until the next one is allowed; 0: this one was

    @property
    def is_granted(self) -> bool:
        return self.wait_seconds == 0


class Counters:
    """A table of names in a file that all processes of the machine share; safe among processes and threads.

    Where the file can't be written each process counts for itself, and the log says so.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._within_process = path, threading.Lock()
        self._file, self._table = _opened(path)

    def take(self, name: str, *, per_minute: int, burst: int, at: float | None = None) -> Allowance:
        """One more of the name's `burst`, which comes back at `per_minute`; what is refused costs nothing."""
        at = time.time() if at is None else at
        interval = WINDOW_SECONDS / per_minute
        whole = interval * burst
        digest = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
        with self._alone():
            offset, paid_at = self._find(digest)
            paid_at = min(max(paid_at, at), at + whole)  # never more than a burst, also after the clock was set back
            owed = paid_at - at + interval
            wait = owed - whole
            is_granted = wait <= 1e-6  # a sum of intervals is not exactly their product
            SLOT.pack_into(self._table, offset, digest, paid_at + interval if is_granted else paid_at)
        if is_granted:
            return Allowance(burst, int((whole - owed) / interval + 1e-6), owed, 0)
        return Allowance(burst, 0, owed - interval, wait)

    def _find(self, digest: int) -> tuple[int, float]:
        """Where the name stands or may be written, and when it will have paid."""
        places = [(digest + step) % SLOTS * SLOT.size for step in range(NEIGHBOURS)]
        found = [(*SLOT.unpack_from(self._table, place), place) for place in places]
        for theirs, paid_at, place in found:
            if theirs == digest:
                return place, paid_at
        _, place = min((paid_at, place) for _, paid_at, place in found)
        return place, 0.0

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._within_process:
            if self._file is None:
                yield
                return
            fcntl.lockf(self._file, fcntl.LOCK_EX)  # a process's own, so threads need the other lock besides
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)


def _opened(path: Path) -> tuple[int | None, mmap.mmap]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(file, SLOTS * SLOT.size)
        return file, mmap.mmap(file, SLOTS * SLOT.size)
    except OSError as error:
        logger.warning("rates are counted for each process by itself: %s can't be written (%s)", path, error)
        return None, mmap.mmap(-1, SLOTS * SLOT.size)


@cache
def counters(kind: str) -> Counters:
    """The table of one kind of name. Each has its own, so that many of one kind push none of another out."""
    return Counters(Path(settings.OFFLOAD_RATES_DIR) / f"rates-{kind}")
