"""Brings things to the service, again and again until they are taken, in no particular order."""

import heapq
import itertools
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

AGAIN_SECONDS = (0.3, 1.5)


class Courier:
    """Runs jobs at their time; one that answers False is run again a little later."""

    def __init__(self, threads: int = 16) -> None:
        self._heap: list[tuple[float, int, Callable[[], bool]]] = []
        self._count = itertools.count()
        self._changed = threading.Condition()
        self._pool = ThreadPoolExecutor(threads)
        self._under_way = 0
        threading.Thread(target=self._run, daemon=True).start()

    def bring(self, job: Callable[[], bool], seconds: float = 0.0) -> None:
        """Run the job in so many seconds."""
        with self._changed:
            heapq.heappush(self._heap, (time.monotonic() + seconds, next(self._count), job))
            self._changed.notify()

    def waiting(self) -> int:
        """How many jobs have not been taken yet."""
        with self._changed:
            return len(self._heap) + self._under_way

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._heap or self._heap[0][0] > time.monotonic():
                    self._changed.wait(self._heap[0][0] - time.monotonic() if self._heap else None)
                _, _, job = heapq.heappop(self._heap)
                self._under_way += 1
            try:
                self._pool.submit(self._do, job)
            except RuntimeError:  # the interpreter ends
                return

    def _do(self, job: Callable[[], bool]) -> None:
        is_taken = False
        try:
            is_taken = job()
        finally:
            if not is_taken:
                self.bring(job, random.uniform(*AGAIN_SECONDS))
            with self._changed:
                self._under_way -= 1
